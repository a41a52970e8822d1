"""Where the faces are: YuNet where its weight file is present, dlib's HOG otherwise, behind one small interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from models.arrays import Floats, Image


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face, in pixels of the image that was handed in.

    `landmarks_px` is float32[5, 2]: right eye, left eye, nose tip, right and left corner of the mouth. Right and left
    are the person's, so in a picture that is not mirrored the right eye has the smaller x.
    """

    box_px: tuple[float, float, float, float]  # x, y, width, height
    landmarks_px: Floats
    confidence: float  # 0..1

    @property
    def width_px(self) -> float:
        """Width of the box."""
        return self.box_px[2]


class Detector(Protocol):
    """Finds faces. Not for use from two threads at once."""

    @property
    def name(self) -> str:
        """Manifest name."""

    def detect(self, image_bgr: Image) -> list[Detection]:
        """All faces in uint8[H, W, 3], the largest first."""


class YuNet:
    """YuNet through OpenCV, on a copy reduced to `width_px`: faces in a door's zone are large."""

    name = "yunet"

    def __init__(self, weights: bytes, *, width_px: int = 320, min_confidence: float = 0.7) -> None:
        self._width_px = width_px
        empty = np.zeros(0, np.uint8)
        self._net = cv2.FaceDetectorYN.create(
            "onnx", np.frombuffer(weights, np.uint8), empty, (width_px, width_px), min_confidence, 0.3, 50
        )

    def detect(self, image_bgr: Image) -> list[Detection]:
        """See Detector."""
        height, width = image_bgr.shape[:2]
        scale = min(1.0, self._width_px / width)
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA) if scale < 1 else image_bgr
        self._net.setInputSize((small.shape[1], small.shape[0]))
        rows = self._net.detect(small)[1]
        if rows is None:  # nobody; the published type information does not know
            return []  # type: ignore[unreachable]
        stretch = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        found = [_detection(row, stretch) for row in rows]
        return sorted(found, key=lambda one: -one.width_px)


def _detection(row: Floats, stretch: Floats) -> Detection:
    x, y, width, height = (float(value) for value in row[:4] * np.tile(stretch, 2))
    return Detection((x, y, width, height), row[4:14].reshape(5, 2) * stretch, float(row[14]))
