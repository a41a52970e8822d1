"""The guard's standby: a copy of the process that waits for its end, and drops the relay in that millisecond.

Raspberry Pi kernels keep a dead process's line driven. systemd starts relay_off.py after every end of the guard, but an
interpreter has to start for it (0.3 s and more on the virtual device, tests/device/README.md); the standby is already
there, with its memory locked and its turn before everything else that computes. It holds no line, hears nobody, and
ends with the guard.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable

from hardware.memory import lock_memory


def stand_by(drop: Callable[[], None]) -> None:
    """Leave a copy of this process that calls `drop` when this one has ended, whatever ended it.

    For a process without threads that has opened nothing yet: the copy would share it. `drop` runs when the kernel has
    closed all files of the dead process; an OSError of it is said on standard error, for relay_off comes next.
    """
    guard = os.pidfd_open(os.getpid())
    asked = (signal.SIGTERM, signal.SIGINT)  # they stop the guard, and that ends us
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)  # until the copy ignores them: none may end it in its first moment
    if os.fork():
        os.close(guard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
        return
    for number in asked:
        signal.signal(number, signal.SIG_IGN)
    lock_memory()
    ended = select.poll()
    ended.register(guard, select.POLLIN)
    ended.poll()
    try:
        drop()
    except OSError as error:
        sys.stderr.write(f"door-guard: its standby could not drop the relay: {error}\n")
        sys.stderr.flush()
    os._exit(0)
