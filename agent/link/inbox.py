"""A queue that `select` can wait for: others put, the link sleeps on its socket and on this at once."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable, Iterator


class Inbox:
    """Actions for one thread. Lives as long as the process: its descriptor is closed with the object."""

    def __init__(self) -> None:
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        """What to select on."""
        return self._fd

    def put(self, action: Callable[[], None]) -> None:
        """Hand over, from any thread; never blocks."""
        self._actions.put(action)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._fd, 1)

    def take(self) -> Iterator[Callable[[], None]]:
        """Everything that waits, in order."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._actions.get_nowait()
