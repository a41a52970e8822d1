"""Who the people nearest to an enrolled person are, kept as long as no change of the gallery concerns it.

A search looks through everybody twice for somebody met for the first time: for the face, and for the person it
resembles. The second look is remembered. People come and go without making it worthless: it still holds if nobody whom
it found was changed and nobody who was changed is as near as the farthest whom it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

_MOST_CHANGES: Final = 4_000  # to look through; then everything is forgotten
_NEARLY: Final = 1e-5  # two products of the same vectors may differ by so much


class Look(NamedTuple):
    """One look through everybody: the nearest to a vector, nearest first."""

    vector: Floats
    rows: NDArray[np.intp]
    similarities: Floats
    everybody: bool  # nobody is farther than those


@dataclass(slots=True, eq=False)
class Neighbours:
    """Of one row: the others nearest to it, those who could pass for it with their match distance, nearest first.

    `rests_on`: every look that this was read off. `as_of`: the number of changes known then.
    """

    rows: NDArray[np.intp]
    similarities: Floats
    passing: list[tuple[int, float]]
    rests_on: tuple[Look, ...]
    as_of: int = 0


class Kept:
    """The neighbours of rows that were the best lately. Owned by one gallery."""

    def __init__(self) -> None:
        self._of: dict[int, Neighbours] = {}
        self._changed: list[int] = []

    def forget(self) -> None:
        """All of it."""
        self._of.clear()
        self._changed.clear()

    def change(self, row: int) -> None:
        """Another person or another vector stands in this row now, or none any more."""
        if len(self._changed) == _MOST_CHANGES or not self._of:
            self.forget()
        if self._of:
            self._changed.append(row)

    def put(self, row: int, found: Neighbours) -> None:
        """Keep what was just found out."""
        found.as_of = len(self._changed)
        self._of[row] = found

    def get(self, row: int, matrix: Floats) -> Neighbours | None:
        """What is known of a row and still true, given everybody's vectors float32[people, dim]."""
        found = self._of.get(row)
        if found is None:
            return None
        changed = np.unique(np.array(self._changed[found.as_of :], np.intp))
        if not all(_holds(look, changed, matrix) for look in found.rests_on):
            del self._of[row]
            return None
        found.as_of = len(self._changed)
        return found


def _holds(look: Look, changed: NDArray[np.intp], matrix: Floats) -> bool:
    """Whether a look would find the same again."""
    if not len(changed):
        return True
    if look.everybody or np.isin(changed, look.rows).any():
        return False
    vectors = matrix[changed[changed < len(matrix)]]
    farthest = float(matrix[look.rows[-1]] @ look.vector)  # unchanged; both sides as cosines
    return not (vectors @ look.vector >= farthest - _NEARLY).any()
