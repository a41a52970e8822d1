"""How long this server has really been listening: what it did not hear while its own link was away says nothing.

Pure: times are handed in, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

LONG_S: Final = 10.0  # away for so long: a manager should know
OFTEN: Final = 5  # or lost so many times …
OFTEN_WITHIN_S: Final = 600.0  # … within this
_KEPT: Final = 2000  # spans of listening


@dataclass(slots=True)
class Listening:
    """`up` and `down` as they happen; both may be repeated."""

    since_s: float | None = None
    spans: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    lost_s: deque[float] = field(default_factory=lambda: deque(maxlen=OFTEN))
    away_s: float = 0.0
    why: str = "not connected yet"
    told_s: float = float("-inf")

    def up(self, now_s: float) -> None:
        """Messages of the doors arrive from now on."""
        if self.since_s is None:
            self.since_s = now_s

    def down(self, now_s: float, why: str) -> None:
        """They do not."""
        self.why = why
        if self.since_s is not None:
            self.spans.append((self.since_s, now_s))
            self.since_s, self.away_s = None, now_s
            self.lost_s.append(now_s)

    def anew(self, now_s: float) -> None:
        """The wall clock was set: what was heard before can't be placed any more."""
        self.spans.clear()
        self.since_s = now_s if self.since_s is not None else None

    def edge_s(self, now_s: float, span_s: float) -> float | None:
        """Since when `span_s` were spent listening; None: not so long yet, or not at this moment."""
        if self.since_s is None:
            return None
        left_s = span_s
        for begin_s, end_s in ((self.since_s, now_s), *reversed(self.spans)):
            if end_s - begin_s >= left_s:
                return end_s - left_s
            left_s -= end_s - begin_s
        return None

    def alarm(self, now_s: float) -> str | None:
        """What to tell a manager, once for each time that it is away, and at most once in 10 minutes for losses."""
        if self.since_s is None and now_s - self.away_s >= LONG_S and self.told_s < self.away_s:
            self.told_s = now_s
            return f"no doors are heard: {self.why}"
        often = len(self.lost_s) == OFTEN and now_s - self.lost_s[0] <= OFTEN_WITHIN_S
        if often and now_s - self.told_s >= OFTEN_WITHIN_S:
            self.told_s = now_s
            return f"the connection was lost {OFTEN} times within {OFTEN_WITHIN_S / 60:.0f} minutes: {self.why}"
        return None
