"""How well and how fast codes are read: the door's reader and OpenCV's on the same photographs; a phone held up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from agent.core.passes import base45_encode
from agent.errors import DoorAgentError
from agent.vision.codes import Codes
from fixtures.held_phone import CONDITIONS, picture
from models.arrays import Image

DISTANCES_M: Final = (0.10, 0.15, 0.20, 0.30, 0.40, 0.50)
_PICTURES: Final = 3  # of a phone at each distance and in each light
_PASS: Final = base45_encode(bytes(range(95)))  # as long as a phone's pass: 31 bytes and a signature
_EMPTY_FRAMES: Final = 5
_ENCODINGS: Final = ("utf-8", "shift_jis", "gb18030", "big5", "euc_kr", "latin-1", "cp437", "cp1251")

Reader = Callable[[Image], bytes]


def measure(folder: Path) -> dict[str, Any]:
    """Photographs NAME.png with their text in NAME.txt, in `folder` and below; then drawn scenes.

    Raises:
        DoorAgentError: there are none.
    """
    photos = [(path, path.with_suffix(".txt")) for path in sorted(folder.rglob("*.png"))]
    photos = [(path, text) for path, text in photos if text.is_file()]
    if not photos:
        raise DoorAgentError(
            f"{folder}: no photographs NAME.png with NAME.txt here; name their folder's parent with --data"
        )
    loaded = [(cv2.imread(str(path)), _plain(text.read_bytes())) for path, text in photos]
    pictures = [(np.asarray(image, np.uint8), text) for image, text in loaded if image is not None]
    readers: dict[str, Reader] = {"door": _door, "opencv": _opencv()}
    return {
        "photographs": len(pictures),
        "readers": {name: _score(reader, pictures) for name, reader in readers.items()},
        "phone_held_up": [_held(distance_m, condition) for condition in CONDITIONS for distance_m in DISTANCES_M],
    }


def _score(reader: Reader, pictures: list[tuple[Image, bytes]]) -> dict[str, Any]:
    right = wrong = 0
    times_ms = []
    for image, text in pictures:
        began_s = time.perf_counter()
        said = reader(image)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        right += _same(said, text)
        wrong += bool(said) and not _same(said, text)
    empty = picture("", 50.0, CONDITIONS[0])
    began_s = time.perf_counter()
    for _ in range(_EMPTY_FRAMES):
        reader(empty)
    empty_ms = (time.perf_counter() - began_s) * 1000 / _EMPTY_FRAMES
    return {
        "read": right,
        "misread": wrong,
        "rate": round(right / len(pictures), 3),
        "median_ms": round(statistics.median(times_ms), 1),
        "p95_ms": round(sorted(times_ms)[int(0.95 * (len(times_ms) - 1))], 1),
        "no_code_720p_ms": round(empty_ms, 1),
    }


def _held(distance_m: float, condition: str) -> dict[str, Any]:
    """A phone's pass in 1280x720 pictures, 70 degrees across."""
    times_ms, read = [], 0
    for seed in range(_PICTURES):
        image = picture(_PASS.decode(), distance_m, condition, seed)
        began_s = time.perf_counter()
        read += _door(image) == _PASS
        times_ms.append((time.perf_counter() - began_s) * 1000)
    median_ms = round(statistics.median(times_ms), 1)
    return {
        "condition": condition,
        "cm": round(distance_m * 100),
        "read": read,
        "of": _PICTURES,
        "median_ms": median_ms,
    }


def _door(image: Image) -> bytes:
    """As door-vision does; a fresh reader each time, because one code is told once in two seconds."""
    found = Codes().read(image, 0.0, busy=False)
    return _plain(found[0].payload) if found else b""


def _opencv() -> Reader:
    detector = cv2.QRCodeDetector()

    def read(image: Image) -> bytes:
        try:
            text, _, _ = detector.detectAndDecode(image)
        except (cv2.error, UnicodeDecodeError):
            return b""
        return _plain(text.encode("utf-8", "replace"))

    return read


def _same(said: bytes, text: bytes) -> bool:
    """The expected texts are UTF-8, whatever the code's bytes are."""
    return any(said.decode(encoding, "replace").encode() == text for encoding in _ENCODINGS)


def _plain(text: bytes) -> bytes:
    """One form of line ends: the expected texts were written by editors."""
    return text.replace(b"\r\n", b"\n").strip()
