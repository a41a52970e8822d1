"""One face as a vector, with the names of the network and the alignment that made it."""

from __future__ import annotations

from dataclasses import dataclass

from models.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """`vector` is float32[dim], its length the clarity (scale.py).

    Two templates compare only when both ids are equal (gallery.py).
    """

    vector: Floats
    model_id: str
    alignment_id: str
    quality: float = 1.0  # 0..1, quality.py
