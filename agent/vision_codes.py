"""Codes held before the camera: their raw bytes and nothing else. Hostile until agent.core.passes says otherwise.

Missing, broken or slow, the reader never keeps a face waiting: it looks only at pictures with motion, at every third
one while somebody is judged, and is switched off when it fails again and again.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import cv2
import numpy as np

from agent.core.vision_messages import MAX_PASS_BYTES, Pass
from models.arrays import Image

_SAME_CODE_S: Final = 2.0
_MAX_FAILURES: Final = 5
_BUSY_EVERY: Final = 3
_LOG = logging.getLogger(__name__)


class Codes:
    """QR codes in frames. One thread."""

    def __init__(self) -> None:
        self._failures = 0
        self._frames = 0
        self._seen: dict[bytes, float] = {}
        self._library: Any = None
        try:
            import zxingcpp
        except ImportError:
            return
        self._library = zxingcpp

    @property
    def available(self) -> bool:
        """Whether codes are read at all."""
        return self._library is not None and self._failures < _MAX_FAILURES

    def read(self, image_bgr: Image, at_s: float, *, busy: bool) -> list[Pass]:
        """Codes in uint8[H, W, 3] that were not there in the last two seconds. `busy`: a face is being judged."""
        self._frames += 1
        if not self.available or (busy and self._frames % _BUSY_EVERY):
            return []
        try:
            payloads = self._payloads(image_bgr)
        except Exception as error:  # noqa: BLE001  a fault in the reader must not end face recognition
            self._failures += 1
            _LOG.warning("code reader failed (%d of %d): %s", self._failures, _MAX_FAILURES, type(error).__name__)
            return []
        self._failures = 0
        self._seen = {payload: last_s for payload, last_s in self._seen.items() if at_s - last_s <= _SAME_CODE_S}
        fresh = [payload for payload in payloads if payload not in self._seen]
        self._seen |= dict.fromkeys(payloads, at_s)
        return [Pass(payload, at_s) for payload in fresh]

    def _payloads(self, image_bgr: Image) -> list[bytes]:
        gray = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY))
        found = self._library.read_barcodes(gray, formats=self._library.BarcodeFormat.QRCode)
        return [payload for one in found if one.valid and 0 < len(payload := bytes(one.bytes)) <= MAX_PASS_BYTES]
