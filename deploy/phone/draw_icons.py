"""Draws the page's icons (`python -m deploy.phone.draw_icons`): a door and a code, in rectangles only.

One list of rectangles gives the SVG icons of the manifest and the PNG that iPhones take for the home screen.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final

SIDE: Final = 60  # the drawing's own units
_PNG_PX: Final = 180  # what an iPhone asks for: 3 pixels a unit
_BLUE, _WHITE, _PALE = "#0b57b0", "#ffffff", "#cfe0f6"
_DOOR: Final = ((14, 8, 32, 46, _WHITE), (17, 11, 26, 43, _PALE), (38, 35, 3, 5, _BLUE))
_EYES: Final = tuple(
    (x + inset, y + inset, side, side, colour)
    for x, y in ((19, 15), (30, 15), (19, 26))
    for inset, side, colour in ((0, 8, _BLUE), (2, 4, _WHITE), (3, 2, _BLUE))
)
_DOTS: Final = ((30, 26, 3, 3, _BLUE), (35, 26, 3, 3, _BLUE), (33, 30, 3, 3, _BLUE))
_SHAPES: Final = _DOOR + _EYES + _DOTS


def svg(*, maskable: bool) -> str:
    """`maskable`: the launcher cuts its own shape out of it, so the drawing is small and the ground reaches the rim."""
    ground = f'<rect width="{SIDE}" height="{SIDE}" rx="{0 if maskable else 13}" fill="{_BLUE}"/>'
    shapes = "".join(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{c}"/>' for x, y, w, h, c in _SHAPES)
    size = 'transform="translate(7.5 7.5) scale(.75)"' if maskable else ""
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">{ground}<g {size}>{shapes}</g></svg>\n'


def png() -> bytes:
    """The same drawing, 180 x 180 pixels, 8-bit RGB."""
    scale = _PNG_PX // SIDE
    rows = [[_rgb(_BLUE)] * SIDE for _ in range(SIDE)]
    for x, y, w, h, colour in _SHAPES:
        for row in rows[y : y + h]:
            row[x : x + w] = [_rgb(colour)] * w
    lines = (b"\0" + b"".join(pixel * scale for pixel in row) for row in rows for _ in range(scale))
    header = struct.pack(">IIBBBBB", _PNG_PX, _PNG_PX, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def icons() -> dict[str, bytes]:
    """File name -> content."""
    return {
        "icon.svg": svg(maskable=False).encode(),
        "icon-maskable.svg": svg(maskable=True).encode(),
        "icon-180.png": png(),
    }


def _rgb(colour: str) -> bytes:
    return bytes.fromhex(colour[1:])


if __name__ == "__main__":
    for name, data in icons().items():
        (Path(__file__).parent / name).write_bytes(data)
