"""The enrolled people as one float32 matrix; a search is one product.

A person's templates are folded into one vector (their mean direction and mean clarity, scale.py), so that adding a
template or a person and removing a person are O(1) and never pause the door. Owned by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, sample
from models.errors import TemplateMixError
from models.neighbours import Kept, Look, Neighbours
from models.scale import PLAIN, Scale, clarity, unit
from models.template import Template

if TYPE_CHECKING:
    from models.gallery_index import CoarseIndex

COHORT: Final = 10  # people of a cohort; 5 and 20 measure the same
SHARE: Final = 0.7  # of each of the two cohorts that is nothing special (EVALUATION.md, "score")
RIVALS: Final = 3  # people named beside the best one: a family of four who look alike
_FIRST_CAPACITY: Final = 256
_LARGE: Final = 20_000
_MANY_CHANGES: Final = 4_000
_SLACK: Final = 0.05  # the bound of look-alikes moves by less than this when somebody comes or goes


@dataclass(frozen=True, slots=True)
class Match:
    """Best person for one probe. Similarities are cosines on the network's scale, -1..1, higher is closer.

    `rivals` are the next best people with their similarities, at most RIVALS. `cohort_similarity` says how much of the
    similarity is nothing special: the mean of the probe to the next `cohort_size` (at most ten) people and of the best
    person to as many others nearest to him, each counted as at least 0 (EVALUATION.md, "score"), and what is owed to
    both being clear (scale.py). `look_alike` is who of those enrolled resembles the best person's own template within
    Gallery.look_alike_distance, None where nobody does; such people are in neither cohort, or twins would make each
    other strangers in a small house.
    """

    person_id: str
    similarity: float
    rivals: tuple[tuple[str, float], ...]
    cohort_similarity: float
    cohort_size: int
    look_alike: LookAlike | None = None


@dataclass(frozen=True, slots=True)
class LookAlike:
    """An enrolled person, and how far a face is from passing for him (a relative match distance, lower is closer)."""

    person_id: str
    match_distance: float


class Gallery:
    """Everybody enrolled with one network and one alignment."""

    def __init__(self, *, model_id: str, alignment_id: str, dim: int, scale: Scale = PLAIN) -> None:
        """`scale`: what the network's numbers mean (Embedder.scale)."""
        self.model_id = model_id
        self.alignment_id = alignment_id
        self.dim = dim
        self.scale = scale
        self._rows = np.zeros((_FIRST_CAPACITY, dim), np.float32)  # unit vectors, one a person
        self._lengths = np.zeros(_FIRST_CAPACITY, np.float32)  # length of the sum of a person's templates' directions
        self._clarities = np.zeros(_FIRST_CAPACITY, np.float32)  # mean of a person's templates'
        self._counts = np.zeros(_FIRST_CAPACITY, np.int32)
        self._people: list[str] = []
        self._index: dict[str, int] = {}
        self._coarse: CoarseIndex | None = None
        self._changed: set[int] = set()  # rows that the coarse index does not know as they are
        self._known = Kept()
        self._look_alike_distance = 0.0
        self._kept_within = _SLACK  # how far look-alikes are whom _known tells

    def __len__(self) -> int:
        """People enrolled."""
        return len(self._people)

    @property
    def template_count(self) -> int:
        """Templates folded into the matrix."""
        return int(self._counts[: len(self)].sum())

    @property
    def people(self) -> tuple[str, ...]:
        """Person ids in the order of `matrix`."""
        return tuple(self._people)

    @property
    def matrix(self) -> Floats:
        """float32[people, dim]: a copy, each row of the length of its clarity."""
        return self.some(len(self))

    def some(self, most: int) -> Floats:
        """float32[n, dim]: a copy of at most so many people's vectors, the same ones each time."""
        rows = sample(len(self), most)
        return np.asarray(self._rows[rows] * self._clarities[rows, None], np.float32)

    @property
    def _units(self) -> Floats:
        """float32[people, dim]: everybody's direction, a view that is good until the next change."""
        return self._rows[: len(self)]

    @property
    def look_alike_distance(self) -> float:
        """Enrolled people who are nearer to each other are look-alikes (see Match); 0.0 until it is set: nobody is."""
        return self._look_alike_distance

    @look_alike_distance.setter
    def look_alike_distance(self, value: float) -> None:
        self._look_alike_distance = value
        if value > self._kept_within:
            self._known.forget()
            self._kept_within = value + _SLACK

    def add(self, person_id: str, template: Template) -> None:
        """Fold one more template of a person in. Raises TemplateMixError for another network's vector."""
        made_by, wanted = (template.model_id, template.alignment_id), (self.model_id, self.alignment_id)
        if made_by != wanted or template.vector.shape != (self.dim,):
            raise TemplateMixError(
                f"a template made by {'/'.join(made_by)} cannot join a gallery of {'/'.join(wanted)}: "
                "enrol this person again"
            )
        row = self._index.get(person_id)
        if row is None:
            row = self._append(person_id)
        total = self._rows[row] * self._lengths[row] + unit(template.vector)
        length = float(np.linalg.norm(total))
        self._rows[row] = total / max(length, 1e-6)
        self._lengths[row] = length
        self._counts[row] += 1
        self._clarities[row] += (float(clarity(template.vector)) - self._clarities[row]) / self._counts[row]
        self._changed.add(row)
        self._known.change(row)

    def _append(self, person_id: str) -> int:
        row = len(self._people)
        if row == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._clarities = np.concatenate([self._clarities, np.zeros_like(self._clarities)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._people.append(person_id)
        self._index[person_id] = row
        return row

    def remove(self, person_id: str) -> bool:
        """Forget a person, and overwrite the vector. False if nobody of this id was enrolled."""
        row = self._index.pop(person_id, None)
        if row is None:
            return False
        last = len(self._people) - 1
        moved = self._people.pop()
        if row != last:
            self._people[row], self._index[moved] = moved, row
        for store in (self._rows, self._lengths, self._clarities, self._counts):
            store[row] = store[last]
            store[last] = 0
        self._changed.add(row)
        self._known.change(row)
        self._known.change(last)
        return True

    def settle(self) -> None:
        """Make searches of a very large gallery fast (under 5 ms for 100,000 people); needs a second and is optional.

        Later changes stay exact; after many of them searches are as slow as before until this is called again.
        """
        self._changed.clear()
        self._coarse = None
        if len(self) >= _LARGE:
            from models.gallery_index import CoarseIndex  # needs onnx, which small galleries never load

            self._coarse = CoarseIndex(self._units)

    def search(self, vector: Floats) -> Match | None:
        """Best person for a vector float32[dim], or None from an empty gallery."""
        if not self._people:
            return None
        rows, similarities = self._nearest(unit(vector))
        best, others = int(rows[0]), rows[1:]
        about = self._about(best)
        alike = [one for one in about.passing if one[1] <= self._look_alike_distance]
        none = [row for row, _ in alike]
        cohort = similarities[1:][~np.isin(others, none)][:COHORT]
        crowd = _mean(about.similarities[~np.isin(about.rows, none)][:COHORT])
        owed = self.scale.owed_to_clarity(float(clarity(vector)), float(self._clarities[best]))
        return Match(
            self._people[best],
            float(similarities[0]),
            self._named(others[:RIVALS], similarities[1:]),
            (_mean(cohort) + crowd + owed / SHARE) / 2,
            len(cohort),
            self._look_alike(*alike[0]) if alike else None,
        )

    def nearest(self, vector: Floats) -> str | None:
        """Who resembles a vector float32[dim] most, as `search` finds it; None from an empty gallery."""
        if not self._people:
            return None
        direction = unit(vector)
        rows = self._worth_comparing(direction)
        if rows is None:
            return self._people[int(np.argmax(self._units @ direction))]
        return self._people[int(rows[np.argmax(self._rows[rows] @ direction)])]

    def look_alikes(self, vector: Floats, within: float, *, apart_from: str | None = None) -> tuple[LookAlike, ...]:
        """Enrolled people for whom a vector float32[dim] could pass, nearest first, at most RIVALS.

        `apart_from`: the person whose vector this is, if it is enrolled already.
        """
        if not self._people:
            return ()
        own = self._index.get(apart_from) if apart_from is not None else None
        found = self._passing_for(*_without(own, *self._nearest(unit(vector))), float(clarity(vector)), within, own, [])
        return tuple(self._look_alike(row, distance) for row, distance in found)

    def _passing_for(
        self,
        rows: NDArray[np.intp],
        similarities: Floats,
        clearly: float,
        within: float,
        own: int | None,
        looks: list[Look],
    ) -> list[tuple[int, float]]:
        """Rows and distances within `within` of a face of clarity `clearly`; each look through all is added to `looks`.

        The first few of each list may all be alike: they are no background.
        """
        background = _mean(similarities[RIVALS : RIVALS + COHORT])
        found = []
        for row, similarity in zip(rows[:RIVALS], similarities[:RIVALS], strict=False):
            owed = self.scale.owed_to_clarity(clearly, float(self._clarities[row]))
            distance = 1.0 - float(similarity) + SHARE * background + owed
            if distance > within:
                continue
            looks.append(self._look(int(row)))
            theirs = _without(own, *_without(int(row), looks[-1].rows, looks[-1].similarities))[1]
            distance += SHARE * _mean(theirs[RIVALS - 1 : RIVALS - 1 + COHORT])
            if distance <= within:
                found.append((int(row), distance))
        return found

    def _nearest(self, vector: Floats) -> tuple[NDArray[np.intp], Floats]:
        """The nearest people, enough for rivals and a cohort: rows and similarities, nearest first."""
        rows = self._worth_comparing(vector)
        similarities = self._rows[: len(self._people)] @ vector if rows is None else self._rows[rows] @ vector
        keep = min(len(similarities), 2 + RIVALS + COHORT)
        best = np.argpartition(-similarities, keep - 1)[:keep]
        order = best[np.argsort(-similarities[best])]
        return (order if rows is None else rows[order]), self.scale.likeness(similarities[order])

    def _look(self, row: int) -> Look:
        vector = self._rows[row].copy()
        rows, similarities = self._nearest(vector)
        return Look(vector, rows, similarities, everybody=len(rows) == len(self))

    def _about(self, row: int) -> Neighbours:
        """Who resembles this person, and how near the people nearest to him are."""
        found = self._known.get(row, self._units)
        if found is None:
            looks = [self._look(row)]
            rows, similarities = _without(row, looks[0].rows, looks[0].similarities)
            clearly = float(self._clarities[row])
            passing = self._passing_for(rows, similarities, clearly, self._kept_within, row, looks)
            found = Neighbours(rows, similarities, passing, tuple(looks))
            self._known.put(row, found)
        return found

    def _named(self, rows: NDArray[np.intp], similarities: Floats) -> tuple[tuple[str, float], ...]:
        return tuple((self._people[row], float(one)) for row, one in zip(rows, similarities, strict=False))

    def _look_alike(self, row: int, match_distance: float) -> LookAlike:
        return LookAlike(self._people[row], match_distance)

    def _worth_comparing(self, vector: Floats) -> NDArray[np.intp] | None:
        """Rows that may hold one of the nearest people; None for all."""
        if self._coarse is None or len(self._changed) > _MANY_CHANGES:
            return None
        rows = np.union1d(self._coarse.candidates(vector), np.fromiter(self._changed, np.intp))
        return rows[rows < len(self._people)]


def _without(row: int | None, rows: NDArray[np.intp], similarities: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The same without one row."""
    return (rows, similarities) if row is None else (rows[rows != row], similarities[rows != row])


def _mean(similarities: Floats) -> float:
    return max(0.0, float(similarities.mean())) if len(similarities) else 0.0
