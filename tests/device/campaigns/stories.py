"""The stories of fixtures/scenarios on the device: hands on its lines, orders from afar, its guard stopped and started.

Grants come as orders from afar, some tenths of a second after their moment; stories that would end otherwise by that
are not played here (the simulated lines play them: tests/contracts). Of a row its kind, state, cause and faults count.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from agent.core.commands import Action
from agent.core.events import AccessAllowed, GuardChanged, Kind, LineChanged, ModeOrdered, Tick
from fixtures.scenarios import Step, Story, stories, transcript
from tests.device.campaigns.scenario import COMPARED
from tests.device.harness.door import Door
from tests.device.harness.site import Site

ORDER_LATE_S = 0.7  # a challenge, a signature, a commit
LATE_S = 2.5  # and on top of it a guard that starts, on a busy machine
EARLY_S = 0.2
SETTLE_S = 3.0
EDGE_S = 0.35
SET = {"lock_type", "lock_duty", "relock_on_close", "relock_delay_s"}  # settings that the device's file can say
KINDS = (*COMPARED, Kind.DOORBELL, Kind.DOOR_FAULT)
_WORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\[[^\]]*\]|\S+)')

Row = tuple[float, dict[str, Any]]


def run(door: Door, site: Site, *, count: int = 1000, seed: int = 1) -> dict[str, Any]:
    """Up to `count` stories, those of one kind of door together."""
    chosen = [story for story in stories() if playable(story)]
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    chosen = sorted(chance.sample(chosen, min(count, len(chosen))), key=settings)
    fitted, differing = "", []
    for story in chosen:
        if settings(story) != fitted:
            fitted = settings(story)
            door.write_config(**json.loads(fitted))
            door.start()
        differing += [f"{story.title}: {said}" for said in play(door, site, story)]
    door.write_config()
    door.start()
    site.wait_online()
    return {"stories": len(chosen), "divergences": len(differing), "details": differing[:10]}


def play(door: Door, site: Site, story: Story) -> list[str]:
    """Play one; in what the door differs."""
    door.lay_wires()
    site.wait_online()
    for action in (Action.RELEASE_LOCK_DOWN, Action.END_HOLD_OPEN):
        site.commander.order(site.device, action, "manager")
    door.drill("rest")
    last_s = story.steps[-1].at_s
    lived = door.drill("live", acts=list(acts(story)), settle_s=SETTLE_S, timeout_s=last_s + 120)
    began_s = lived["began_s"]
    told = list(expected(prolonged(story, SETTLE_S + LATE_S)))
    done = [(r["at_s"] - began_s, r["shown"]) for r in lived["rows"] if r["kind"] in KINDS and not of_guard(r)]
    return [*row_differences(told, done, last_s), *edge_differences(lived["relay"], lived["rows"])]


def of_guard(row: dict[str, Any]) -> bool:
    """Whether it passes on what the guard found; a story speaks of the door's core alone."""
    return bool(row["shown"].get("state") == "Reported")


def playable(story: Story) -> bool:
    """Whether hands and orders can bring it about on a device, and a late order does not change how it ends."""
    seen: set[str] = set()
    for step in story.steps:
        match step.event:
            case AccessAllowed(request_id, extended=False, duress=False) if request_id not in seen:
                seen.add(request_id)
            case ModeOrdered(order) if order in set(Action):
                pass
            case LineChanged() | GuardChanged() | Tick() | None:
                pass
            case _:
                return False
    given = {word.split("=")[0] for line in story.head if line.startswith("door ") for word in line.split()[1:]}
    rooms = not given - SET and not story.cold and story.obedient and not story.kept
    ordered = [step.at_s for step in story.steps] == sorted(step.at_s for step in story.steps)
    return rooms and ordered and outcome(story) == outcome(late(story))


def late(story: Story) -> Story:
    """The same with every order from afar a little later."""
    steps = [
        replace(s, at_s=s.at_s + ORDER_LATE_S) if isinstance(s.event, AccessAllowed | ModeOrdered) else s
        for s in story.steps
    ]
    return replace(story, steps=tuple(sorted(steps, key=lambda step: step.at_s)))


def prolonged(story: Story, more_s: float) -> Story:
    """The story as the core goes on with it: what follows its last step may come before the drill is over."""
    end = Step(story.steps[-1].at_s + more_s, "nothing more", Tick())
    return replace(story, steps=transcript(replace(story, steps=(*story.steps, end))))


def outcome(story: Story) -> dict[str, list[dict[str, Any]]]:
    """The rows by kind, without times."""
    rows = list(expected(replace(story, steps=transcript(story))))
    return {kind: [row for _, row in rows if row["kind"] == kind] for kind in KINDS}


def settings(story: Story) -> str:
    """What its door has in the configuration, as JSON."""
    own = story.settings
    words = {"lock_type": own.lock_type.value, "lock_duty": own.lock_duty.value}
    return json.dumps({**words, "relock_on_close": own.relock_on_close, "relock_delay_s": own.relock_delay_s})


def acts(story: Story) -> Iterator[dict[str, Any]]:
    """What the drill `live` does."""
    for step in story.steps:
        match step.event:
            case LineChanged(line, active, at_s):
                yield {"at_s": min(at_s, step.at_s), "line": line.value, "active": active, "held": True}
            case AccessAllowed():
                yield {"at_s": step.at_s, "line": "order", "words": Action.OPEN.value}
            case ModeOrdered(order, _, for_s):
                yield {"at_s": step.at_s, "line": "order", "words": f"{order.value} {for_s or ''}".strip()}
            case GuardChanged(up):
                yield {"at_s": step.at_s, "line": "guard", "active": up}
            case _:
                pass
    yield {"at_s": story.steps[-1].at_s, "line": "wait"}


def expected(story: Story) -> Iterator[Row]:
    """(second, what is compared of the row). A grant that the door refuses is a refusal before it is a grant."""
    for step in story.steps:
        for effect in step.effects:
            row = parsed(effect)
            if row and not (isinstance(step.event, AccessAllowed) and row["kind"] == Kind.ACCESS_NOT_TAKEN):
                yield step.at_s, row


def parsed(effect: str) -> dict[str, Any] | None:
    """What is compared of a row; None for every other effect."""
    match effect.split(" keeps ", maxsplit=1)[0].split(maxsplit=2):
        case ["row", kind, *rest] if kind in KINDS:
            found = {key: value for key, value in _WORD.findall(" ".join(rest)) if key in {"state", "cause", "faults"}}
            return {"kind": kind} | {k: json.loads(v) if v[0] in '["' else v for k, v in found.items()}
        case _:
            return None


def row_differences(told: list[Row], done: list[Row], last_s: float) -> list[str]:
    """For each kind the rows in order: one that is missing (up to the story's end), another, or not at its time."""
    found = []
    for kind in KINDS:
        ours = [row for row in told if row[1]["kind"] == kind]
        theirs = [(at_s, {k: v for k, v in row.items() if k not in {"why", "reason"}}) for at_s, row in done]
        theirs = [row for row in theirs if row[1]["kind"] == kind]
        due = sum(at_s <= last_s for at_s, _ in ours)
        if len(theirs) < due or [row for _, row in ours[: len(theirs)]] != [row for _, row in theirs]:
            found.append(f"{kind}: told {ours}, done {theirs}")
            continue
        off_s = [at_s - due_s for (at_s, _), (due_s, _) in zip(theirs, ours, strict=False)]
        found += [f"{kind} {off:+.2f} s off" for off in off_s if not -EARLY_S <= off <= LATE_S]
    return found


def edge_differences(relay: list[list[float]], rows: list[dict[str, Any]]) -> list[str]:
    """Energising edges on the line that no row tells of: a released lock, or the release of one without power."""
    telling = {Kind.LOCK_PHYSICAL: "Unlocked", Kind.DOOR_MODE: "Accessed"}
    told_s = [r["at_s"] for r in rows if r["shown"].get("state") == telling.get(r["kind"], "")]
    rises_s = [at_s for at_s, on in relay if on]
    return [
        f"energised at {at_s:.2f} and no row" for at_s in rises_s if not any(abs(at_s - t) < EDGE_S for t in told_s)
    ]


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    return ["divergences"] * bool(result["divergences"])
