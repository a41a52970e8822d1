"""A random life of the real door against the same life calculated: relay edges and rows must agree.

The acts are thrown on the device and their real moments are given to the twin, as are the moments at which the journal
says that somebody was allowed in. They lie on a grid on which no deadline of the door falls together with an act.
"""

from __future__ import annotations

import random
from typing import Any

from agent.core.door import DoorSettings, LockDuty, LockType
from agent.core.events import Kind
from tests.device.harness.door import RELEASE_S, Door
from tests.device.harness.site import Site
from tests.device.harness.twin import Act, Twin, shown

GRID_S = 0.4
TOLERANCE_S = 0.35
SETTLE_S = 12.0
COMMIT_S = 0.01  # from the row's own time until it is committed and acted upon
COMPARED = (
    Kind.DOOR_PHYSICAL,
    Kind.LOCK_PHYSICAL,
    Kind.DOOR_MODE,
    Kind.DOOR_ALARM,
    Kind.DOOR_TAMPER,
    Kind.FIRE,
    Kind.REQUEST_TO_EXIT,
    Kind.ACCESS_TAKEN,
    Kind.ACCESS_NOT_TAKEN,
)


def run(door: Door, site: Site, *, steps: int, seed: int = 1) -> dict[str, Any]:
    """`steps` random acts."""
    door.lay_wires()
    door.start()
    site.wait_online()
    acts = invented(steps, seed)
    took_s = acts[-1]["at_s"] + SETTLE_S
    lived = door.drill("live", acts=acts, settle_s=SETTLE_S, timeout_s=took_s + 120)
    played = [Act(a["at_s"], a["line"], a["active"]) for a in lived["acts"]]
    granted = [r for r in lived["rows"] if r["kind"] == Kind.ACCESS_GRANTED]
    played += [Act(r["at_s"] + COMMIT_S, r["body"]["request_id"]) for r in granted]
    settings = DoorSettings(
        lock_type=LockType.FAIL_SAFE,
        lock_duty=LockDuty.CONTINUOUS,
        release_time_s=RELEASE_S,
        exit_release_time_s=RELEASE_S,
    )
    twin = Twin(settings, lived["began_s"])
    twin.play(played, lived["ended_s"])
    edges = relay_differences(lived["relay"], twin.relay)
    rows = row_differences(lived["rows"], [shown(r) for at_s, r in twin.records if at_s > twin.began_s])
    return {
        "steps": steps,
        "grants": len(granted),
        "relay_edges": len(twin.relay),
        "rows": sum(r["kind"] in COMPARED for r in lived["rows"]),
        "divergences": len(edges) + len(rows),
        "details": (edges + rows)[:10],
    }


def invented(steps: int, seed: int) -> list[dict[str, Any]]:
    """What happens to the door, and when (seconds from the beginning)."""
    chance, now_s = random.Random(seed), 1.0  # noqa: S311  repeatable, not secret
    active, acts = dict.fromkeys(("contact", "fire", "tamper"), False), []
    for _ in range(steps):
        now_s = round(now_s + GRID_S * chance.choice((1, 2, 3, 6)), 3)
        line = chance.choices(("contact", "exit", "open", "fire", "tamper"), (12, 4, 4, 1, 1))[0]
        if active["fire"] and chance.random() < 0.5:
            line = "fire"  # an alarm does not last long, or nothing else would be seen
        if line in active:
            active[line] = not active[line]
        act = {"line": "order", "words": "open"} if line == "open" else {"line": line, "active": active.get(line, True)}
        acts.append({"at_s": now_s, **act})
    acts += [{"at_s": now_s + GRID_S, "line": line, "active": False} for line, is_active in active.items() if is_active]
    return acts


def relay_differences(real: list[list[float]], twin: list[tuple[float, bool]]) -> list[str]:
    """Edges that only one of the two has, or that are further apart than TOLERANCE_S."""
    found, left = [], [(at_s, bool(on)) for at_s, on in real]
    for at_s, on in twin:
        match = next((e for e in left if e[1] is on and abs(e[0] - at_s) <= TOLERANCE_S), None)
        if match is None:
            found.append(f"only the twin: relay {'on' if on else 'off'} at {at_s:.2f}")
        else:
            left.remove(match)
    return found + [f"only the door: relay {'on' if on else 'off'} at {at_s:.2f}" for at_s, on in left]


def row_differences(real: list[dict[str, Any]], twin: list[dict[str, Any]]) -> list[str]:
    """For each kind, the rows in order; the first place where they part, and how many do."""
    found = []
    for kind in COMPARED:
        ours = [r for r in twin if r["kind"] == kind]
        theirs = [r["shown"] for r in real if r["kind"] == kind]
        parts = [n for n, pair in enumerate(zip(ours, theirs, strict=False)) if not same(*pair)]
        if parts:
            found.append(f"{kind} row {parts[0]}: the door {theirs[parts[0]]}, the twin {ours[parts[0]]}")
        elif len(ours) != len(theirs):
            found.append(f"{kind}: the door has {len(theirs)} rows, the twin {len(ours)}")
    return found


def same(twin: dict[str, Any], real: dict[str, Any]) -> bool:
    """Whether two rows say the same.

    At the cap the agent's order and the guard's bound fall due in the same instant, so either may be named as what
    ended the release; that it ended in time is the relay's own comparison.
    """
    return twin == real or (
        {twin.get("why"), real.get("why")} == {"order", "bound"} and {**twin, "why": ""} == {**real, "why": ""}
    )


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    return ["divergences"] * bool(result["divergences"])
