"""Cut an upright face of fixed size out of a full frame: a similarity transform from five points and one warp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where the five points (order of Detection.landmarks_px) go, as fractions of a square of `side_px`."""

    alignment_id: str
    side_px: int
    points: Floats


PLAIN: Final = (1.0, 0.0, 0.0)
# What a point that is a little off does to a single picture, averaged out; for the gain see models/EVALUATION.md.
CUTS: Final = (PLAIN, (0.94, 0.0, 0.0), (1.06, 0.0, 0.0), (1.0, 0.0, 0.03), (1.0, 0.03, 0.0))


def _alignment(alignment_id: str, side_px: int, *points: tuple[float, float]) -> Alignment:
    return Alignment(alignment_id, side_px, np.array(points, np.float32))


ALIGNMENTS: Final = {
    one.alignment_id: one
    for one in (
        # Published with the network (Open Model Zoo, face-reidentification-retail-0095).
        _alignment(
            "reid-128", 128, (0.3156, 0.4616), (0.6826, 0.4616), (0.5003, 0.6405), (0.3495, 0.8247), (0.6534, 0.8247)
        ),
        # The 112 x 112 layout that SFace and ArcFace-like networks share.
        _alignment(
            "arcface-112", 112, (0.3419, 0.4617), (0.6565, 0.4598), (0.5002, 0.6405), (0.3710, 0.8247), (0.6315, 0.8233)
        ),
        # dlib's 150 x 150 chip: where YuNet's points lie in it, mean of 394 pictures, made symmetrical.
        _alignment(
            "dlib-150", 150, (0.3184, 0.3030), (0.6816, 0.3030), (0.5, 0.5182), (0.3466, 0.6806), (0.6534, 0.6806)
        ),
    )
}


def similarity(source_px: Floats, target_px: Floats) -> Floats:
    """The rotation, scale and shift (float32[2, 3]) that brings `source_px` nearest to `target_px` (both [N, 2]).

    Least squares.     Points are read as complex numbers, so the map is z -> a z + b and the best `a` is one quotient.
    """
    source = source_px[:, 0] + 1j * source_px[:, 1]
    target = target_px[:, 0] + 1j * target_px[:, 1]
    centred = source - source.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if spread == 0.0:
        raise ModelError("the five points of a face fall together; the detector's answer cannot be used")
    a = (np.conj(centred) * (target - target.mean())).sum() / spread
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], np.float32)


def chip(
    image_bgr: Image, landmarks_px: Floats, alignment: Alignment, cut: tuple[float, float, float] = PLAIN
) -> Image:
    """uint8[side, side, 3]: the face of `landmarks_px` (float32[5, 2]) warped from the full frame.

    `cut`: scale about the middle, and how far to the right and down it is moved, in sides.
    """
    side = alignment.side_px
    scale, *shift = cut
    matrix = similarity(landmarks_px, alignment.points * side) * np.float32(scale)
    matrix[:, 2] += side * ((1 - scale) / 2 + np.array(shift, np.float32))
    return np.asarray(cv2.warpAffine(image_bgr, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)
