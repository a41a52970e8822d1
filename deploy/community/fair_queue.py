"""Messages of many doors on their way to one thread: each door's in order, the doors in turns.

A door that sends without end fills its own part and waits for its own turn; the others do not notice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """At most `most` items, `most_each` of one owner. Any thread may call."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0
        self._woken = False

    def put(self, owner: str, item: T) -> bool:
        """False, and the item is dropped, when the owner's part or the whole is full."""
        with self._changed:
            own = self._waiting.setdefault(owner, deque())
            if len(own) >= self._most_each or self._count >= self._most:
                if not own:
                    del self._waiting[owner]
                return False
            own.append(item)
            self._count += 1
            self._changed.notify()
            return True

    def wake(self) -> None:
        """Let `take` return now, with or without items."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, most: int, timeout_s: float) -> list[T]:
        """Up to `most` items, one owner after the other; waits up to `timeout_s` for the first or for `wake`."""
        with self._changed:
            self._changed.wait_for(lambda: self._count or self._woken, max(timeout_s, 0))
            self._woken = False
            return [self._next() for _ in range(min(most, self._count))]

    def _next(self) -> T:
        owner, own = self._waiting.popitem(last=False)
        item = own.popleft()
        if own:
            self._waiting[owner] = own  # at the end: the others come first
        self._count -= 1
        return item
