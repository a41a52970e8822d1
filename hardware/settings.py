"""What the guard must know, read from the door's own configuration file: sections [door], [hardware] and [runtime].

The guard reads the file itself, with the standard library, so that it starts and releases for fire and exit even when
the agent cannot. In these three sections every key must be known, here as in agent/config_hardware.py: a misspelt
`active_high = false` must not become the default, which would energise the relay of an active-low board for good. The
values that are the agent's alone are left to it, and so are all other sections. Names, bounds and defaults of both
sides are held together by tests.

A guard that refuses claims no line: the relay stays as its resistor has it, dropped, and nobody releases for exit or
fire but the emergency release in series with the lock's power (README.md).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from hardware.errors import SettingsError
from hardware.ports import InputPin, OutputPin

INPUTS = ("contact", "exit", "fire", "tamper", "lock_power", "doorbell")
MAX_PIN = 27
MAX_DEBOUNCE_MS = 500
MAX_WAY_OUT_DEBOUNCE_MS = 50  # exit and fire: with the guard's pace below the 100 ms that are promised
_WAY_OUT = ("exit", "fire")
_OUTPUTS = ("buzzer", "led_red", "led_green")
# Every key of the sections that the guard reads, in the order of agent/config_hardware.py.
DOOR_KEYS = (
    *("site", "id", "timezone", "lock_type", "lock_duty", "release_time_s", "extended_release_time_s"),
    *("open_time_s", "pre_alarm_time_s", "relock_on_close", "relock_delay_s", "lockout_refusals", "lockout_s"),
)
HARDWARE_KEYS = (
    *("backend", "chip", "relay", "inputs"),
    *(f"{name}_{what}" for name in _OUTPUTS for what in ("pin", "active_high")),
)
RELAY_KEYS = ("pin", "active_high")
INPUT_KEYS = ("pin", "active_low", "pull", "debounce_ms")
RUNTIME_KEYS = ("agent_dir", "guard_dir")
# A word that is right elsewhere, and what it means here.
_ELSEWHERE = {
    ("active_low", RELAY_KEYS): "write active_high = false for a board that energises on a low level",
    ("active_high", INPUT_KEYS): "write active_low = false for a line that is active on a high level",
}


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """One door's lines. `lock_type` has no default: nobody may guess whether power opens or shuts a lock."""

    relay: OutputPin
    lock_type: Literal["fail-safe", "fail-secure"]
    inputs: Mapping[str, InputPin] = field(default_factory=dict)
    lamps: Mapping[str, OutputPin] = field(default_factory=dict)  # of: buzzer, led_red, led_green
    backend: Literal["lgpio", "simulated"] = "lgpio"
    chip: int = 0
    lock_duty: Literal["continuous", "intermittent"] = "intermittent"
    release_time_s: float = 5.0
    cap_s: float = 10.0
    socket_dir: str = "/run/door-guard"

    @property
    def socket_path(self) -> str:
        """Where the agent finds the guard."""
        return f"{self.socket_dir}/guard.sock"

    @property
    def bench_path(self) -> str:
        """Where a test finds the simulated lines (see simulated.py)."""
        return f"{self.socket_dir}/bench.sock"


def load_settings(path: str) -> GuardSettings:
    """Read the configuration file at `path` (TOML).

    Raises:
        SettingsError: it cannot be read, or one of the guard's keys is missing or not allowed.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # as the agent: editors may put a mark
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    return parse_settings(document, path)


def parse_settings(document: Mapping[str, Any], path: str) -> GuardSettings:
    """The same from a parsed file; `path` is for messages."""
    door = _Table(document.get("door"), f"{path}: [door]", DOOR_KEYS)
    hardware = _Table(document.get("hardware"), f"{path}: [hardware]", HARDWARE_KEYS)
    runtime = _Table(document.get("runtime", {}), f"{path}: [runtime]", RUNTIME_KEYS)
    relay = hardware.table("relay", RELAY_KEYS)
    inputs = hardware.table("inputs", INPUTS)
    polarity = {name: hardware.flag(f"{name}_active_high", default=True) for name in _OUTPUTS}
    lamps = {
        name: OutputPin(hardware.whole(f"{name}_pin", 0, MAX_PIN), polarity[name])
        for name in _OUTPUTS
        if hardware.has(f"{name}_pin")
    }
    settings = GuardSettings(
        relay=OutputPin(relay.whole("pin", 0, MAX_PIN), relay.flag("active_high", default=True)),
        lock_type=cast(Literal["fail-safe", "fail-secure"], door.word("lock_type", ("fail-safe", "fail-secure"))),
        lock_duty=cast(
            Literal["continuous", "intermittent"],
            door.word("lock_duty", ("continuous", "intermittent"), "intermittent"),
        ),
        release_time_s=door.number("release_time_s", 1.0, 10.0, 5.0),
        backend=cast(Literal["lgpio", "simulated"], hardware.word("backend", ("lgpio", "simulated"), "lgpio")),
        chip=hardware.whole("chip", 0, 9, 0),
        inputs={name: _input(name, inputs.table(name, INPUT_KEYS)) for name in inputs.names()},
        lamps=lamps,
        socket_dir=runtime.place("guard_dir", "/run/door-guard"),
    )
    _refuse_shared_pins(settings, path)
    return settings


def _input(name: str, table: _Table) -> InputPin:
    limit_ms = MAX_WAY_OUT_DEBOUNCE_MS if name in _WAY_OUT else MAX_DEBOUNCE_MS
    return InputPin(
        pin=table.whole("pin", 0, MAX_PIN),
        active_low=table.flag("active_low", default=True),
        pull=cast(Literal["up", "down", "none"], table.word("pull", ("up", "down", "none"), "up")),
        debounce_ms=table.whole("debounce_ms", 0, limit_ms, 30),
    )


def _refuse_shared_pins(settings: GuardSettings, path: str) -> None:
    used: dict[int, str] = {}
    lines: Mapping[str, InputPin | OutputPin] = {"relay": settings.relay, **settings.inputs, **settings.lamps}
    for name, pin in lines.items():
        if pin.pin in used:
            raise SettingsError(f"{path}: GPIO{pin.pin} is used for both {used[pin.pin]} and {name}: give each its own")
        used[pin.pin] = name


class _Table:
    """One section, all of its keys known: every look-up says where, what was found and what is allowed."""

    def __init__(self, found: object, where: str, known: tuple[str, ...]) -> None:
        if not isinstance(found, dict):
            raise SettingsError(f"{where} is missing" if found is None else f"{where} must be a section")
        self._found = found
        self._where = where
        for key in found:
            if key not in known:
                raise SettingsError(f"{where}: unknown key {key!r} ({_meant(key, known)})")

    def table(self, key: str, known: tuple[str, ...]) -> _Table:
        """A section below; [hardware.inputs] may be left out."""
        return _Table(self._found.get(key, {} if key == "inputs" else None), f"{self._where}.{key}", known)

    def has(self, key: str) -> bool:
        """Whether an optional key is there."""
        return key in self._found

    def names(self) -> list[str]:
        """The keys that are there."""
        return list(self._found)

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number; True is none."""
        value = self._found.get(key, default)
        if type(value) is not int or not low <= value <= high:
            self._refuse(key, value, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """A number."""
        value = self._found.get(key, default)
        if type(value) not in (int, float) or not low <= value <= high:
            self._refuse(key, value, f"a number from {low} to {high}")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false; the text "false" is neither."""
        value = self._found.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, value, "true or false")
        return value

    def word(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words."""
        value = self._found.get(key, default)
        if value not in allowed:
            self._refuse(key, value, f"one of {', '.join(allowed)}")
        return cast(str, value)

    def place(self, key: str, default: str) -> str:
        """A folder, from the root."""
        value = self._found.get(key, default)
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
            self._refuse(key, value, "text, a path that begins with /")
        return value

    def _refuse(self, key: str, value: object, allowed: str) -> NoReturn:
        found = "it is missing" if value is None else f"found {value!r}"
        raise SettingsError(f"{self._where}: {key} must be {allowed}, {found}")


def _meant(key: str, known: tuple[str, ...]) -> str:
    if (key, known) in _ELSEWHERE:
        return _ELSEWHERE[key, known]
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
