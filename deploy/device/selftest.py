"""Is this a door? What a person at it sees and does: the lock opened once, each wire, lamps, and each way to come in.

Nothing opens here by itself: the installer was asked and is there, or said so on the command line. The agent opens, at
root's signal, so that it is an opening like any other: refused where one would be, bounded, a row of the journal.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from deploy.device import health
from deploy.device.commands import quiet
from deploy.device.guard_end import GuardEnd
from deploy.device.health import Result
from deploy.device.steps import Talk
from deploy.device.ways import HAND_S, boottime_s, ways

OPENED, NOT_TRIED = "opened once", "not tried"
LONGEST_S = 12.0  # the door's cap, and what it takes to be heard
_ENERGISED_WITHIN_S = 5.0
_SIGNAL = ("systemctl", "kill", "-s", "SIGUSR1", "--kill-whom=main", "door-agent")
_LAMPS_S = 5.0
_PIN = "a short circuit at the relay's pin, or a wrong pin in the site file"
WORDS = {  # what to do at the door so that a line becomes active
    "contact": "open the door leaf",
    "exit": "press the exit button",
    "fire": "trigger the fire input (call point or panel's test)",
    "tamper": "open the case",
    "lock_power": "",  # at rest it is active
    "doorbell": "press the doorbell",
}


def opened(plan: Mapping[str, Any], talk: Talk) -> Iterator[Result]:
    """`plan` open: "ask" (a person is there), "now" (said on the command line), "no"."""
    if plan["open"] == "no":
        yield _not_tried("nobody was there to watch", "run it at a terminal, or say --open-now")
        return
    words = "watch the lock: it opens for as long as it does for a resident"
    if plan["open"] == "ask" and not talk.yes("eyes", words):
        yield _not_tried("not wanted now", "run the command again when somebody may see the door open")
        return
    talk.tell("note", words=words)
    result = open_once()
    yield result
    if result.ok and plan["open"] == "ask":
        saw = talk.yes("saw", "did the lock open, and is it shut again")
        todo = "" if saw else "the relay moved, the lock did not: its supply, its wires at NO and NC, lock_type"
        yield Result("lock seen", saw, "opened and shut" if saw else "not seen to open", "seen by the installer", todo)


def _not_tried(found: str, do_this: str) -> Result:
    return Result(
        OPENED, ok=False, found=f"not tried: {found}", expected="a lock that was seen to open", do_this=do_this
    )


def open_once() -> Result:
    """Have the agent open; the relay line must be seen energised, then dropped."""
    expected = f"relay line energised within {_ENERGISED_WITHIN_S:.0f} s, then dropped"
    try:
        found, advice = _pulse()
    except OSError as error:
        found, advice = f"the guard does not answer ({error})", "journalctl -u door-guard"
    return Result(OPENED, ok=not advice, found=found, expected=expected, do_this=advice)


def _pulse() -> tuple[str, str]:
    """(what was seen, what to do about it: empty when it was as it should be)."""
    with contextlib.closing(GuardEnd()) as guard:
        if guard.hello.get("relay"):
            return "the lock is released already", "wait until the door is shut and quiet, then again"
        if not quiet("systemctl", "is-active", "door-agent") or not quiet(*_SIGNAL):
            return "the agent does not run", "journalctl -u door-agent"
        return _watched(guard, boottime_s())


def _watched(guard: GuardEnd, began_s: float) -> tuple[str, str]:
    energised_s, pin_on = None, False
    while boottime_s() < began_s + (_ENERGISED_WITHIN_S if energised_s is None else LONGEST_S):
        match guard.hear(0.25):
            case {"type": "relay", "why": "fault"}:
                return "the relay line does not follow", _PIN
            case {"type": "relay", "energised": True, "at_s": float(at_s)} if energised_s is None:
                energised_s, pin_on = at_s, _line_reads_on()
            case {"type": "relay", "energised": False, "at_s": float(at_s)} if energised_s is not None:
                if not pin_on:
                    return "ordered, but the pin did not move", _PIN
                took = f"energised after {(energised_s - began_s) * 1000:.0f} ms"
                return f"{took}, dropped after {at_s - energised_s:.1f} s", ""
    if energised_s is None:
        return "never energised", "sudo door-agent events list: was it refused (lock-down)? journalctl -u door-guard"
    return "not dropped in time", "switch the lock's power off and call the maker of this software"


def _line_reads_on() -> bool:
    """The pin's level as the guard reads it back, which is what the wire has."""
    second = GuardEnd()
    try:
        return second.hello.get("relay") is True
    finally:
        second.close()


def wires(talk: Talk) -> Iterator[Result]:
    """Each input by the installer's own hand, one after the other, then lamps and buzzer."""
    try:
        guard = GuardEnd()
    except OSError as error:
        yield Result("wires", ok=False, found=str(error), expected="a guard", do_this="journalctl -u door-guard")
        return
    with contextlib.closing(guard):
        for name in guard.hello.get("inputs", {}):
            if words := WORDS.get(name, ""):
                talk.tell("hand", line=name, words=f"{words} and let go", within_s=HAND_S)
                yield _wire(guard, name, words)
        lamps = [name for name in guard.hello.get("lines", []) if name not in guard.hello.get("inputs", {})]
        if lamps:
            yield _lamps(guard, lamps, talk)


def _wire(guard: GuardEnd, name: str, words: str) -> Result:
    began_s, active_s = boottime_s(), None
    with contextlib.suppress(OSError):  # a guard that went away: nothing more comes
        while (left_s := began_s + HAND_S - boottime_s()) > 0:
            said = guard.hear(left_s) or {}
            if said.get("type") == "input" and said.get("line") == name:
                if said["active"]:
                    active_s = said["at_s"]
                elif active_s is not None:
                    took = f"active after {active_s - began_s:.1f} s, back after {said['at_s'] - active_s:.1f} s"
                    return Result(f"wire {name}", ok=True, found=took, expected=words)
    found = "nothing came" if active_s is None else "it did not come back"
    advice = f"check the wire, then hardware.inputs.{name}.pin and active_low in the site file"
    return Result(f"wire {name}", ok=False, found=found, expected=words, do_this=advice)


def _lamps(guard: GuardEnd, lamps: list[str], talk: Talk) -> Result:
    names = ", ".join(lamps)
    talk.tell("note", words=f"look and listen: {names} for {_LAMPS_S:.0f} s")
    guard.show("identify")
    time.sleep(_LAMPS_S)
    guard.show("idle")
    saw = talk.yes("saw", f"did you see or hear each of {names}")
    todo = "" if saw else "their wires and resistors, then hardware.buzzer_pin, led_red_pin, led_green_pin"
    return Result("lamps and buzzer", saw, "each seen or heard" if saw else "not all", names, todo)


def run(plan: Mapping[str, Any], talk: Talk) -> list[Result]:
    """Everything that `plan` wants tested, told as it comes."""
    results = []
    checks = health.doctor()
    parts = [checks, opened(plan, talk)]
    parts += [wires(talk)] if plan.get("wires") else []
    parts += [ways(plan, talk, {one.name for one in checks if one.ok})]
    for part in parts:
        for result in part:
            results.append(result)
            talk.tell("result", **asdict(result))
    return results
