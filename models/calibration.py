"""How near is near enough: the bound from the site's own people, with a safe prior while they are few."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Floats

_PRIOR_LOCATION: Final = 0.30  # similarity that one in e strangers reaches against one enrolled person, beyond ...
_PRIOR_SCALE: Final = 0.06
_MIN_PEOPLE: Final = 50
_SAMPLE: Final = 2000


@dataclass(frozen=True, slots=True)
class Calibration:
    """Tail of the relative similarity of different people: P(s > x) = rate * exp(-(x - location) / scale)."""

    version: str
    model_id: str
    method: str
    people: int
    location: float
    scale: float
    rate: float

    def max_match_distance(self, fpir_target: float, roster_size: int) -> float:
        """The relative distance (agent/core/recognition.py) that a share `fpir_target` of strangers gets under."""
        single = fpir_target / max(1, roster_size)
        return 1.0 - (self.location + self.scale * math.log(max(1.0, self.rate / single)))


def fit(matrix: Floats, *, model_id: str) -> Calibration:
    """From float32[people, dim], one unit vector a person."""
    people = len(matrix)
    if people < _MIN_PEOPLE:
        return _named("prior", model_id, people, _PRIOR_LOCATION, _PRIOR_SCALE, 0.02)
    rows = matrix[np.random.default_rng(0).permutation(people)[:_SAMPLE]]
    cross = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    location = float(np.quantile(cross, 0.99))
    tail = cross[cross > location]
    return _named("roster", model_id, people, location, float((tail - location).mean()), 0.01)


def _named(method: str, model_id: str, people: int, location: float, scale: float, rate: float) -> Calibration:
    facts = f"{method} {model_id} {people} {location:.4f} {scale:.4f} {rate:.4f}"
    return Calibration(hashlib.sha256(facts.encode()).hexdigest()[:12], model_id, method, people, location, scale, rate)
