"""Each way to come in, tried by somebody at the door: a resident's face, her phone, the manager from afar.

What counts is the row that the opening leaves in the journal; the relay's line says when it moved.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deploy.device import health
from deploy.device.guard_end import GuardEnd
from deploy.device.health import Result
from deploy.device.install import CONFIG, ROOT
from deploy.device.steps import Talk

HAND_S = 45.0  # how long the installer has for each wire, and for each way in
WAYS = {  # credential of the row that an opening leaves -> what to do
    "face": "let the first resident look into the camera",
    "phone": "show a resident's code to the camera",
    "remote": "open the door from the manager's page",
}
_GRANTED, _DENIED = "AccessControl/AccessGranted/Credential", "AccessControl/Denied"
_ASK_S = 30


def ways(plan: Mapping[str, Any], talk: Talk, well: Collection[str]) -> Iterator[Result]:
    """Those that `plan` names; else, with somebody there to ask, those whose parts are there and that she wants tried.

    `well` names the checks of the door's doctor that hold.
    """
    named: list[str] = plan.get("ways") or []
    for way in named or (possible(plan, well) if plan["open"] == "ask" else ()):
        if named or talk.yes("eyes", f"try to come in by {way} now: {WAYS[way]}"):
            yield _way(way, talk)
        else:
            found, advice = "not tried: not wanted now", f"run the command again with --ways {way}"
            yield Result(f"opens by {way}", ok=False, found=found, expected=WAYS[way], do_this=advice)


def possible(plan: Mapping[str, Any], well: Collection[str]) -> list[str]:
    """Ways whose parts are there: a camera and somebody to be seen by it, a server that answers."""
    settings = tomllib.loads(plan["config"])
    sees = "camera" in well and settings.get("camera", {}).get("source", "none") != "none"
    people = [one for one in _asked("enroll", "--list").get("people", ()) if one["enabled"]] if sees else []
    there = {
        "face": any(one["templates"] for one in people),
        "phone": any(one["phones"] for one in people),
        "remote": "server" in settings and "server" in well,
    }
    return [way for way in WAYS if there[way]]


def _way(way: str, talk: Talk) -> Result:
    """One way, within HAND_S of being asked for."""
    name, expected = f"opens by {way}", WAYS[way]
    try:
        guard = GuardEnd()
    except OSError as error:
        return Result(name, ok=False, found=str(error), expected="a guard", do_this="journalctl -u door-guard")
    with contextlib.closing(guard):
        after = max((int(row["id"]) for row in _rows("")), default=0)
        began_s = boottime_s()
        talk.tell("hand", line=way, words=expected, within_s=HAND_S)
        if found := _let_in(way, guard, after, began_s):
            return Result(name, ok=True, found=found, expected=expected)
    refused = [str(row["body"].get("reason")) for row in _rows(_DENIED) if int(row["id"]) > after]
    found = f"refused: {refused[-1]}" if refused else "nobody was let in that way"
    advice = "sudo door-agent events list says why; enrol, or provision with [all.server], then again"
    return Result(name, ok=False, found=found, expected=expected, do_this=advice)


def _let_in(way: str, guard: GuardEnd, after: int, began_s: float) -> str:
    """How fast, once the relay moved for a row of this way newer than `after`; empty when it did not."""
    with contextlib.suppress(OSError):  # a guard that went away: nothing more comes
        while (left_s := began_s + HAND_S - boottime_s()) > 0:
            said = guard.hear(left_s) or {}
            if said.get("type") != "relay" or said.get("energised") is not True:
                continue
            for row in _rows(_GRANTED):  # committed before the relay moves
                if int(row["id"]) > after and way in str(row["body"].get("credential")).split("+"):
                    took_ms = said["at_s"] * 1000 - row["boottime_ms"]
                    took = f"relay energised {took_ms:.0f} ms after the decision (row {row['seq']})"
                    return f"let in {said['at_s'] - began_s:.1f} s after it was asked for, {took}"
    return ""


def _rows(kind: str) -> list[dict[str, Any]]:
    """The newest few rows of the journal of this kind."""
    return [json.loads(line) for line in _said("events", "list", "--kind", kind, "--newest", "5").splitlines()]


def _asked(*words: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        answer = json.loads(_said(*words))
        return answer if isinstance(answer, dict) else {}
    return {}


def _said(*words: str) -> str:
    """What the door's own program prints; nothing where it cannot."""
    program = f"{ROOT}/current/venv/bin/door-agent"
    with contextlib.suppress(OSError, LookupError, subprocess.TimeoutExpired):
        said = health.as_agent([program, *words, "--json", "--config", str(CONFIG)], timeout_s=_ASK_S)
        return said.stdout if said.returncode == 0 else ""
    return ""


def boottime_s() -> float:
    """CLOCK_BOOTTIME, as guard and journal have it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
