"""The controller's mailbox: any thread posts, one thread takes, what touches a person's way out overtakes the rest."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from typing import TypeVar

from agent.core.events import GuardChanged, LineChanged, RelayReported

T = TypeVar("T")

_URGENT = (LineChanged, RelayReported, GuardChanged)
_MAX_WAITING = 10_000


class Mailbox:
    """Unbounded for the lines of the door, bounded for everything else, in order within each."""

    def __init__(self) -> None:
        self._items: queue.PriorityQueue[tuple[int, int, object]] = queue.PriorityQueue()
        self._order = itertools.count()
        self.dropped = 0

    def post(self, event: object) -> None:
        """Hand an event to the controller. Never blocks, never raises; drops ordinary events past 10,000 waiting."""
        urgent = isinstance(event, _URGENT)
        if not urgent and self._items.qsize() >= _MAX_WAITING:
            self.dropped += 1
            return
        self._items.put((0 if urgent else 1, next(self._order), event))

    def take(self, timeout_s: float) -> object | None:
        """The next event, or None when none came within `timeout_s`."""
        try:
            return self._items.get(timeout=max(timeout_s, 0.0))[2] if timeout_s > 0 else self._items.get_nowait()[2]
        except queue.Empty:
            return None


def guarded(post: Callable[[object], None], name: str, callback: Callable[[T], None]) -> Callable[[T], None]:
    """Wrap a callback that runs on a borrowed thread: an exception becomes an event, not a dead thread."""

    def call(argument: T) -> None:
        try:
            callback(argument)
        except Exception as e:  # noqa: BLE001  the borrowed thread must survive whatever happens here
            post(CallbackFailed(name, f"{type(e).__name__}: {e}"))

    return call


class CallbackFailed:
    """A callback on a borrowed thread raised. Recorded, never fatal."""

    def __init__(self, where: str, detail: str) -> None:
        self.where, self.detail = where, detail[:300]
