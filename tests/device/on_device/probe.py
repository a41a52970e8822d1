"""On the device: notes when the machine beneath did not run the device at all. `python3 probe.py` until killed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lines import now_s

STALLS = "/run/rig-stalls"
PROBE_EVERY_S = 0.005
STALL_S = 0.02


def stalls_seen() -> list[tuple[float, float]]:
    """What the probe noted: from when to when the device was not run."""
    if not Path(STALLS).exists():
        return []
    lines = [line.split() for line in Path(STALLS).read_text().splitlines()]
    return [(float(words[0]), float(words[1])) for words in lines if len(words) == 2]


def stalled_s(since_s: float, until_s: float) -> float:
    """For how long in this time the machine did not run the device at all."""
    return sum(max(0.0, min(b, until_s) - max(a, since_s)) for a, b in stalls_seen())


def probe() -> None:
    """Sleep a little at the highest priority; note each time the machine woke us late. Until killed."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    with Path(STALLS).open("w", buffering=1) as out:
        before_s = now_s()
        while True:
            time.sleep(PROBE_EVERY_S)
            woken_s = now_s()
            if woken_s - before_s - PROBE_EVERY_S > STALL_S:
                out.write(f"{before_s} {woken_s}\n")
            before_s = woken_s


if __name__ == "__main__":
    probe()
