"""On the device: what stands before the camera. Plays raw films into the loopback camera; standard library only.

python3 projector.py DEVICE WIDTHxHEIGHT PICTURES_A_SECOND FOLDER: shows FOLDER/empty.yuyv again and again. A name in
FOLDER/wanted (put there by rename) is played once from its beginning, and then noted in FOLDER/played.
"""

from __future__ import annotations

import fcntl
import itertools
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REST = "empty"
# linux/videodev2.h: VIDIOC_S_FMT, and its words for an output of progressive sRGB pictures
_SET_FORMAT, _OUTPUT, _YUYV, _PROGRESSIVE, _SRGB = 0xC0D05605, 2, int.from_bytes(b"YUYV", "little"), 1, 8
_FORMAT_BYTES = 208


def main(device: str, size: str, rate: str, folder: Path) -> None:
    """For ever."""
    width, height = map(int, size.split("x"))
    size_bytes, due_s = 2 * width * height, time.monotonic()
    with Path(device).open("wb", buffering=0) as camera:
        words = (_OUTPUT, width, height, _YUYV, _PROGRESSIVE, 2 * width, size_bytes, _SRGB, 0)
        fcntl.ioctl(camera, _SET_FORMAT, bytearray(struct.pack("=I4x8I", *words).ljust(_FORMAT_BYTES, b"\0")))
        while True:
            name = _wanted(folder)
            for picture in _pictures(folder / f"{name}.yuyv", size_bytes):
                camera.write(picture)
                due_s = max(due_s + 1 / float(rate), time.monotonic() - 1.0)  # after a stall: go on, do not race
                time.sleep(max(0.0, due_s - time.monotonic()))
                if name == REST and (folder / "wanted").exists():
                    break
            if name != REST:
                (folder / "played").write_text(name)


def _wanted(folder: Path) -> str:
    try:
        name = (folder / "wanted").read_text().strip()
        (folder / "wanted").unlink()
    except FileNotFoundError:
        return REST
    return name


def _pictures(film: Path, size_bytes: int) -> Iterator[bytes]:
    with film.open("rb") as file:
        yield from itertools.takewhile(len, iter(lambda: file.read(size_bytes), None))


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
