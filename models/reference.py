"""The usual recipes, as face_recognition's own examples and a login tool have them: what speed is measured against.

Only bench and tests come here; nothing at a door imports face_recognition (models/README.md says why).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.errors import ModelFileError

TOLERANCE: Final = 0.6  # its default: the bound that lets most strangers in (models/EVALUATION.md)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a peer looks at a frame: shrunk to `height_px` (None: as it is), dlib's HOG upsampled `upsample` times."""

    name: str
    height_px: int | None
    upsample: int


# Each with its own settings. All encode with dlib's network at one sample and compare with every known encoding.
PEERS: Final = (
    Recipe("face_recognition's picture example: whole frame, upsampled once", None, 1),
    Recipe("face_recognition's faster webcam example: frame at a quarter, upsampled once", 180, 1),
    Recipe("Howdy's way: frame at 320 px height, upsampled once", 320, 1),
    Recipe("face_recognition at 480 px height, not upsampled", 480, 0),
)


class UsualRecipe:
    """Find, encode, compare with a list of known encodings."""

    def __init__(self, recipe: Recipe = PEERS[0]) -> None:
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
        self.recipe = recipe

    def know(self, count: int) -> None:
        """Fill the list of known people with `count` made-up encodings."""
        self._known = list(np.random.default_rng(0).normal(0, 0.1, (count, 128)))

    def prepared(self, image_bgr: Image) -> Image:
        """The frame uint8[H, W, 3] as the recipe hands it on: shrunk, red-green-blue."""
        height = self.recipe.height_px
        if height is not None and height < image_bgr.shape[0]:
            size = (round(image_bgr.shape[1] * height / image_bgr.shape[0]), height)
            image_bgr = np.asarray(cv2.resize(image_bgr, size), np.uint8)
        return np.ascontiguousarray(image_bgr[..., ::-1])

    def locate(self, prepared: Image) -> list[tuple[int, int, int, int]]:
        """Boxes in a prepared frame as top, right, bottom, left."""
        found: list[tuple[int, int, int, int]] = self._library.face_locations(
            prepared, number_of_times_to_upsample=self.recipe.upsample
        )
        return found

    def encode(self, prepared: Image, boxes: list[tuple[int, int, int, int]]) -> list[Floats]:
        """One encoding a box."""
        encodings: list[Floats] = self._library.face_encodings(prepared, boxes)
        return encodings

    def match(self, encoding: Floats) -> bool:
        """Whether anybody known is within TOLERANCE."""
        return any(self._library.compare_faces(self._known, encoding, TOLERANCE))

    def network(self, chip_rgb: Image) -> Floats:
        """The network of dlib alone, on a chip uint8[150, 150, 3]."""
        return np.asarray(self._library.api.face_encoder.compute_face_descriptor(chip_rgb), np.float32)
