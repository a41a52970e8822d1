"""Is this a door? Guard, camera, broker and the rest by `doctor`; then the lock itself, opened once before her eyes."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deploy.device.install import CONFIG, ROOT, quiet
from deploy.device.steps import Talk

GUARD = "/run/door-guard/guard.sock"
OPEN_S = 3.0
_LEASE_MS = 800
_FEED_S = 0.25
_DROP_WITHIN_S = 1.5
_HAND_S = 45.0  # how long the installer has for each wire
_PIN = "a short circuit at the relay's pin, or a wrong pin in the site file"
WORDS = {  # what to do at the door so that a line becomes active
    "contact": "open the door leaf",
    "exit": "press the exit button",
    "fire": "trigger the fire input (call point or panel's test)",
    "tamper": "open the case",
    "lock_power": "",  # at rest it is active
    "doorbell": "press the doorbell",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report."""

    name: str
    ok: bool
    found: str
    expected: str
    do_this: str = ""


class GuardEnd:
    """A connection to the guard as a person with a tool has it, beside the agent's."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(3)
        self._socket.connect(GUARD)
        self.hello = self.hear(3) or {}

    def hear(self, for_s: float) -> dict[str, Any] | None:
        """The next message, or None after `for_s`."""
        self._socket.settimeout(max(for_s, 0.001))
        try:
            packet = self._socket.recv(65536)
        except TimeoutError:
            return None
        said: dict[str, Any] = json.loads(packet[1:]) if packet[:1] == b"J" else {}
        return said

    def send(self, message: Mapping[str, object]) -> None:
        """One message."""
        self._socket.send(b"J" + json.dumps(message).encode())

    def close(self) -> None:
        """Part; the guard ends what was ordered here."""
        self._socket.close()


def open_once(open_s: float = OPEN_S) -> Result:
    """Release the lock for `open_s`; the relay line must be seen energised, then dropped.

    The agent rests meanwhile: it drops at once whatever nobody was allowed. The guard's bounds and exit and fire stay.
    """
    expected = f"relay line energised for {open_s:.0f} s, then dropped"
    agent_ran = quiet("systemctl", "is-active", "door-agent")
    quiet("systemctl", "stop", "door-agent")
    try:
        found, advice = _pulse(open_s)
    except OSError as error:
        found, advice = f"the guard does not answer ({error})", "journalctl -u door-guard"
    finally:
        if agent_ran:
            quiet("systemctl", "start", "door-agent")
    return Result("opened once", ok=not advice, found=found, expected=expected, do_this=advice)


def _pulse(open_s: float) -> tuple[str, str]:
    """(what was seen, what to do about it: empty when it was as it should be)."""
    guard, began_s = GuardEnd(), _boottime_s()
    until_s, energised_s, dropped_s, pin_on = began_s + open_s, None, None, False
    order = {"type": "release", "lease_ms": _LEASE_MS, "hold": False, "id": f"self-test-{int(began_s)}"}
    with contextlib.closing(guard):
        while _boottime_s() < until_s + _DROP_WITHIN_S and dropped_s is None:
            if _boottime_s() < until_s:
                guard.send({**order, "until_s": until_s})
            match guard.hear(_FEED_S):
                case {"type": "relay", "why": "fault"}:
                    return "the relay line does not follow", _PIN
                case {"type": "relay", "energised": True, "at_s": float(at_s)}:
                    energised_s, pin_on = at_s, _line_reads_on()
                case {"type": "relay", "energised": False, "at_s": float(at_s)} if energised_s is not None:
                    dropped_s = at_s
    if energised_s is None:
        return "never energised", "journalctl -u door-guard; is the fire input active, is the coil resting?"
    if dropped_s is None:
        return "not dropped in time", "switch the lock's power off and call the maker of this software"
    if not pin_on:
        return "ordered, but the pin did not move", _PIN
    for_s = dropped_s - energised_s
    took = f"energised after {(energised_s - began_s) * 1000:.0f} ms, dropped after {for_s:.1f} s"
    return took, "something secured the door meanwhile; try again" if for_s < open_s / 2 else ""


def _line_reads_on() -> bool:
    """The pin's level as the guard reads it back, which is what the wire has."""
    second = GuardEnd()
    try:
        return second.hello.get("relay") is True
    finally:
        second.close()


def wires(talk: Talk) -> list[Result]:
    """Each input by the installer's own hand, one after the other."""
    try:
        guard = GuardEnd()
    except OSError:
        return []
    results = []
    try:
        for name in guard.hello.get("inputs", {}):
            if words := WORDS.get(name, ""):
                talk.tell("hand", line=name, words=words, within_s=_HAND_S)
                results.append(_wire(guard, name, words))
                talk.tell("result", **asdict(results[-1]))
    finally:
        guard.close()
    return results


def _wire(guard: GuardEnd, name: str, words: str) -> Result:
    began_s, active_s = _boottime_s(), None
    while (left_s := began_s + _HAND_S - _boottime_s()) > 0:
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


def doctor() -> list[Result]:
    """What the release's own doctor says, asked as the agent's user."""
    command = ["runuser", "-u", "door-agent", "-g", "door", "-G", "video", "--"]
    command += [f"{ROOT}/current/venv/bin/door-agent", "doctor", "--json", "--config", str(CONFIG)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, cwd="/")  # noqa: S603  fixed words
    try:
        checks = json.loads(said.stdout)["checks"]
    except (ValueError, KeyError):
        found = (said.stdout + said.stderr).strip()[-300:]
        return [Result("doctor", ok=False, found=found, expected="a report", do_this="door-agent doctor on the device")]
    return [Result(**{key: one[key] for key in ("name", "ok", "found", "expected", "do_this")}) for one in checks]


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
