"""Codes held before the camera: their raw bytes and nothing else. Hostile until agent.core.passes says otherwise.

Missing, broken or slow, the reader never keeps a face waiting: it looks only at pictures with motion, at every third
one while somebody is judged, and is left alone for a minute when it fails again and again. A code in view is told once
a second for as long as it is there, moving or not: how long somebody shows it is the agent's business.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import cv2
import numpy as np

from agent.core.vision_messages import MAX_PASS_BYTES, Pass
from models.arrays import Image

_TOLD_EVERY_S: Final = 1.0
_LINGERS_S: Final = 3.0  # without motion a code is still looked for this long after it was last read
_MAX_FAILURES: Final = 5
_REST_S: Final = 60.0  # after so many; then it is tried again, and rests after the next failure
_BUSY_EVERY: Final = 3
_LOG = logging.getLogger(__name__)


class Codes:
    """QR codes in frames. One thread."""

    def __init__(self) -> None:
        self._failures = 0
        self._frames = 0
        self._told: dict[bytes, float] = {}
        self._looked_s = self._read_s = self._rests_until_s = float("-inf")
        self._library: Any = None
        try:
            import zxingcpp
        except ImportError:
            return
        self._library = zxingcpp

    @property
    def available(self) -> bool:
        """Whether codes can be read at all."""
        return self._library is not None

    def read(self, image_bgr: Image, at_s: float, *, busy: bool, moving: bool = True) -> list[Pass]:
        """Codes in uint8[H, W, 3], each once a second. `busy`: a face is being judged; `moving`: or something moves."""
        self._frames += 1
        if not self.available or at_s < self._rests_until_s or (busy and self._frames % _BUSY_EVERY):
            return []
        if not moving and not busy and not self._lingers(at_s):
            return []
        self._looked_s = at_s
        try:
            payloads = self._payloads(image_bgr)
        except Exception as error:  # noqa: BLE001  a fault in the reader must not end face recognition
            self._failures += 1
            _LOG.warning("code reader failed %d times: %s", self._failures, type(error).__name__)
            if self._failures >= _MAX_FAILURES:
                self._rests_until_s = at_s + _REST_S
            return []
        self._failures = 0
        self._read_s = at_s if payloads else self._read_s
        self._told = {payload: told_s for payload, told_s in self._told.items() if at_s - told_s < _TOLD_EVERY_S}
        due = [payload for payload in dict.fromkeys(payloads) if payload not in self._told]
        self._told |= dict.fromkeys(due, at_s)
        return [Pass(payload, at_s) for payload in due]

    def _lingers(self, at_s: float) -> bool:
        return at_s - self._read_s <= _LINGERS_S and at_s - self._looked_s >= _TOLD_EVERY_S

    def _payloads(self, image_bgr: Image) -> list[bytes]:
        gray = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY))
        found = self._library.read_barcodes(gray, formats=self._library.BarcodeFormat.QRCode)
        return [payload for one in found if one.valid and 0 < len(payload := bytes(one.bytes)) <= MAX_PASS_BYTES]
