"""What the numbers of a network mean: from which cosine on there is likeness, and what an unclear face takes off it.

A network answers with a vector whose length says how much of a face it finds: shorter where one is turned, half hidden,
masked or cut beside its points, and for some people always. The shorter the vectors, the less alike are two pictures of
one person; of strangers hardly. So one bound for all refuses the unclear residents and lets the clear strangers in.
`clarity` is that length over the network's usual one: every vector of this package has it as its length, and its
direction is the face (EVALUATION.md, "clarity").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from models.arrays import Floats

LEAST_CLARITY: Final = 0.85  # a face cut beside its points (0.7) must not pass for somebody more easily for it
MOST_CLARITY: Final = 1.3
_ROUNDING: Final = 0.01
_Clarity = TypeVar("_Clarity", float, Floats)


@dataclass(frozen=True, slots=True)
class Scale:
    """Of one network. `clarity_weight` is the similarity that twice the usual clarity of one of two faces is worth."""

    baseline: float = 0.0
    clarity_weight: float = 0.0

    def likeness(self, cosines: Floats) -> Floats:
        """Cosines as similarities: `baseline` becomes 0, 1 stays 1, what is far below is -1.

        So the numbers of a network that gives even strangers a cosine of 0.85 mean the same as those of one that gives
        0.
        """
        return np.asarray(np.maximum((cosines - self.baseline) / (1.0 - self.baseline), -1.0), np.float32)

    def owed_to_clarity(self, one: _Clarity, other: _Clarity) -> _Clarity:
        """How much of two faces' similarity is nothing special because both are clear; negative if they are not."""
        return self.clarity_weight * (one + other - 2.0)


PLAIN: Final = Scale()  # a plain cosine


def with_clarity(answers: Floats, usual_length: float | None) -> Floats:
    """float32[N, dim]: a network's answers, their lengths as clarity; 1 where its usual length is not known."""
    if usual_length is None:
        return unit(answers)
    lengths = np.linalg.norm(answers, axis=1, keepdims=True)
    return np.asarray(unit(answers) * np.clip(lengths / usual_length, LEAST_CLARITY, MOST_CLARITY), np.float32)


def clarity(vectors: Floats) -> Floats:
    """float32[...]: the length of each vector of float32[..., dim]."""
    return np.asarray(np.linalg.norm(vectors, axis=-1), np.float32)


def unit(vectors: Floats) -> Floats:
    """The direction of each vector of float32[..., dim], at length one."""
    lengths = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def is_a_face(vector: Floats) -> bool:
    """Whether float32[dim] can be the vector of a face: finite, of a length that is a clarity."""
    length = float(np.linalg.norm(vector))
    return LEAST_CLARITY - _ROUNDING <= length <= MOST_CLARITY + _ROUNDING
