"""How near is near enough: a bound from the site's own people, leaning on a safe prior while they are few.

Every enrolled person is tried as a stranger to all the others. How near these strangers come (the relative similarity
of agent/core/recognition.py) has a short upper tail, which is fitted and read at the rate the operator can bear. No
pictures of strangers are needed, and the people who live here, not a public set, decide. The prior stands for what a
small roster cannot know yet; its constants are measured, for the group they are least safe for (EVALUATION.md).

Twins, and people enrolled twice, are nobody's strangers: one of each two is left out before the tail is read, or a few
of them would make the bound so strict that nobody comes in (EVALUATION.md, "enrolled twice").
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, sample
from models.gallery import COHORT, SHARE, Gallery
from models.manifest import known
from models.prior import Prior
from models.scale import PLAIN, Scale, clarity, unit

_TAIL: Final = 0.2  # share of the roster that is fitted: with a tenth, a hundred people make a bound of luck
_SHAPE: Final = -0.15  # of the generalised Pareto tail: it ends; fitting it too needs more people than sites have
_LOOK_ALIKES: Final = 0.05  # of the tail, its upper end: relatives; look-alikes get their own rule (core/recognition)
_DOUBLE_RATE: Final = 0.01  # nearer than the prior says of 1 % of strangers,
_DOUBLE_OWN_RATE: Final = 1e-5  # and than the second nearest of 1 person in 100,000 here: one person, or twins
_LEAST_SCALE: Final = 0.02
_FEWEST: Final = 30  # people from whom a tail can be read at all
_ENOUGH: Final = 100  # people who can speak for a network that nobody has measured
SAMPLE: Final = 2000  # people compared with each other: 0.3 s, and more people only make the bound less strict
_ROWS_A_STEP: Final = 100  # compared with everybody: some 6 ms
_PRIOR_PEOPLE: Final = 75.0  # the prior counts like this many people
MANY: Final = 3.0  # pictures or frames, from which on more change little
_RATES: Final = (1e-6, 0.1)


T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]  # work that can be left and gone on with at each step; its value at the end


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted bound. `version` names its numbers; the same roster gives the same version.

    `method`: "roster" (roster and prior, the roster counting `weight`), "prior" (fewer than 30 people), or "none": a
    network without measured prior and too few people, so that no face is near enough. `location` is the relative
    similarity that 20 % of the roster reach against the others, `scale` the size of the tail above it.
    """

    version: str
    model_id: str
    method: str
    people: int
    pictures: float
    weight: float
    location: float
    scale: float

    def max_match_distance(self, fpir_target: float, roster_size: int, frames: float = MANY) -> float:
        """Relative distance (agent/core/recognition.py) that a share `fpir_target` of strangers gets under.

        `frames`: how many of the stranger are averaged. No door decides on fewer than three (core/recognition).
        """
        if self.method == "none":
            return 0.0
        rate = min(max(fpir_target, _RATES[0]), _RATES[1])
        several = _several(self.pictures)
        prior = _prior(self.model_id)
        own = _above((self.location, self.scale), rate)
        similarity = self.weight * (own + (prior.allowance * several if prior else 0.0))
        if prior is not None:
            similarity += (1 - self.weight) * prior.similarity(rate, roster_size, several)
            similarity += (prior.one_picture + prior.many_frames * _several(frames)) * (1 - several)
        return 1.0 - similarity


def fit(matrix: Floats, *, model_id: str, pictures: float = MANY, scale: Scale = PLAIN) -> Calibration:
    """From float32[people, dim], one vector a person; `pictures`: how many, on average, stand behind each.

    `scale` is the gallery's, as the lengths of the vectors are. At most 2,000 people are compared with each other
    (0.3 s), the same ones each time.
    """
    return finished(fit_in_steps(matrix, model_id=model_id, pictures=pictures, scale=scale))


def fit_in_steps(
    matrix: Floats, *, model_id: str, pictures: float = MANY, scale: Scale = PLAIN, people: int | None = None
) -> Steps[Calibration]:
    """`fit`, a few milliseconds at a time, so that somebody before the camera is not kept waiting; on a copy.

    `people`: how many there are, where the matrix holds only some of them (Gallery.some).
    """
    prior = _prior(model_id)
    rows = matrix[sample(len(matrix), SAMPLE)]
    looked_at, people = len(rows), len(matrix) if people is None else people
    rows = yield from _distinct(rows, prior, _several(pictures), scale)
    distinct = people * len(rows) // max(1, looked_at)
    if distinct < _FEWEST:
        return _named("none" if prior is None else "prior", model_id, people, pictures, (0.0, 0.0, 0.0))
    _, relative = yield from _as_strangers(rows, scale)
    location, size = _tail(relative, gone=2 * (looked_at - len(rows)))
    if prior is None:
        method, weight = ("roster", 1.0) if distinct >= _ENOUGH else ("none", 0.0)
    else:
        method, weight = "roster", distinct / (distinct + _PRIOR_PEOPLE)
    return _named(method, model_id, people, pictures, (weight, location, size))


def fit_gallery(gallery: Gallery) -> Calibration:
    """`fit` of everybody in a gallery."""
    return finished(fit_gallery_in_steps(gallery))


def fit_gallery_in_steps(gallery: Gallery) -> Steps[Calibration]:
    """`fit_in_steps` of everybody in a gallery; of very many people only those that are compared are copied."""
    return fit_in_steps(
        gallery.some(SAMPLE),
        model_id=gallery.model_id,
        pictures=gallery.template_count / max(1, len(gallery)),
        scale=gallery.scale,
        people=len(gallery),
    )


def without_doubles(rows: Floats, *, model_id: str, pictures: float, scale: Scale = PLAIN) -> Floats:
    """The rows without one of each two that are more alike than strangers are: float32[m, dim] of float32[n, dim].

    What strangers are here is read off everybody's second nearest: even if everybody is enrolled twice, that is
    somebody else. For at most 2,000 rows.
    """
    return finished(_distinct(rows, _prior(model_id), _several(pictures), scale))


def _distinct(rows: Floats, prior: Prior | None, several: float, scale: Scale) -> Steps[Floats]:
    limit: float | None = None
    while len(rows) > _FEWEST // 2:
        best, relative = yield from _as_strangers(rows, scale)
        if limit is None:
            _, apart = yield from _as_strangers(rows, scale, apart_from=best)
            limit = _above(_tail(apart), _DOUBLE_OWN_RATE)
            if prior is not None:
                limit = max(limit, prior.similarity(_DOUBLE_RATE, len(rows), several))
        number = np.arange(len(rows))
        second_of_two = (relative >= limit) & ((best < number) | (relative[best] < limit))
        if not second_of_two.any():
            break
        rows = rows[~second_of_two]
    return rows


def strangeness(rows: Floats, scale: Scale = PLAIN) -> Floats:
    """float32[n]: the relative similarity of each vector float32[n, dim] as a stranger to all the others."""
    return finished(_as_strangers(rows, scale))[1]


def nearest_others(rows: Floats, scale: Scale = PLAIN) -> list[tuple[int, float]]:
    """For each person the row of the one who resembles him most, and how much; for at most 2,000 people."""
    if len(rows) < 3:  # noqa: PLR2004  two people and a cohort of one
        return []
    best, relative = finished(_as_strangers(rows[:SAMPLE], scale))
    return [(int(row), float(value)) for row, value in zip(best, relative, strict=True)]


def _as_strangers(
    vectors: Floats, scale: Scale, apart_from: NDArray[np.intp] | None = None
) -> Steps[tuple[NDArray[np.intp], Floats]]:
    """Nearest other row of each and its relative similarity; `apart_from` names one row for each not to look at."""
    rows, clear = unit(vectors), clarity(vectors)
    keep = min(COHORT + 1, len(rows) - (1 if apart_from is None else 2))
    top, best = np.empty((len(rows), keep), np.float32), np.empty(len(rows), np.intp)
    for start in range(0, len(rows), _ROWS_A_STEP):
        part = slice(start, start + _ROWS_A_STEP)
        similarities = scale.likeness(rows[part] @ rows.T)
        at = np.arange(len(similarities))
        similarities[at, start + at] = -2.0
        if apart_from is not None:
            similarities[at, apart_from[part]] = -2.0
        top[part] = -np.partition(-similarities, range(keep), axis=1)[:, :keep]
        best[part] = similarities.argmax(axis=1)
        yield
    own = np.maximum(0.0, top[:, 1:].mean(axis=1))
    # The cohort of the best person, without the stranger, who is enrolled here only for the sake of the argument.
    in_cohort = top[:, 0] >= top[best, keep - 2]
    without = top[best, :-1].sum(axis=1) + np.where(in_cohort, top[best, -1] - top[:, 0], 0.0)
    crowd = np.maximum(0.0, without / (keep - 1))
    return best, np.asarray(top[:, 0] - SHARE * (own + crowd) - scale.owed_to_clarity(clear, clear[best]), np.float32)


def finished(steps: Steps[T]) -> T:
    """All of the work at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def _above(tail: tuple[float, float], rate: float) -> float:
    """The relative similarity that a share `rate` reaches, by the location and scale of a tail."""
    location, scale = tail
    return location + scale * (math.pow(_TAIL / rate, _SHAPE) - 1) / _SHAPE


def _tail(values: Floats, gone: int = 0) -> tuple[float, float]:
    """Location and scale of the upper fifth; its own upper end only counts as "at least so much".

    `gone`: values left out before as doubles. A few may have been this tail's own upper end, and count as that.
    """
    hidden = max(2, int(_LOOK_ALIKES * _TAIL * (len(values) + gone)))
    if gone <= hidden:
        values = np.concatenate([values, np.full(gone, values.max(), np.float32)])
    location = float(np.quantile(values, 1 - _TAIL))
    excess = np.sort(values[values > location] - location)
    if not len(excess):  # everybody equally far apart: made-up vectors, or one person enrolled under many ids
        return location, _LEAST_SCALE
    seen = excess[: max(1, len(excess) - hidden)]
    mean = (float(seen.sum()) + (len(excess) - len(seen)) * float(seen[-1])) / len(seen)
    return location, mean * (1 - _SHAPE) * (1 + 1 / math.sqrt(len(excess)))  # one standard error to the safe side


def _several(pictures: float) -> float:
    return min(1.0, max(0.0, (pictures - 1) / (MANY - 1)))


def _prior(model_id: str) -> Prior | None:
    """Of the manifest: a template's model_id is a network's name, with what else changes the vector behind a plus."""
    name = model_id.partition("+")[0]
    return next((one.calibration for one in known() if one.name == name), None)


def _named(method: str, model_id: str, people: int, pictures: float, fitted: tuple[float, float, float]) -> Calibration:
    weight, location, scale = fitted
    facts = f"{method} {model_id} {_prior(model_id)} {people} {pictures:.2f} {weight:.4f} {location:.5f} {scale:.5f}"
    version = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return Calibration(version, model_id, method, people, pictures, weight, location, scale)
