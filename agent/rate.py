"""How often something may happen: a bucket that fills by itself and is emptied by use."""

from __future__ import annotations


class Rate:
    """`per_s` of them in the long run, `burst` at once (by default one second's worth). Begins full. For one thread."""

    def __init__(self, per_s: float, burst: float | None = None) -> None:
        self._per_s, self._full = per_s, max(1.0, per_s if burst is None else burst)
        self._level, self._at_s = self._full, 0.0

    def take(self, now_s: float) -> bool:
        """Use one, if there is one."""
        self._level = min(self._full, self._level + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True
