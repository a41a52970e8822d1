"""Is this a living face or a print or screen: one number per frame, fused over frames by whoever decides."""

from __future__ import annotations

from typing import Final, Protocol

import cv2
import numpy as np

from models.arrays import Image
from models.detect import Detection
from models.embed import session

SIDE_PX: Final = 80
_LIVE: Final = 1  # place of "live" in the answer, measured on nuaa/ (0: print, 2: screen); input blue-green-red, 0..255
_SCALES: Final = (2.7, 4.0)  # publisher's: square around the face, in face sizes, for V2 and for V1SE


class Liveness(Protocol):
    """Presentation-attack check. None in the pipeline where its weights are missing; the policy must then say so."""

    @property
    def name(self) -> str:
        """Manifest name."""

    def score(self, image_bgr: Image, detection: Detection) -> float:
        """Probability 0..1 that the face in the full frame is alive."""


class MiniFasNet:
    """MiniFASNet V2 and V1SE: a near and a wide view of the same face, their answers averaged."""

    name = "minifasnet"

    def __init__(self, v2: bytes, v1se: bytes) -> None:
        self._nets = tuple((session(weights), scale) for weights, scale in zip((v2, v1se), _SCALES, strict=True))

    def score(self, image_bgr: Image, detection: Detection) -> float:
        """See Liveness."""
        answers = []
        for net, scale in self._nets:
            view = surroundings(image_bgr, detection.box_px, scale)
            blob = np.ascontiguousarray(view.transpose(2, 0, 1)[None], np.float32)
            logits = np.asarray(net.run(None, {net.get_inputs()[0].name: blob})[0], np.float64).ravel()
            odds = np.exp(logits - logits.max())
            answers.append(odds[_LIVE] / odds.sum())
        return float(np.mean(answers))


def surroundings(image_bgr: Image, box_px: tuple[float, float, float, float], scale: float) -> Image:
    """uint8[80, 80, 3]: the box grown `scale` times, kept inside the frame by shrinking it first and shifting it then.

    The networks learnt from such views, so a face at the edge must be cut the same way.
    """
    height, width = image_bgr.shape[:2]
    x, y, box_width, box_height = box_px
    grow = min((width - 1) / box_width, (height - 1) / box_height, scale)
    view_width, view_height = box_width * grow, box_height * grow
    left = min(max(x + box_width / 2 - view_width / 2, 0.0), width - 1 - view_width)
    top = min(max(y + box_height / 2 - view_height / 2, 0.0), height - 1 - view_height)
    view = image_bgr[int(top) : int(top + view_height) + 1, int(left) : int(left + view_width) + 1]
    return np.asarray(cv2.resize(view, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
