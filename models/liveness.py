"""Is this a living face or a print or screen: one number per frame, fused over frames by whoever decides."""

from __future__ import annotations

from typing import Protocol

from models.arrays import Image
from models.detect import Detection


class Liveness(Protocol):
    """Presentation-attack check. None in the pipeline where its weights are missing; the policy must then say so."""

    @property
    def name(self) -> str:
        """Manifest name."""

    def score(self, image_bgr: Image, detection: Detection) -> float:
        """Probability 0..1 that the face in the full frame is alive."""
