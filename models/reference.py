"""The usual recipe, as face_recognition's own examples have it: the reference that speed is measured against.

Only bench and tests come here; nothing at a door imports face_recognition (models/README.md says why).
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np

from models.arrays import Floats, Image
from models.errors import ModelFileError

TOLERANCE: Final = 0.6  # its default: the bound that lets most strangers in (models/EVALUATION.md)


class UsualRecipe:
    """Find (HOG, upsampled once), encode, compare with a list of known encodings."""

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pkg_resources says that it is deprecated
                import face_recognition
        except (ImportError, SystemExit) as e:
            raise ModelFileError(
                "face_recognition with its models is not installed here: nothing to compare with"
            ) from e
        self._library: Any = face_recognition
        self._known: list[Floats] = []

    def know(self, count: int) -> None:
        """Fill the list of known people with `count` made-up encodings."""
        self._known = list(np.random.default_rng(0).normal(0, 0.1, (count, 128)))

    def locate(self, image_bgr: Image) -> list[tuple[int, int, int, int]]:
        """Boxes of uint8[H, W, 3] as top, right, bottom, left."""
        found: list[tuple[int, int, int, int]] = self._library.face_locations(self._rgb(image_bgr))
        return found

    def encode(self, image_bgr: Image, boxes: list[tuple[int, int, int, int]]) -> list[Floats]:
        """One encoding a box."""
        encodings: list[Floats] = self._library.face_encodings(self._rgb(image_bgr), boxes)
        return encodings

    def match(self, encoding: Floats) -> bool:
        """Whether anybody known is within TOLERANCE."""
        return any(self._library.compare_faces(self._known, encoding, TOLERANCE))

    @staticmethod
    def _rgb(image_bgr: Image) -> Image:
        return np.ascontiguousarray(image_bgr[..., ::-1])
