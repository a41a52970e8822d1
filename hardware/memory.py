"""The guard's memory stays in memory: a page that has to come from a stalled card is a late fire release."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # <bits/mman.h>


def lock_memory() -> str:
    """Lock every page of this process, now and later, and fetch its programs and libraries at once.

    Untouched parts of thread stacks stay out (ONFAULT), or each would cost 8 MB. Returns why it failed, empty if it
    did not: a guard that may not lock its memory still guards.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT):
        return f"memory is not locked: {os.strerror(ctypes.get_errno())}; LimitMEMLOCK= of the unit allows it"
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, _, *file = line.split(maxsplit=5)
        if file and file[0].startswith("/") and rights.startswith("r"):
            first, end = (int(number, 16) for number in span.split("-"))
            libc.mlock(ctypes.c_void_p(first), ctypes.c_size_t(end - first))  # one that fails is fetched when touched
    return ""
