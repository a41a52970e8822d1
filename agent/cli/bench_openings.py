"""door-agent bench openings: every way in beside each other, with the real processes, the server reachable and not.

Also who is sent away, and how soon; and vision killed. What counts from where: agent/cli/bench_ways.py.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.cli.bench_ways import OPENED, Trial, Ways, section, until
from agent.cli.demo_world import DemoWorld
from agent.core.access import Denial
from agent.core.passes import Refusal
from agent.errors import DoorAgentError
from deploy.community.phone_open import Reason
from hardware.clock import boottime_s

TARGET_MS: Final = 300.0  # the button of a phone, 95th percentile: to the relay, and to a refusal
_READY_S: Final = 90.0
_SCENE_S: Final = 30.0
_ORDERED_S: Final = 5.0
_LINK_DOWN_S: Final = 60.0
_TOLD_EVERY: Final = 10  # rounds
_KILLED: Final = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One row: `act` of Ways, `rounds` times, at least `every_s` apart; `expected`: OPENED or the one reason."""

    way: str
    who: str
    act: str
    expected: str
    uplink: str = "up"
    every_s: float = 0.0


_IN: Final = (
    Case("face", "resident", "face", OPENED, every_s=10.0),  # the same person is let in again
    Case("pass", "resident", "phone_pass", OPENED),
    Case("button", "resident", "button", OPENED),
    Case("manager", "manager", "manager", OPENED, every_s=2.2),  # thirty orders a minute are taken of one manager
)
_LOCKED_DOWN: Final = (
    Case("button", "door locked down", "button", Denial.LOCKED_DOWN, every_s=1.1),  # a door takes one order a second
    Case("manager", "door locked down", "manager", Denial.LOCKED_DOWN, every_s=2.2),
)
_SENT_AWAY: Final = (
    Case("button", "moved out", "button_moved_out", Denial.CREDENTIAL_NOT_ENABLED),
    Case("button", "a stranger's", "button_stranger", Reason.UNKNOWN_KEY, every_s=1.1),  # sixty a minute are looked at
    Case("pass", "expired visitor's", "expired_pass", Refusal.EXPIRED),
    Case("face", "stranger", "stranger", Denial.CREDENTIAL_NOT_FOUND, every_s=10.0),  # one is told of once in 8 s
)
_CUT: Final = (
    Case("face", "resident", "face", OPENED, "down", 10.0),
    Case("pass", "resident", "phone_pass", OPENED, "down"),
    Case("button", "resident", "button", Reason.NO_ANSWER, "down", 1.1),
    Case("manager", "manager", "manager", "not-sent", "down", 2.2),
)


def measure(rounds: int, ways: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
    """These parts of the table, for these ways (`door-agent bench --help`).

    Raises:
        DoorAgentError: the world does not come up, or does not do as it is told.
    """
    began_utc_s, load = int(time.time()), [os.getloadavg()[0]]
    with DemoWorld(None, _say) as world:
        if not world.wait_ready(_READY_S, threading.Event()):
            raise DoorAgentError("the simulated door did not get ready; try door-agent demo to see why")
        world.manager.ask("/api/me")  # signs in first: a command of its own, a second that is no part of an opening
        acts = Ways(world)
        acts.enrol_phones()
        opened, refused, down = (ways if part in parts else () for part in ("opened", "refused", "down"))
        table = _rows(acts, _of(_IN, opened), rounds)
        table += _locked_down(world, acts, _of(_LOCKED_DOWN, refused), rounds)
        table += _rows(acts, [_as_clock_is(world, case) for case in _of(_SENT_AWAY, refused)], rounds)
        table += _cut(world, acts, _of(_CUT, down), rounds)
        killed = _vision_killed(world, acts) if "vision" in ways else None
    load.append(os.getloadavg()[0])
    machine = {"began_utc_s": began_utc_s, "cores": os.cpu_count(), "load_before_and_after": load}
    report = {"rounds": rounds, "machine": machine, "openings": table, "broken": broken(table)}
    return report if killed is None else {**report, "vision_killed_to_next_face_s": killed}


def broken(table: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is not as it must be, in words: an opening missing or too many, another reason, a target missed."""
    found = []
    for row in table:
        name = f"{row['way']}, {row['who']}, uplink {row['uplink']}"
        said = {word: count for word, count in row["said"].items() if word != row["expected"]}
        if said:
            told = ", ".join(f"{count} x {word or 'nothing seen'}" for word, count in said.items())
            found.append(f"{name}: {row['expected']} was expected of all {row['tried']}; {told}")
        elif row["n"] < row["tried"]:
            found.append(f"{name}: timed {row['n']} of {row['tried']}")
        if (row["way"], row["uplink"]) == ("button", "up") and (row["p95_ms"] or 0.0) >= TARGET_MS:
            found.append(f"{name}: 95th percentile {row['p95_ms']:.0f} ms, the target is below {TARGET_MS:.0f} ms")
    return found


def _of(cases: Iterable[Case], ways: Sequence[str]) -> list[Case]:
    return [case for case in cases if case.way in ways]


def _as_clock_is(world: DemoWorld, case: Case) -> Case:
    """A door on a machine whose clock nobody vouches for can't know that a pass is over: it takes none."""
    if case.expected == Refusal.EXPIRED and not world.knows_the_time():
        return replace(case, expected=Refusal.CLOCK_NOT_TRUSTED)
    return case


def _rows(acts: Ways, cases: Iterable[Case], rounds: int) -> list[dict[str, Any]]:
    return [_row(acts, case, rounds) for case in cases]


def _row(acts: Ways, case: Case, rounds: int) -> dict[str, Any]:
    trials: list[Trial] = []
    for number in range(1, rounds + 1):
        acts.settle()
        next_s = time.monotonic() + case.every_s
        trials.append(getattr(acts, case.act)())
        if number % _TOLD_EVERY == 0 or number == rounds:
            as_expected = sum(trial.said == case.expected for trial in trials)
            _say(f"{case.way}, {case.who}, uplink {case.uplink}: {case.expected} {as_expected} of {number}")
        if number < rounds:
            time.sleep(max(0.0, next_s - time.monotonic()))
    return row(case, trials)


def row(case: Case, trials: Sequence[Trial]) -> dict[str, Any]:
    """What a case came to, JSON-shaped; times of those that went as expected."""
    times_ms = [trial.took_ms for trial in trials if trial.took_ms is not None and trial.said == case.expected]
    named = {"way": case.way, "who": case.who, "uplink": case.uplink, "expected": str(case.expected)}
    return {**named, "tried": len(trials), "said": dict(Counter(str(t.said) for t in trials)), **spread(times_ms)}


def _locked_down(world: DemoWorld, acts: Ways, cases: Sequence[Case], rounds: int) -> list[dict[str, Any]]:
    if not cases:
        return []
    acts.settle()
    world.order("lock-down")
    if not until(lambda: section(world, "door_state").get("mode") == "LockedDown", _ORDERED_S):
        raise DoorAgentError(f"the door did not go into lock-down within {_ORDERED_S:g} s")
    table = _rows(acts, cases, rounds)
    world.order("release-lock-down")
    if not until(lambda: section(world, "door_state").get("mode") == "Locked", _ORDERED_S):
        raise DoorAgentError(f"the lock-down was not taken back within {_ORDERED_S:g} s")
    return table


def _cut(world: DemoWorld, acts: Ways, cases: Sequence[Case], rounds: int) -> list[dict[str, Any]]:
    if not cases:
        return []
    world.uplink.cut()
    if not until(lambda: not section(world, "link").get("up", True), _LINK_DOWN_S):
        raise DoorAgentError(f"the door did not see within {_LINK_DOWN_S:g} s that its uplink was cut")
    table = _rows(acts, cases, rounds)
    world.uplink.restore()
    return table


def _vision_killed(world: DemoWorld, acts: Ways) -> list[float]:
    """Seconds from SIGKILL of door-vision, a stranger standing before the camera, until it tells of his face again."""
    took_s = []
    for _ in range(_KILLED):
        acts.settle()
        world.play("stranger_walks_up")
        until(lambda: bool(section(world, "vision").get("faces")), _SCENE_S)
        world.children["vision"].kill()
        killed_s = boottime_s()
        gone = until(lambda: not section(world, "vision").get("up", True), _SCENE_S)
        if gone and until(lambda: bool(section(world, "vision").get("faces")), _SCENE_S):
            took_s.append(round(boottime_s() - killed_s, 2))
    return took_s


def spread(times_ms: Sequence[float]) -> dict[str, Any]:
    """Median, p95 (nearest rank), worst and count."""
    if not times_ms:
        return {"n": 0, "median_ms": None, "p95_ms": None, "worst_ms": None}
    ranked = sorted(times_ms)
    p95_ms = ranked[math.ceil(0.95 * len(ranked)) - 1]
    told = {"median_ms": statistics.median(ranked), "p95_ms": p95_ms, "worst_ms": ranked[-1]}
    return {"n": len(ranked), **{name: round(value, 1) for name, value in told.items()}}


def show(report: Mapping[str, Any]) -> None:
    """For people."""
    print(f"{'way':8} {'who':18} {'uplink':6} {'came of it':>28} {'median':>7} {'p95':>7} {'worst':>7}  ms")
    for told in report["openings"]:
        came = f"{told['expected']} {told['said'].get(told['expected'], 0)} of {told['tried']}"
        times = [told[key] for key in ("median_ms", "p95_ms", "worst_ms")]
        columns = " ".join(f"{'-' if value is None else f'{value:.0f}':>7}" for value in times)
        print(f"{told['way']:8} {told['who']:18} {told['uplink']:6} {came:>28} {columns}")
    if "vision_killed_to_next_face_s" in report:
        killed = ", ".join(f"{seconds:.1f}" for seconds in report["vision_killed_to_next_face_s"])
        print(f"door-vision killed before a stranger, until it sees him again: {killed or 'never'} s")
    for words in report["broken"]:
        print(f"NOT AS IT MUST BE: {words}")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
