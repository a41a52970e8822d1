"""Where the faces are: YuNet where its weight file is present, dlib's HOG (detect_hog.py) otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embed import session
from models.light import lifted

_STRIDES_PX: Final = (8, 16, 32)
_MULTIPLE_PX: Final = 32
_STILL: Final = 0.3  # faces on each side, for a second look at one picture
_WIDE: Final = 0.6  # faces on each side, where a single picture is looked at with care
_COARSE: Final = 0.7
_SAME_FACE: Final = 0.5  # overlap from which two cells speak of one face
_MAX_OVERLAP: Final = 0.3  # of two boxes before the weaker one is dropped; YuNet's own example
_ANSWERS: Final = tuple(f"{kind}_{stride}" for stride in _STRIDES_PX for kind in ("cls", "obj", "bbox", "kps"))


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

    def shifted(self, left_px: float, top_px: float) -> Detection:
        """The same face in an image of which the first one was a part that began at (left, top)."""
        x, y, width, height = self.box_px
        offset = np.array([left_px, top_px], np.float32)
        return Detection((x + left_px, y + top_px, width, height), self.landmarks_px + offset, self.confidence)


class Cells(NamedTuple):
    """What YuNet's cells that see a face say of it, in pixels of the picture it looked at."""

    boxes: Floats  # [n, 4]: x, y, width, height
    landmarks: Floats  # [n, 5, 2], see Detection
    confidence: Floats  # [n], 0..1


class Detector(Protocol):
    """Finds faces. Not for use from two threads at once."""

    @property
    def name(self) -> str:
        """Manifest name."""

    @property
    def follow_face_px(self) -> int:
        """How wide a known face should be in the reduced picture in which it is looked for in the next frame."""

    @property
    def near_face_px(self) -> int:
        """The same for a second look at one picture."""

    @property
    def follow_around(self) -> float:
        """How much around a known face is searched, in faces on each side: what it may move between two frames."""

    @property
    def width_px(self) -> int:
        """Width to which whole frames are reduced."""

    def detect(self, image_bgr: Image, width_px: int | None = None) -> list[Detection]:
        """All faces in uint8[H, W, 3], the largest first.

        The image is reduced to `width_px` (None: the width chosen for whole frames) before it is looked at; a face
        must be at least about 12 px (YuNet) or 80 px (HOG) wide after that.
        """


class YuNet:
    """YuNet in ONNX Runtime, which takes 0.4 times the time of OpenCV's own runner (models/README.md)."""

    name = "yunet"
    near_face_px = 56  # from 40 on the points are as good as on the full picture (220 pairs of LFW)
    # Half the picture of 56 px and 0.6, the points as good (models/EVALUATION.md); at 0.3 who walks fast is lost.
    follow_face_px = 50
    follow_around = 0.45

    def __init__(self, weights: bytes, *, width_px: int, min_confidence: float = 0.7) -> None:
        self._session = session(weights)
        self._input = self._session.get_inputs()[0].name
        self.width_px = width_px
        self._min_confidence = min_confidence

    def detect(self, image_bgr: Image, width_px: int | None = None) -> list[Detection]:
        """See Detector. Where nothing is found the shadows are lifted for a second look (models/light.py)."""
        small = reduced(image_bgr, width_px or self.width_px)
        found = self._search(small)
        if not len(found.confidence):
            found = self._search(lifted(small))
        height, width = small.shape[:2]
        stretch = np.array([image_bgr.shape[1] / width, image_bgr.shape[0] / height], np.float32)
        return sorted(merged(found, stretch), key=lambda one: -one.width_px)

    def _search(self, small: Image) -> Cells:
        height, width = small.shape[:2]
        blob = np.zeros((1, 3, _padded(height), _padded(width)), np.float32)
        for plane, colour in zip(blob[0], cv2.split(small), strict=True):
            plane[:height, :width] = colour
        answers = self._session.run(_ANSWERS, {self._input: blob})
        grids = [
            self._cells(answers[4 * at : 4 * at + 4], stride_px, blob.shape[3] // stride_px)
            for at, stride_px in enumerate(_STRIDES_PX)
        ]
        return Cells(*(np.concatenate(column) for column in zip(*grids, strict=True)))

    def _cells(self, answers: list[Floats], stride_px: int, columns: int) -> Cells:
        """Decode one grid: each cell says how likely it holds a face, and where, in strides from its own corner."""
        face, thing, boxes, points = (answer[0] for answer in answers)
        sure = face[:, 0] * thing[:, 0]
        at = np.flatnonzero(sure >= self._min_confidence**2)
        corner = np.stack([at % columns, at // columns], axis=1).astype(np.float32)
        size = np.exp(boxes[at, 2:])
        box = np.concatenate([corner + boxes[at, :2] - size / 2, size], axis=1)
        landmarks = corner[:, None] + points[at].reshape(-1, 5, 2)
        return Cells(box * stride_px, landmarks * stride_px, np.sqrt(sure[at]))


def follow(detector: Detector, image_bgr: Image, last: Detection) -> Detection | None:
    """The face of the frame before, looked for only around its place there; None if it is not there."""
    return _near(detector, image_bgr, last, detector.follow_face_px, detector.follow_around)


def _near(detector: Detector, image_bgr: Image, last: Detection, face_px: int, around: float) -> Detection | None:
    """A face near its last place. `face_px`: how wide it shall be in what the detector sees."""
    x, y, width, height = last.box_px
    left, top = max(0, int(x - around * width)), max(0, int(y - around * height))
    right, bottom = int(x + (1 + around) * width), int(y + (1 + around) * height)
    part = image_bgr[top:bottom, left:right]
    if min(part.shape[:2]) < _MULTIPLE_PX:
        return None
    found = detector.detect(part, max(_MULTIPLE_PX, round(part.shape[1] * face_px / width)))
    nearby = [one.shifted(left, top) for one in found]
    best = max(nearby, key=lambda one: overlap(one.box_px, last.box_px), default=None)
    return best if best is not None and overlap(best.box_px, last.box_px) > 0 else None


def precise(detector: Detector, image_bgr: Image, found: Detection) -> Detection:
    """A second, near look at a face that was small in the reduced frame: its points were too coarse to align by."""
    seen_px = found.width_px * min(1.0, detector.width_px / image_bgr.shape[1])
    if seen_px >= _COARSE * detector.near_face_px:
        return found
    return _near(detector, image_bgr, found, detector.near_face_px, _STILL) or found


def carefully(detector: Detector, image_bgr: Image, found: Detection) -> Detection:
    """For a single picture: the mean of what two near looks say, the second at twice the size.

    Frames of a video do this for each other. With 1,000 people enrolled by one picture and tried with one, 4.8 instead
    of 5.5 % are refused at 1 % of strangers let in (EVALUATION.md).
    """
    face_px = detector.near_face_px
    first = _near(detector, image_bgr, found, face_px, _WIDE) or found
    second = _near(detector, image_bgr, first, 2 * face_px, _WIDE)
    if second is None:
        return first
    points = np.asarray((first.landmarks_px + second.landmarks_px) / 2, np.float32)
    return Detection(first.box_px, points, first.confidence)


def reduced(image_bgr: Image, width_px: int) -> Image:
    """The image at most `width_px` wide, halved by averaging while it is more than twice that (cheap, no aliasing)."""
    while image_bgr.shape[1] >= 2 * width_px:
        half = (image_bgr.shape[1] // 2, image_bgr.shape[0] // 2)
        image_bgr = np.asarray(cv2.resize(image_bgr, half, interpolation=cv2.INTER_LINEAR), np.uint8)
    if image_bgr.shape[1] <= width_px:
        return image_bgr
    size = (width_px, max(1, round(image_bgr.shape[0] * width_px / image_bgr.shape[1])))
    return np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Shared area of two boxes (x, y, width, height) over their joint area, 0..1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    joint = one[2] * one[3] + other[2] * other[3] - shared
    return shared / joint if joint > 0 else 0.0


def merged(cells: Cells, stretch: Floats) -> list[Detection]:
    """One detection a face: of boxes that overlap the most confident one stays, `stretch` (x, y) times as large.

    Its points are the mean of what all cells said that saw this face, weighted by how sure they were. That costs little
    and takes a fifth off the error of the points (250 pictures of LFW: 0.031 to 0.024 of the face's width); with 1,000
    enrolled by one picture that is 5.6 instead of 6.1 % refused at 1 % of strangers let in.
    """
    shared = _overlaps(cells.boxes)
    kept: list[int] = []
    for one in np.argsort(-cells.confidence, kind="stable"):
        if (shared[one, kept] <= _MAX_OVERLAP).all():
            kept.append(int(one))
    faces = []
    for best in kept:
        same = shared[best] > _SAME_FACE
        weights = cells.confidence[same] / cells.confidence[same].sum()
        points = np.tensordot(weights, cells.landmarks[same], axes=1) * stretch
        x, y, width, height = (cells.boxes[best] * np.tile(stretch, 2)).tolist()
        faces.append(Detection((x, y, width, height), points.astype(np.float32), float(cells.confidence[best])))
    return faces


def _overlaps(boxes: Floats) -> Floats:
    """float32[n, n]: `overlap` of every two of float32[n, 4]."""
    low, size = boxes[:, :2], boxes[:, 2:]
    high = low + size
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.maximum(sides, 0).prod(axis=2)
    area = size.prod(axis=1)
    return np.asarray(shared / np.maximum(area[:, None] + area - shared, 1e-6), np.float32)


def _padded(length_px: int) -> int:
    return -(-length_px // _MULTIPLE_PX) * _MULTIPLE_PX
