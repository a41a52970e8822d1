"""Pictures that people hand in: the header is read before anything is decoded, so a bomb costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from models.arrays import Image
from models.errors import PictureUnusableError

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_PIXELS: Final = 60_000_000  # the largest telephones' own pictures; decoded at half size from 8 million on
_HALVE_FROM_PIXELS: Final = 8_000_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_NO_SIZE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length
_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that tell the size


def read_picture(path: Path) -> Image:
    """uint8[H, W, 3] of a JPEG or PNG file, upright. Raises PictureUnusableError with what is wrong and what to do."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise _unusable(path.name, "unreadable", f"cannot be read: {error.strerror}") from error
    if size > MAX_BYTES:
        raise _unusable(
            path.name, "too-large", f"has {size >> 20} MiB, at most {MAX_BYTES >> 20} are taken: scale it down"
        )
    return decode_picture(data, path.name)


def decode_picture(data: bytes, name: str) -> Image:
    """As `read_picture`, from the file's bytes; `name` is for the message."""
    if len(data) > MAX_BYTES:
        raise _unusable(name, "too-large", f"is larger than the {MAX_BYTES >> 20} MiB that are taken: scale it down")
    try:
        width, height = picture_size(data)
    except (IndexError, ValueError) as error:
        raise _unusable(name, "not-a-picture", "is not a JPEG or PNG picture: save it as JPEG first") from error
    pixels = width * height
    if not 0 < pixels <= MAX_PIXELS:
        raise _unusable(
            name,
            "too-large",
            f"says it is {width} x {height} pixels, at most {MAX_PIXELS // 10**6} million are taken: scale it down",
        )
    how = cv2.IMREAD_REDUCED_COLOR_2 if pixels > _HALVE_FROM_PIXELS else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error as error:
        raise _unusable(name, "damaged", "is damaged: copy it again, or take another picture") from error
    if image is None:
        raise _unusable(name, "damaged", "is damaged: copy it again, or take another picture")
    return np.asarray(image, np.uint8)


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG's or PNG's header tells. ValueError or IndexError if it is neither or cut short."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) > 24:  # noqa: PLR2004  end of the two sizes
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(_JPEG):
        raise ValueError("neither JPEG nor PNG")
    at = 2
    while data[at] == 0xFF:  # noqa: PLR2004  every marker begins so
        marker = data[at + 1]
        if marker in _FRAME:
            return 256 * data[at + 7] + data[at + 8], 256 * data[at + 5] + data[at + 6]
        if marker == 0xFF or marker in _NO_SIZE:  # noqa: PLR2004  a fill byte
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ValueError("a JPEG without a size")


def _unusable(name: str, reason: str, what: str) -> PictureUnusableError:
    return PictureUnusableError(f"{name} {what}", picture=name, reason=reason)
