"""How often somebody whom nobody knows was here before: a count, from vectors that stay in this process and expire.

Anonymous and short-lived: no name, no number of a cluster and no vector ever leaves; nothing is on a disk; a vector is
overwritten when the configured time since its first visit is over, however often its owner comes, and all of it ends
with the process. A count is a hint, not evidence: people who look alike may be counted as one, and one person in
another light as two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.arrays import Floats
from models.scale import unit

_MOST: Final = 200  # strangers remembered; the one not seen for longest goes first
_SAME_VISIT_S: Final = 60.0  # somebody who stays is one visit


@dataclass(slots=True)
class _Stranger:
    vector: Floats
    visits: int
    first_s: float
    seen_s: float


class Strangers:
    """One thread. `same_person`: the network's smallest usual cosine of one person (Embedder.same_person_similarity).

    Averages of several frames agree better than single pictures, so a fifth of the way from there to 1 is asked for.
    """

    def __init__(self, same_person: float) -> None:
        self._min_cosine = same_person + (1 - same_person) / 5
        self._known: list[_Stranger] = []

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    def visits_before(self, vector: Floats, at_s: float, remember_s: float) -> int:
        """Earlier visits of whoever has this vector, float32[dim]; this visit is remembered for `remember_s`."""
        self.forget(at_s, remember_s)
        if remember_s <= 0:
            return 0
        found = self._nearest(vector)
        if found is None:
            self._make_room()
            self._known.append(_Stranger(unit(vector), 1, at_s, at_s))
            return 0
        if at_s - found.seen_s > _SAME_VISIT_S:
            found.visits += 1
        found.seen_s = at_s
        return found.visits - 1

    def forget(self, at_s: float, remember_s: float) -> None:
        """Overwrite whoever was first seen more than `remember_s` ago; 0 forgets everybody."""
        for one in [one for one in self._known if remember_s <= 0 or at_s - one.first_s > remember_s]:
            self._drop(one)

    def _make_room(self) -> None:
        if len(self._known) >= _MOST:
            self._drop(min(self._known, key=lambda one: one.seen_s))

    def _drop(self, one: _Stranger) -> None:
        one.vector[:] = 0
        self._known.remove(one)

    def _nearest(self, vector: Floats) -> _Stranger | None:
        if not self._known:
            return None
        cosines = np.array([one.vector for one in self._known], np.float32) @ unit(vector)
        best = int(cosines.argmax())
        return self._known[best] if float(cosines[best]) >= self._min_cosine else None
