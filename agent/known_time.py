"""The wall time as the door knows it: local time while a clock can be trusted, and a time that has passed for sure."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import Clock, SystemClock
from agent.config import Config
from agent.core.journal import ClockQuality
from agent.journal.schema import JournalDamagedError
from agent.journal.store import Store


class KnownTime:
    """Used by the controller's thread only. `floor_utc_s` gives the newest wall time of the journal."""

    def __init__(self, clock: Clock, zone: ZoneInfo, floor_utc_s: Callable[[], float]) -> None:
        self._clock, self._zone, self._stored_utc_s = clock, zone, floor_utc_s
        self._known: tuple[float, float] | None = None  # wall time, and CLOCK_BOOTTIME then

    def note(self, now_s: float) -> None:
        """In every turn: what the wall clock said while it was right, so that its floor stands no turn behind."""
        if self._clock.quality() is ClockQuality.NTP:
            self._known = (self._clock.utc_ms() / 1000, now_s)
        elif self._known is None:
            self._known = (self._stored_utc_s(), now_s)

    def now_s(self) -> float:
        """CLOCK_BOOTTIME."""
        return self._clock.now_s()

    def floor_s(self) -> float:
        """A wall time that has passed for sure: the journal's newest, or the known one and the time since."""
        stored_s = self._stored_utc_s()
        if self._known is None:
            return stored_s
        utc_s, at_s = self._known
        return max(stored_s, utc_s + self._clock.now_s() - at_s) if utc_s else stored_s

    def believed_s(self) -> float:
        """The wall time that a consent given now is dated with: the clock's where it is believed, else the floor."""
        local = self.local()
        return self.floor_s() if local is None else local.timestamp()

    def local(self) -> datetime | None:
        """The door's local time; None while no clock can be trusted."""
        quality, utc_s = self._clock.quality(), self._clock.utc_ms() / 1000
        trusted = quality is ClockQuality.NTP or (quality is ClockQuality.RTC and utc_s >= self.floor_s())
        return datetime.fromtimestamp(utc_s, self._zone) if trusted else None


def known_time_of(config: Config) -> KnownTime:
    """The time as a command beside the agent knows it: the same clock, and the floor of the journal on the disk."""
    clock = SystemClock(Path(config.runtime.agent_dir) / "clock")
    known = KnownTime(clock, ZoneInfo(config.door.timezone), lambda: _journal_floor_s(Path(config.store.state_dir)))
    known.note(clock.now_s())
    return known


def _journal_floor_s(folder: Path) -> float:
    with contextlib.suppress(JournalDamagedError, sqlite3.Error, OSError):
        if (folder / "journal.db").exists():
            with contextlib.closing(Store(folder / "journal.db", writable=False, strict=False)) as store:
                return store.floor_ms / 1000
    return 0.0
