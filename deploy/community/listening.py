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


SET_S: Final = 5.0  # the wall clock moved against the monotonic one by so much: somebody set it


@dataclass(slots=True)
class Listening:
    """`up` and `down` as they happen; both may be repeated."""

    since_s: float | None = None
    spans: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    lost_s: deque[float] = field(default_factory=lambda: deque(maxlen=OFTEN))
    away_s: float = 0.0
    why: str = "not connected yet"
    told_s: float = float("-inf")
    offset_ms: int | None = None  # wall clock minus monotonic, when it was last looked at

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

    def edge_ms(self, now_s: float, wall_ms: int, span_s: float) -> int | None:
        """Since when, on the wall clock, `span_s` were spent listening; None: not so long yet, or not at this moment.

        What was heard before the wall clock was set can't be compared with now, so counting begins anew.
        """
        offset_ms = wall_ms - round(now_s * 1000)
        if self.offset_ms is not None and abs(offset_ms - self.offset_ms) > SET_S * 1000:
            self.spans.clear()
            self.since_s = now_s if self.since_s is not None else None
        self.offset_ms = offset_ms
        edge_s = self._edge_s(now_s, span_s)
        return None if edge_s is None else round(edge_s * 1000) + offset_ms

    def _edge_s(self, now_s: float, span_s: float) -> float | None:
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
