"""Several frames of one face as one vector: the mean direction, weighted by quality.

Averaging is the strongest measured gain of the whole pipeline (models/EVALUATION.md): what differs between frames
(pose, blur, light) cancels, what is the person stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.arrays import Floats

_MIN_WEIGHT: Final = 0.05  # a frame that was good enough to be used counts at least this much


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """All frames of a track so far.

    `vector` is float32[dim] of unit length. `agreement` is the cosine between the newest frame and the mean of
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
        self._sum = np.zeros(dim, np.float32)
        self._frames = 0
        self._min_agreement = min_agreement

    def add(self, vector: Floats, quality: float = 1.0) -> Fused:
        """Take in a unit vector float32[dim] of a frame with `quality` 0..1."""
        agreement = float(self._unit() @ vector) if self._frames else 1.0
        if agreement < self._min_agreement:
            self._sum, self._frames, agreement = np.zeros_like(self._sum), 0, 1.0
        self._sum = self._sum + vector * max(_MIN_WEIGHT, quality)
        self._frames += 1
        return Fused(self._unit(), self._frames, agreement)

    @property
    def vector(self) -> Floats:
        """float32[dim] of unit length: the mean so far; zeros before the first frame."""
        return self._unit()

    def _unit(self) -> Floats:
        length = float(np.linalg.norm(self._sum))
        return (self._sum / length).astype(np.float32) if length > 0 else self._sum


def mean_direction(vectors: Floats) -> Floats:
    """float32[dim] of unit length: the mean of the unit vectors float32[n, dim]."""
    total = vectors.sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-6), np.float32)
