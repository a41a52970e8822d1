"""Two kinds of time: CLOCK_BOOTTIME for every deadline, wall time with its quality for people and for records."""

from __future__ import annotations

import ctypes
import datetime as dt
import time
from pathlib import Path
from typing import Protocol

from agent.core.journal import ClockQuality

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 208  # sizeof(struct timex) on 64-bit Linux; `modes` is its first int, 0 means read only
_SET_FROM_RTC = Path("/sys/class/rtc/rtc0/hctosys")
_YEAR_9999_MS = 253_402_300_799_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the shell knows about time. Safe to call from any thread."""

    def now_s(self) -> float:
        """CLOCK_BOOTTIME, seconds: the same for every process on this machine, never set back."""

    def utc_ms(self) -> int:
        """Wall time as the system has it, milliseconds since 1970, right or wrong."""

    def quality(self) -> ClockQuality:
        """How far wall time can be believed: NTP, RTC or NONE."""

    def boot_id(self) -> str:
        """Changes with every boot; CLOCK_BOOTTIME values compare only within one."""


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
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
        """NTP once the kernel says that its clock is disciplined; else RTC where one set it at boot."""
        state = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        if 0 <= state < _TIME_ERROR:
            return ClockQuality.NTP
        return ClockQuality.RTC if self._has_rtc else ClockQuality.NONE

    def boot_id(self) -> str:
        """See Clock."""
        return self._boot_id


def rfc3339(utc_ms: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 text in UTC."""
    when = dt.datetime.fromtimestamp(min(utc_ms, _YEAR_9999_MS) / 1000, dt.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
