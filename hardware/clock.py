"""The one clock of this package."""

from __future__ import annotations

import time


def boottime_s() -> float:
    """CLOCK_BOOTTIME in seconds: shared by all processes of the device, and it goes on while the device sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
