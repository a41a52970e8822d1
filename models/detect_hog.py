"""dlib's HOG detector and 5-point predictor, for machines without YuNet's weight file. The only file that imports dlib.

dlib's five points are the corners of the eyes and the base of the nose. What the rest of the package wants (centres of
the eyes, tip of the nose, corners of the mouth) is placed by the mean face, measured where YuNet and dlib looked at the
same 394 pictures (LFW and a webcam set): the spread of a point around its place is 2 to 4 % of the chip's side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from models.align import ALIGNMENTS, similarity
from models.arrays import Floats, Image
from models.detect import Detection, reduced

# Where dlib's own five points go in its 150 px chip, as fractions of the side: the layout its ResNet was trained on.
_DLIB_POINTS: Final = (
    np.array(((0.8596, 0.2135), (0.6461, 0.2290), (0.1206, 0.2137), (0.3341, 0.2291), (0.4901, 0.6278)), np.float32)
    + 0.25
) / 1.5
_RIGHT_EYE, _LEFT_EYE, _NOSE = (2, 3), (0, 1), 4
# dlib's box against YuNet's of the same face (medians of the same pictures): 1.10 times as wide, 0.83 as high, lower.
_BOX_SHIFT: Final = (-0.04, 0.15)
_BOX_SIZE: Final = (1.10, 0.83)
_MIN_SCORE: Final = 0.2  # 1 in 30 webcam faces is below it, median 1.2; patterned clothes reach 0.1
_CONFIDENCE: Final = 0.93  # what YuNet says of a bare face; HOG does not see covered ones, and its score says little


class Hog:
    """HOG on the reduced gray picture (2.3 times faster than on colour), points from the full one."""

    name = "hog"
    follow_face_px = near_face_px = 100
    follow_around = 0.6

    def __init__(self, predictor: Path, *, width_px: int) -> None:
        self._find = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(predictor))
        self.width_px = width_px

    def detect(self, image_bgr: Image, width_px: int | None = None) -> list[Detection]:
        """See Detector."""
        gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        small = cv2.cvtColor(reduced(image_bgr, width_px or self.width_px), cv2.COLOR_BGR2GRAY)
        scale = image_bgr.shape[1] / small.shape[1]
        boxes, _, _ = self._find.run(small, 0, _MIN_SCORE)
        found = [self._detection(gray, box, scale) for box in boxes]
        return sorted(found, key=lambda one: -one.width_px)

    def _detection(self, gray: NDArray[Any], box: dlib.rectangle, scale: float) -> Detection:
        sides = (box.left(), box.top(), box.right(), box.bottom())
        shape = self._predict(gray, dlib.rectangle(*(round(side * scale) for side in sides)))
        points = np.array([(point.x, point.y) for point in shape.parts()], np.float32)
        width, height = box.width() * scale / _BOX_SIZE[0], box.height() * scale / _BOX_SIZE[1]
        left, top = box.left() * scale - _BOX_SHIFT[0] * width, box.top() * scale - _BOX_SHIFT[1] * height
        return Detection((left, top, width, height), landmarks(points), _CONFIDENCE)


def landmarks(points_px: Floats) -> Floats:
    """float32[5, 2] in the order of Detection from dlib's own five points float32[5, 2]."""
    back = similarity(_DLIB_POINTS, points_px)
    placed = ALIGNMENTS["dlib-150"].points @ back[:, :2].T + back[:, 2]
    placed[0] = points_px[list(_RIGHT_EYE)].mean(axis=0)
    placed[1] = points_px[list(_LEFT_EYE)].mean(axis=0)
    turned = points_px[_NOSE] - (_DLIB_POINTS[_NOSE] @ back[:, :2].T + back[:, 2])
    placed[2:] += turned  # a turned head moves nose and mouth together against the eyes
    return np.asarray(placed, np.float32)
