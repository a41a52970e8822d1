"""Several frames of one face as one vector: the mean direction and the mean clarity, weighted by quality.

Averaging is the strongest measured gain of the whole pipeline (models/EVALUATION.md): what differs between frames
(pose, blur, light) cancels, what is the person stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.arrays import Floats
from models.scale import clarity, unit

_MIN_WEIGHT: Final = 0.05  # a frame that was good enough to be used counts at least this much


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """All frames of a track so far.

    `vector` is float32[dim], its length the clarity. `agreement` is the cosine between the newest frame and the mean of
    the frames before it (1.0 for the first): low means that the track has jumped to another face.
    """

    vector: Floats
    frames: int
    agreement: float


class RunningAverage:
    """Owned by one track; one thread.

    Begins anew when a frame agrees less than `min_agreement` with the mean of those before it: then another face has
    taken the first one's place, and nothing of the first may speak for it.
    """

    def __init__(self, dim: int, min_agreement: float = -1.0) -> None:
        self._sum = np.zeros(dim, np.float32)  # of directions
        self._clarity = self._weight = 0.0
        self._frames = 0
        self._min_agreement = min_agreement

    def add(self, vector: Floats, quality: float = 1.0) -> Fused:
        """Take in the vector float32[dim] of a frame with `quality` 0..1."""
        direction, weight = unit(vector), max(_MIN_WEIGHT, quality)
        agreement = float(unit(self._sum) @ direction) if self._frames else 1.0
        if agreement < self._min_agreement:
            self._sum, self._frames, agreement = np.zeros_like(self._sum), 0, 1.0
            self._clarity = self._weight = 0.0
        self._sum = self._sum + direction * weight
        self._clarity += float(clarity(vector)) * weight
        self._weight += weight
        self._frames += 1
        return Fused(self.vector, self._frames, agreement)

    @property
    def vector(self) -> Floats:
        """float32[dim]: the mean so far; zeros before the first frame."""
        return np.asarray(unit(self._sum) * (self._clarity / max(self._weight, 1e-6)), np.float32)


def mean_vector(vectors: Floats) -> Floats:
    """float32[dim]: the mean direction of the vectors float32[n, dim], at their mean clarity."""
    return np.asarray(unit(unit(vectors).sum(axis=0)) * clarity(vectors).mean(), np.float32)
