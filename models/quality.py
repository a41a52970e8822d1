"""Can this frame of a face be used, what does it count, and if not, why: size, light, sharpness, pose, covered mouth.

Bounds were measured on 120 pictures (LFW and a webcam set) by spoiling them and watching the similarity of reid0095 to
the unspoilt picture, and on 259 masked faces (models/README.md). They say when a frame is worth nothing; who is let in
is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.align import ALIGNMENTS, chip
from models.arrays import Floats, Image
from models.detect import Detection
from models.light import evenly_lit

Flaw = Literal["small", "blurred", "turned", "dark", "covered", "backlit", "glaring"]

MIN_WIDTH_PX: Final = 50.0  # below it the similarity to the large picture falls under 0.98
_GOOD_WIDTH_PX: Final = 110.0
_MIN_LIGHT: Final = 18.0  # mean of the gray face, 0..255; half of the faces this dark lose 0.1 of similarity
_MIN_BEHIND: Final = 90.0  # mean of what is around a face that is too dark: then a lamp in the hall would not help
_AROUND: Final = 1.0  # faces on each side
_CLIPPED: Final = 250  # of 255: no detail is left
_MAX_CLIPPED: Final = 0.4  # share of the face; half of the faces lose 0.2 of similarity, no face of 1,985 has over 0.15
_GOOD_LIGHT: Final = 60.0
_MIN_SHARPNESS: Final = 0.007  # half of the faces blurred by 3 px of 128 are below it, none of 120 webcam faces
_GOOD_SHARPNESS: Final = 0.03
_MAX_YAW: Final = 0.35  # nose away from the middle of the eyes, in eye distances; 0.5 is under one eye
_NOSE_HEIGHT: Final = (0.25, 0.85)  # of the way from the eyes to the mouth; outside the head looks far up or down
_MAX_ROLL: Final = 0.7  # slope of the line through the eyes
# Masks and scarves: an unsure detector, little texture between nose and chin, less red and another colour than the
# forehead. Logistic weights and offset; above the bound are 6 in 10 surgical masks and 1 in 250 side-lit bare faces.
_COVERED: Final = (-33.0, -7.17, -0.191, 0.3, 27.04)
_MIN_COVERED: Final = 2.0
# Parts of the upright face: what is turned into Lab begins at (_TOP, _LEFT), the others are rows and columns of that.
_TOP, _LEFT = 16, 24
_FOREHEAD: Final = (slice(20 - _TOP, 40 - _TOP), slice(40 - _LEFT, 88 - _LEFT))
_MOUTH: Final = (slice(96 - _TOP, 118 - _TOP), slice(44 - _LEFT, 84 - _LEFT))
_CHIN: Final = (slice(88 - _TOP, 112 - _TOP), slice(36 - _LEFT, 92 - _LEFT))
LAYOUT: Final = ALIGNMENTS["reid-128"]


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """`value` 0..1 is the frame's weight; `flaw` names why the frame cannot be used, None if it can.

    `upright`: of a frame that can, the face as it was judged, cut by LAYOUT and evenly lit, so that it is cut once.
    """

    value: float
    flaw: Flaw | None
    upright: Image | None = None


def assess(image_bgr: Image, detection: Detection) -> Quality:
    """Judge one face of a full frame uint8[H, W, 3]; about 0.4 ms."""
    if detection.width_px < MIN_WIDTH_PX:
        return Quality(0.0, "small")
    yaw, nose_height, roll = pose(detection.landmarks_px)
    if abs(yaw) > _MAX_YAW or abs(roll) > _MAX_ROLL or not _NOSE_HEIGHT[0] < nose_height < _NOSE_HEIGHT[1]:
        return Quality(0.0, "turned")
    face = chip(image_bgr, detection.landmarks_px, LAYOUT)
    gray = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[16:112, 20:108]
    light, spread = _mean_and_spread(gray)
    flaw: Flaw | None = None
    if light < _MIN_LIGHT:
        flaw = "backlit" if _light_around(image_bgr, detection) > _MIN_BEHIND else "dark"
    elif np.count_nonzero(gray >= _CLIPPED) > _MAX_CLIPPED * gray.size:
        flaw = "glaring"
    if flaw is not None:
        return Quality(0.0, flaw)
    sharpness = _mean_and_spread(cv2.Laplacian(gray, cv2.CV_16S))[1] ** 2 / (spread**2 + 25.0)
    if sharpness < _MIN_SHARPNESS:
        return Quality(0.0, "blurred")
    upright = evenly_lit(face)
    if _covered(upright, detection.confidence):
        return Quality(0.0, "covered")
    value = (
        min(1.0, detection.width_px / _GOOD_WIDTH_PX)
        * min(1.0, light / _GOOD_LIGHT)
        * min(1.0, sharpness / _GOOD_SHARPNESS)
        * (1.0 - abs(yaw))
    )
    return Quality(value, None, upright)


def pose(landmarks_px: Floats) -> tuple[float, float, float]:
    """Yaw (nose from the middle of the eyes, in eye distances), height of the nose (0 eyes, 1 mouth), slope of eyes."""
    right, left, nose, *mouth = landmarks_px.astype(np.float64)
    middle, across = (right + left) / 2, left - right
    distance = max(float(np.hypot(*across)), 1e-6)
    along = across / distance
    down = np.array([-along[1], along[0]])
    mouth_drop = float((np.mean(mouth, axis=0) - middle) @ down)
    nose_drop = float((nose - middle) @ down)
    return float((nose - middle) @ along) / distance, nose_drop / max(mouth_drop, 1e-6), float(across[1] / distance)


def _light_around(image_bgr: Image, detection: Detection) -> float:
    """Mean of the gray picture around a face, and of the face; every fourth point is enough."""
    x, y, width, height = detection.box_px
    rows = slice(max(0, int(y - _AROUND * height)), max(0, int(y + (1 + _AROUND) * height)), 4)
    columns = slice(max(0, int(x - _AROUND * width)), max(0, int(x + (1 + _AROUND) * width)), 4)
    return float(image_bgr[rows, columns].mean())


def _covered(face: Image, confidence: float) -> bool:
    lab: Image = np.asarray(cv2.cvtColor(face[_TOP:118, _LEFT:104], cv2.COLOR_BGR2LAB), np.uint8)
    forehead, mouth = (_median(lab[rows, columns]) for rows, columns in (_FOREHEAD, _MOUTH))
    chin = lab[_CHIN][..., 0]
    texture = cv2.absdiff(chin[1:], chin[:-1]).mean() / (_mean_and_spread(lab[: 112 - _TOP, :, 0])[1] + 1.0)
    redder = float(mouth[1] - forehead[1])
    other_colour = float(np.hypot(*(mouth - forehead)[1:]))
    signs = (confidence, float(texture), redder, other_colour, 1.0)
    return sum(weight * sign for weight, sign in zip(_COVERED, signs, strict=True)) > _MIN_COVERED


def _median(part: Image) -> Floats:
    return np.asarray(np.median(part.reshape(-1, 3), axis=0), np.float32)


def _mean_and_spread(plane: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation of one plane."""
    mean, spread = cv2.meanStdDev(plane)
    return float(mean[0, 0]), float(spread[0, 0])
