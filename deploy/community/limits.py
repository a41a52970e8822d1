"""So many a minute for each key (an address, a manager); the memory for keys is bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import Final

_WINDOW_S: Final = 60.0
_MAX_KEYS: Final = 2000


class PerMinute:
    """Safe for any thread. `allows` counts one and says whether it is still within the bound."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, key: str, now_s: float | None = None) -> bool:
        """False once `key` came more than `most` times within the last minute; refused ones are not counted."""
        now_s = time.monotonic() if now_s is None else now_s
        with self._lock:
            times = self._recent(key, now_s)
            if len(times) >= self._most:
                return False
            times.append(now_s)
            return True

    def spent(self, key: str, now_s: float | None = None) -> bool:
        """Whether the next one would not be allowed; counts nothing."""
        with self._lock:
            return len(self._recent(key, time.monotonic() if now_s is None else now_s)) >= self._most

    def _recent(self, key: str, now_s: float) -> deque[float]:
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while len(self._seen) > _MAX_KEYS:
            self._seen.popitem(last=False)
        while times and now_s - times[0] >= _WINDOW_S:
            times.popleft()
        return times
