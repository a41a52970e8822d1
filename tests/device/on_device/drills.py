"""On the device, as root: drills that need the device's own clock and lines. `drills.py NAME FACTS`, FACTS as JSON.

Standard library only. The last line printed is one JSON object. Times are CLOCK_BOOTTIME seconds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feeder import open_door, order_from_afar
from lines import Scope, multimeter, now_s, press

GUARD, AGENT = "door-guard", "door-agent"
LOOK_EVERY_S = 0.004
STALLS = "/run/rig-stalls"
PROBE_EVERY_S = 0.005
STALL_S = 0.02
ORDER_S = 1.0  # from a hand on the button to the relay: far beyond what is promised, which `latency` measures


class Bench:
    """The door's lines as a tester sees them."""

    def __init__(self, facts: dict[str, Any], *, keep: bool = False) -> None:
        self.pins: dict[str, int] = facts["pins"]
        self.energised = int(facts["active_high"])
        self.release_s: float = facts["release_s"]
        self.stand_in: bool = facts.get("stand_in", False)  # the feeder runs instead of the agent
        self.scope = Scope()
        if not keep:
            self.scope.clear()
        # from when to when an ordered release may begin: the only moments at which the relay may rise
        self.orders: list[tuple[float, float]] = []

    def relay_on(self) -> bool:
        """By the multimeter."""
        return multimeter(self.pins["relay"]) == self.energised

    def push_exit(self) -> float:
        """A hand on the exit button for a tenth of a second."""
        at_s = press(self.pins["exit"], high=False)
        self.orders.append((at_s, at_s + ORDER_S))
        time.sleep(0.1)
        press(self.pins["exit"], high=True)
        return at_s

    def grant(self) -> float:
        """Somebody is let in: the release comes from the agent. Returns when the relay was energised."""
        asked_s = now_s()
        if self.stand_in:
            open_door(self.release_s)
            self.orders.append((asked_s, asked_s + ORDER_S))
            return wait_for(self.relay_on, 3.0, "the relay is energised")
        stage = ""
        for _ in range(30):  # after a fault the door refuses, or is not online, until it is itself again
            if (stage := order_from_afar()) in {"accepted", "energised"}:
                break
            time.sleep(0.3)
        energised_s = wait_for(self.relay_on, 6.0, f"the relay is energised (the door said: {stage})")
        self.orders.append((asked_s, energised_s))
        return energised_s

    def rises(self, since_s: float = 0.0) -> list[float]:
        """When the relay line was energised, by the kernel's trace."""
        return self.scope.rises(self.pins["relay"], self.energised, since_s)

    def unordered(self) -> list[float]:
        """The energising edges that no order explains."""
        return [r for r in self.rises() if not any(since <= r <= until for since, until in self.orders)]


def wait_for(true: Callable[[], bool], within_s: float, what: str = "") -> float:
    """Look until it is so; returns when. Raises TimeoutError."""
    end_s = now_s() + within_s
    while not true():
        if now_s() > end_s:
            raise TimeoutError(f"not within {within_s} s: {what or true}")
        time.sleep(LOOK_EVERY_S)
    return now_s()


def ctl(*words: str) -> str:
    """Call systemctl; what it printed."""
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False).stdout.strip()


def main_pid(unit: str) -> int:
    """0 when it does not run."""
    return int(ctl("show", "-P", "MainPID", unit) or 0)


def up(unit: str) -> bool:
    """Started and, as these units are Type=notify, ready."""
    return ctl("is-active", unit) == "active"


def all_up(*units: str, within_s: float = 60.0) -> None:
    """Wait until the units are ready."""
    wait_for(lambda: all(up(u) for u in units), within_s, f"{units} ready")


def edges(facts: dict[str, Any]) -> dict[str, Any]:
    """Starts, stops, reloads and crashes; at every second of them somebody is going out."""
    bench, units, counts = Bench(facts), facts["units"], dict.fromkeys(("starts", "stops", "reloads", "crashes"), 0)
    chance = random.Random(facts.get("seed", 1))  # noqa: S311  repeatable, not secret
    all_up(*units)
    for n in range(facts["rounds"]):
        for k, act in enumerate(("stops", "reloads", "crashes")):
            if (n + k) % 2:
                bench.push_exit()
                wait_for(bench.relay_on, 2.0, "the exit button releases")
            if act == "stops":
                ctl("stop", *units)
                time.sleep(0.2)
                ctl("start", *units)
                counts["starts"] += 1
            elif act == "reloads":
                ctl("daemon-reload")
                ctl("reload-or-restart", *units)
            else:
                for unit in chance.choice(([GUARD], units[1:], units)):
                    kill(unit, signal.SIGKILL)
            counts[act] += 1
            all_up(*units)
            wait_for(lambda: not bench.relay_on(), bench.release_s + 1, "the relay drops")
    rises, orders = bench.rises(), len(bench.orders)
    return {**counts, "orders": orders, "rises": len(rises), "unordered_rises": len(bench.unordered())}


def kill(unit: str, number: int) -> None:
    """Send a signal to a unit's main process, if it has one."""
    if pid := main_pid(unit):
        os.kill(pid, number)


def signalled(number: int) -> Callable[[str], Callable[[], None]]:
    """What is known about a unit beforehand, so that nothing but the signal lies between the clock and the fault."""

    def aimed(unit: str) -> Callable[[], None]:
        pid = main_pid(unit)
        return lambda: os.kill(pid, number) if pid else None

    return aimed


def out_of_memory(unit: str) -> Callable[[], None]:
    """Take a unit's memory away: the kernel's out-of-memory killer ends it."""
    limit = Path(f"/sys/fs/cgroup{ctl('show', '-P', 'ControlGroup', unit)}/memory.max")
    was = limit.read_text()

    def throw() -> None:
        try:
            limit.write_text("65536")
        finally:
            with contextlib.suppress(OSError):  # the group is made anew with the unit's next life, limit and all
                limit.write_text(was)

    return throw


FAULTS: dict[str, tuple[Callable[[str], Callable[[], None]], float]] = {
    "KILL": (signalled(signal.SIGKILL), 1.0),
    "SEGV": (signalled(signal.SIGSEGV), 1.0),
    "OOM": (out_of_memory, 1.0),
    "STOP": (signalled(signal.SIGSTOP), 4.0),
}


def faults(facts: dict[str, Any]) -> dict[str, Any]:
    """Faults thrown in mid-release; for each, how long until the relay dropped and whether that was in time."""
    bench, units = Bench(facts), facts["units"]
    chance = random.Random(facts.get("seed", 1))  # noqa: S311  repeatable, not secret
    targets, found = ([GUARD], units[1:], units), []
    helper = subprocess.Popen([sys.executable, __file__, "probe"])
    try:
        for n in range(facts["faults"]):
            kind, target = list(FAULTS)[n % len(FAULTS)], targets[n // len(FAULTS) % len(targets)]
            all_up(*units)
            found.append(one_fault(bench, kind, target, chance.uniform(0.1, 2.0)))
            for unit in target if kind == "STOP" else ():
                kill(unit, signal.SIGCONT)  # a unit without a watchdog of its own would stay stopped
        all_up(*units)
    finally:
        helper.kill()
        helper.wait()
    time.sleep(1.0)
    late = [f for f in found if f["dropped_after_s"] - f["rig_stalled_s"] > f["allowed_s"]]
    worst = {kind: max((f["dropped_after_s"] for f in found if f["kind"] == kind), default=0.0) for kind in FAULTS}
    return {
        "faults": len(found),
        "late": late,
        "worst_drop_s": worst,
        "median_drop_s": {
            f"{kind} {' '.join(target)}": middle(found, kind, target) for kind in FAULTS for target in targets
        },
        "rig_stalled_in": sum(f["rig_stalled_s"] > 0 for f in found),
        "longest_energised_s": max(f["energised_s"] for f in found),
        "beyond_bound": [f for f in found if f["energised_s"] - f["rig_stalled_s"] > f["bound_s"] + 0.1],
        "unordered_rises": len(bench.unordered()),
    }


def middle(found: list[dict[str, Any]], kind: str, target: list[str]) -> float:
    """The median time to the dropped relay after this fault at these units, in seconds; 0 when it was not thrown."""
    took_s = [f["dropped_after_s"] for f in found if f["kind"] == kind and f["target"] == target]
    return round(statistics.median(took_s), 3) if took_s else 0.0


def one_fault(bench: Bench, kind: str, target: list[str], after_s: float) -> dict[str, Any]:
    """Release, wait, throw, watch."""
    aim, allowed_s = FAULTS[kind]
    throws = [aim(unit) for unit in target]
    began_s = bench.grant()
    time.sleep(after_s)
    thrown_s = now_s()
    for throw in throws:
        throw()
    dropped_s = wait_for(lambda: not bench.relay_on(), 15.0, f"the relay drops after {kind} of {target}")
    # a stopped guard cannot count: there the bound is the hard cap
    bound_s = 10.0 if kind == "STOP" and GUARD in target else bench.release_s
    return {
        "kind": kind,
        "target": target,
        "after_s": round(after_s, 2),
        "dropped_after_s": round(dropped_s - thrown_s, 3),
        "allowed_s": allowed_s,
        "energised_s": round(dropped_s - began_s, 3),
        "rig_stalled_s": round(stalled_s(thrown_s, dropped_s), 3),
        "bound_s": bound_s,
    }


@dataclass(frozen=True)
class Pressed:
    """One press: when, how long until the relay line was energised, how often it was energised because of it."""

    at_s: float
    took_s: float
    rises: int


def latency(facts: dict[str, Any]) -> dict[str, Any]:
    """From the hand on the line to the energised relay, while a process takes all the computing time it can get."""
    bench = Bench(facts)
    helpers = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]),
        subprocess.Popen([sys.executable, __file__, "probe"]),
    ]
    try:
        fire = [one_press(bench, "fire", 0.0) for _ in range(facts["fires"])]
        exits = [one_press(bench, "exit", bench.release_s) for _ in range(facts["exits"])]
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
    return {
        "fire": summary(fire),
        "exit": summary(exits),
        "unordered_rises": sum(abs(p.rises - 1) for p in fire + exits),
    }


def one_press(bench: Bench, line: str, release_s: float) -> Pressed:
    """Press, wait for the relay, let go."""
    wait_for(lambda: not bench.relay_on(), release_s + 10, "dropped before the press")
    bench.scope.clear()
    hand(steady=True)
    at_s = press(bench.pins[line], high=False)
    hand(steady=False)
    wait_for(bench.relay_on, 5.0, f"{line} releases")
    time.sleep(0.06)  # longer than the debounce time, so that the next press is an edge again
    press(bench.pins[line], high=True)
    time.sleep(0.06)
    rises = bench.rises(at_s)
    # none: something else had energised it a moment before, which is as wrong as a second time
    return Pressed(at_s, rises[0] - at_s if rises else math.inf, len(rises))


def hand(*, steady: bool) -> None:
    """A person's hand does not wait for the device's scheduler between being timed and pressing."""
    policy = os.SCHED_FIFO if steady else os.SCHED_OTHER
    os.sched_setscheduler(0, policy, os.sched_param(10 if steady else 0))


def boot(facts: dict[str, Any]) -> dict[str, Any]:
    """What the scope saw since power-on, and whether the relay is energised now."""
    bench = Bench(facts, keep=True)
    return {"rises": len(bench.rises()), "energised": bench.relay_on()}


def forget(facts: dict[str, Any]) -> dict[str, Any]:
    """Clear the scope."""
    Bench(facts)
    return {}


def secured(facts: dict[str, Any]) -> dict[str, Any]:
    """Wait until the relay has been energised and dropped; what the scope saw."""
    bench = Bench(facts, keep=True)
    wait_for(lambda: bool(bench.rises()), 10, "the relay is energised")
    wait_for(lambda: not bench.relay_on(), 12, "the relay drops")
    return boot(facts)


def rest(facts: dict[str, Any]) -> dict[str, Any]:
    """Wait until the door is itself: services ready, relay dropped, nobody's release still to be accounted for."""
    bench = Bench(facts)
    all_up(*facts["units"])
    wait_for(lambda: not bench.relay_on(), 12, "the relay drops")
    time.sleep(1.0)
    return {}


def live(facts: dict[str, Any]) -> dict[str, Any]:
    """Do the acts at their moments; what was done when, every relay edge and every row of the journal since."""
    bench, done = Bench(facts), []
    last_row, began_s = newest_row(), now_s()
    for act in facts["acts"]:
        time.sleep(max(0.0, began_s + act["at_s"] - now_s()))
        if act["line"] == "wait":
            continue
        if act["line"] == "order":
            threading.Thread(target=order_from_afar, args=(act["words"],), daemon=True).start()
            continue
        if act["line"] == "guard":
            ctl("start" if act["active"] else "stop", GUARD)
            continue
        at_s = press(bench.pins[act["line"]], high=not act["active"])
        done.append({"at_s": at_s, "line": act["line"], "active": act["active"]})
        if act["line"] == "exit" and not act.get("held"):
            time.sleep(0.1)
            at_s = press(bench.pins["exit"], high=True)
            done.append({"at_s": at_s, "line": "exit", "active": False})
    time.sleep(facts["settle_s"])
    ended_s, relay = now_s(), bench.scope.changes(bench.pins["relay"])
    edges_ = [(at_s, level == bench.energised) for at_s, level in relay]
    return {"began_s": began_s, "ended_s": ended_s, "acts": done, "relay": edges_, "rows": rows_since(last_row)}


def newest_row() -> int:
    """The id of the journal's newest row."""
    with closing(journal()) as db:
        return int(db.execute("SELECT max(id) FROM rows").fetchone()[0])


def rows_since(last: int) -> list[dict[str, Any]]:
    """The journal's rows after `last`; of each what the twin has too."""
    found = []
    with closing(journal()) as db:
        for at_ms, kind, text in db.execute(
            "SELECT boottime_ms, kind, body FROM rows WHERE id > ? ORDER BY id", [last]
        ):
            body = json.loads(text)
            shown = {k: v for k, v in body.items() if k in {"state", "why", "cause", "reason", "faults"}}
            found.append({"at_s": at_ms / 1000, "kind": kind, "body": body, "shown": {"kind": kind, **shown}})
    return found


def journal() -> sqlite3.Connection:
    """For reading."""
    return sqlite3.connect("file:/var/lib/door-agent/journal.db?mode=ro", uri=True)


def summary(presses: list[Pressed]) -> dict[str, Any]:
    """Percentiles in milliseconds, by nearest rank: of all presses, and of those in which the rig itself did not stall.

    The device is a process on a machine with other work. While it is not run at all, nothing in it can be measured:
    the probe, of a higher priority than anything of ours, notes each time it was woken more than STALL_S late.
    """
    stalls = stalls_seen()
    fair = [p for p in presses if not any(a < p.at_s + p.took_s and b > p.at_s for a, b in stalls)]
    worst = max((b - a for a, b in stalls), default=0.0)
    raw, judged = sorted(p.took_s for p in presses), sorted(p.took_s for p in fair)
    return {
        "n": len(raw),
        "max_ms": rank_ms(raw, 1.0),
        "p999_of_all_ms": rank_ms(raw, 0.999),
        "rig_stalled_in": len(raw) - len(judged),
        "worst_rig_stall_ms": round(worst * 1000, 1),
        "p50_ms": rank_ms(judged, 0.5),
        "p99_ms": rank_ms(judged, 0.99),
        "p999_ms": rank_ms(judged, 0.999),
    }


def stalls_seen() -> list[tuple[float, float]]:
    """What the probe noted: from when to when the device was not run."""
    if not Path(STALLS).exists():
        return []
    lines = [line.split() for line in Path(STALLS).read_text().splitlines()]
    return [(float(words[0]), float(words[1])) for words in lines if len(words) == 2]


def stalled_s(since_s: float, until_s: float) -> float:
    """For how long in this time the machine did not run the device at all."""
    return sum(max(0.0, min(b, until_s) - max(a, since_s)) for a, b in stalls_seen())


def rank_ms(ordered: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 1) if ordered else math.inf


def probe() -> None:
    """Sleep a little at the highest priority; note each time the machine woke us late. Until killed."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    with Path(STALLS).open("w", buffering=1) as out:
        before_s = now_s()
        while True:
            time.sleep(PROBE_EVERY_S)
            woken_s = now_s()
            if woken_s - before_s - PROBE_EVERY_S > STALL_S:
                out.write(f"{before_s} {woken_s}\n")
            before_s = woken_s


if __name__ == "__main__" and sys.argv[1] == "probe":
    probe()
elif __name__ == "__main__":
    drills = (edges, faults, latency, boot, forget, secured, rest, live)
    drill = {d.__name__: d for d in drills}[sys.argv[1]]
    sys.stdout.write(json.dumps(drill(json.loads(sys.argv[2]))) + "\n")
