"""Two kinds of time: CLOCK_BOOTTIME for every deadline, wall time with its quality for people and for records.

A wall clock that NTP has set stays believed without a network for HELD_FOR_S: the device's own oscillator carries it on
with an error of at most HELD_PPM, so by 8.6 s a day. The kernel alone would call it unsynchronised after 8.9 hours.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import json
import time
from pathlib import Path
from typing import Any, Protocol

from agent.core.journal import ClockQuality

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 208  # sizeof(struct timex) on 64-bit Linux; `modes` is its first int, 0 means read only
_SET_FROM_RTC = Path("/sys/class/rtc/rtc0/hctosys")
_YEAR_9999_MS = 253_402_300_799_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
HELD_FOR_S = 7 * 86400.0
HELD_PPM = 100.0  # crystals of small computers keep 20 to 50 in any weather, and the kernel goes on correcting them
_HELD_SLACK_S = 0.5  # the two clocks are not read in one instant
_KEEP_EVERY_S = 600.0


class Clock(Protocol):
    """What the shell knows about time. Safe to call from any thread."""

    def now_s(self) -> float:
        """CLOCK_BOOTTIME, seconds: the same for every process on this machine, never set back."""

    def utc_ms(self) -> int:
        """Wall time as the system has it, milliseconds since 1970, right or wrong."""

    def quality(self) -> ClockQuality:
        """How far wall time can be believed: NTP (set by it and carried on since, see the module), RTC or NONE."""

    def boot_id(self) -> str:
        """Changes with every boot; CLOCK_BOOTTIME values compare only within one."""


class HeldTime:
    """Whether a wall clock is still the one that NTP set. Any thread; the newest word wins.

    Somebody who sets the clock by hand leaves what NTP said: then it is not held any more, and neither is it after
    HELD_FOR_S. All times in seconds, `at_s` on CLOCK_BOOTTIME.
    """

    def __init__(self) -> None:
        self.known: tuple[float, float] | None = None  # wall time, and CLOCK_BOOTTIME then

    def set(self, utc_s: float, at_s: float) -> None:
        """NTP says that it is `utc_s` now."""
        self.known = (utc_s, at_s)

    def holds(self, utc_s: float, at_s: float) -> bool:
        """Whether a clock that shows `utc_s` now can still be believed."""
        if self.known is None:
            return False
        known_utc_s, known_at_s = self.known
        since_s = at_s - known_at_s
        off_s = abs(utc_s - known_utc_s - since_s)
        return 0 <= since_s <= HELD_FOR_S and off_s <= _HELD_SLACK_S + since_s * HELD_PPM / 1e6


class SystemClock:
    """The machine's clocks. `keep`: a file in memory (/run) through which a restarted process knows what NTP said."""

    def __init__(self, keep: Path | None = None, *, libc: Any = None) -> None:  # noqa: ANN401  a C library
        self._libc = libc or ctypes.CDLL(None, use_errno=True)
        self._held, self._keep, self._kept_s = HeldTime(), keep, float("-inf")
        self._take_up()
        try:
            self._boot_id = _BOOT_ID.read_text().strip()
        except OSError:
            self._boot_id = "unknown"
        try:
            self._has_rtc = _SET_FROM_RTC.read_text().strip() == "1"
        except OSError:
            self._has_rtc = False

    def now_s(self) -> float:
        """See Clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def utc_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def quality(self) -> ClockQuality:
        """NTP while the kernel says that its clock is disciplined, or was and is held; else RTC where one set it."""
        state = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        utc_s, now_s = time.time(), self.now_s()
        if 0 <= state < _TIME_ERROR:
            self._held.set(utc_s, now_s)
            if now_s - self._kept_s >= _KEEP_EVERY_S:
                self._put_down(now_s)
            return ClockQuality.NTP
        if self._held.holds(utc_s, now_s):
            return ClockQuality.NTP
        return ClockQuality.RTC if self._has_rtc else ClockQuality.NONE

    def boot_id(self) -> str:
        """See Clock."""
        return self._boot_id

    def _put_down(self, now_s: float) -> None:
        self._kept_s = now_s
        if self._keep is not None:
            fresh = self._keep.with_suffix(".new")
            with contextlib.suppress(OSError):  # the next process waits for NTP, as after a boot
                fresh.write_text(json.dumps(self._held.known))
                fresh.replace(self._keep)

    def _take_up(self) -> None:
        """Only of this boot: the file is in memory, and CLOCK_BOOTTIME began anew with it."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            if self._keep is not None:
                utc_s, at_s = json.loads(self._keep.read_text())
                self._held.set(float(utc_s), float(at_s))


def rfc3339(utc_ms: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 text in UTC."""
    when = dt.datetime.fromtimestamp(min(utc_ms, _YEAR_9999_MS) / 1000, dt.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
