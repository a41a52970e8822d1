"""Is the camera still seeing? Judged from a thin sample of each picture, told within 10 s, no picture kept.

Pure: pixels and times in, a word out. A sample is every 16th pixel of every 16th row, so a 1280x720 picture costs about
20 microseconds.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

STEP_PX = 16
# Mean brightness (0 to 255) of a scene in which no face can be found. Own choice: a noisy sensor in a dark hall gives
# 2 to 10; a dim but usable porch lamp scene is above 25.
DARK_MEAN = 14.0
# Spread (standard deviation of the sample's grey values) of a lens behind a hand, a sticker, fog or a torch: below 8.
# Any scene with a floor and a wall has more than 20.
BLIND_SPREAD = 8.0
BAD_FOR_S = 3.0  # a passing hand, a switched lamp: not told
FROZEN_FOR_S = 5.0  # no live sensor gives the same sample for so long: its noise alone changes it
GOOD_FOR_S = 1.0


class CameraState(StrEnum):
    """What is known of a camera. Only `ok` pictures are worth looking at; all but `ok` are told to the manager."""

    OK = "ok"
    DARK = "dark"  # pictures arrive, too dark for a face
    FROZEN = "frozen"  # the same picture again and again
    BLIND = "blind"  # covered, fogged, dazzled: no detail
    STALLED = "stalled"  # the device is there, no picture comes
    MISSING = "missing"  # the device, the stream or the file cannot be opened


class PictureHealth:
    """Follows one camera. `state` starts as OK and changes only when the finding has lasted."""

    def __init__(self) -> None:
        self.state = CameraState.OK
        self._finding = CameraState.OK
        self._since_s = float("-inf")
        self._sample: NDArray[np.uint8] | None = None
        self._changed_s = float("-inf")

    def observe(self, image_bgr: NDArray[np.uint8], at_s: float) -> CameraState:
        """Take one picture (height x width x 3, uint8) seen at `at_s`; returns the state after it."""
        sample = image_bgr[::STEP_PX, ::STEP_PX].copy()
        if self._sample is None or not np.array_equal(sample, self._sample):
            self._sample, self._changed_s = sample, at_s
        frozen = at_s - self._changed_s >= FROZEN_FOR_S
        finding = CameraState.FROZEN if frozen else judge(sample)
        if finding is not self._finding:
            self._finding, self._since_s = finding, at_s
        wait_s = {CameraState.OK: GOOD_FOR_S, CameraState.FROZEN: 0.0}.get(finding, BAD_FOR_S)
        if at_s - self._since_s >= wait_s:
            self.state = finding
        return self.state


def judge(image_bgr: NDArray[np.uint8]) -> CameraState:
    """One picture (height x width x 3, uint8) by itself: OK, DARK or BLIND."""
    grey = image_bgr.mean(axis=2)
    if grey.mean() < DARK_MEAN:
        return CameraState.DARK
    return CameraState.BLIND if grey.std() < BLIND_SPREAD else CameraState.OK
