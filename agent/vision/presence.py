"""Who has been in view without a break, and since when: somebody who only stays is one visit, however long.

A resident is in view from the first look at a face that was recognised as hers until nobody has seen that face for
AWAY_S. Who turns the head away for a moment has not left; who went in and comes back has. Time in which no picture was
judged (a frozen, dark or covered camera) counts as _PAUSE_S of absence: nobody can say who stood there, but whoever is
in none of the pictures of a slow camera has gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

AWAY_S: Final = 1.5  # with the moment for which a lost face is still looked for (vision/eyes.py): two seconds
_PAUSE_S: Final = 1.0
_FORGET_S: Final = 600.0  # unseen for so long: no face in view can be theirs still


@dataclass(slots=True)
class _Stay:
    since_s: float
    seen_s: float


class Presence:
    """One thread. Times are those of the pictures, CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._stays: dict[str, _Stay] = {}
        self._watched_s: float | None = None

    def watched(self, person_ids: Iterable[str], at_s: float) -> None:
        """A picture was judged at `at_s`, and these recognised people are still followed in it."""
        pause_s = at_s - self._watched_s if self._watched_s is not None else 0.0
        self._watched_s = at_s
        for stay in self._stays.values():
            stay.seen_s += max(0.0, pause_s - _PAUSE_S)
        for person_id in self._stays.keys() & set(person_ids):
            self._stays[person_id].seen_s = at_s
        self._stays = {p: stay for p, stay in self._stays.items() if at_s - stay.seen_s <= _FORGET_S}

    def recognised(self, person_id: str, first_at_s: float, at_s: float) -> float:
        """Since when this person has been in view; `first_at_s` is the first look at the face recognised at `at_s`."""
        stay = self._stays.get(person_id)
        if stay is None or first_at_s > stay.seen_s + AWAY_S:
            stay = self._stays[person_id] = _Stay(first_at_s, at_s)
        stay.seen_s = max(stay.seen_s, at_s)
        return stay.since_s
