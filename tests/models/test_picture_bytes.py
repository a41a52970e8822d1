"""Pictures that people hand in: bounded by their header, upright, and every refusal names the picture and the cure."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PictureUnusableError
from models.pictures import MAX_BYTES, decode_picture, picture_size, read_picture


def _jpeg(height: int = 60, width: int = 80, *, orientation: int | None = None) -> bytes:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = 255  # white above, black below
    data = cv2.imencode(".jpg", image)[1].tobytes()
    if orientation is None:
        return data
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<HHI", orientation, 0, 0)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def _png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("data", [_png_bomb(10_000, 10_000), _png_bomb(60_001, 60_001), _png_bomb(0, 5)])
def test_a_hundred_megapixels_are_refused_before_anything_is_decoded(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(PictureUnusableError, match="scale it down") as caught:
        decode_picture(data, "bomb.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.picture, caught.value.reason) == ("bomb.png", "too-large")
    assert peak < 1_000_000


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PictureUnusableError, match="32 MiB"):
        read_picture(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not-a-picture"),
        (b"GIF89a...", "not-a-picture"),
        (_jpeg()[:3], "not-a-picture"),
        (b"\xff\xd8\xff\xc0", "not-a-picture"),
    ],
)
def test_what_is_no_picture_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(PictureUnusableError) as caught:
        decode_picture(data, "x.jpg")
    assert caught.value.reason == reason


def test_a_picture_without_its_body_is_damaged() -> None:
    with pytest.raises(PictureUnusableError, match="damaged"):
        decode_picture(_png_bomb(300, 300)[:60], "cut.png")


def test_a_missing_file_says_what_the_system_says(tmp_path: Path) -> None:
    with pytest.raises(PictureUnusableError, match="No such file"):
        read_picture(tmp_path / "absent.jpg")


@pytest.mark.parametrize(
    ("orientation", "shape", "white"), [(None, (60, 80), "top"), (3, (60, 80), "bottom"), (6, (80, 60), "right")]
)
def test_a_telephones_picture_is_turned_upright(orientation: int | None, shape: tuple[int, int], white: str) -> None:
    image = decode_picture(_jpeg(orientation=orientation), "phone.jpg")
    places = {"top": image[5, 30], "bottom": image[-5, 30], "right": image[30, -5]}
    assert image.shape[:2] == shape
    assert places[white].min() > 240


def test_large_pictures_are_halved() -> None:
    assert decode_picture(_jpeg(2500, 4000), "large.jpg").shape == (1250, 2000, 3)


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b""]))
def test_no_bytes_make_the_header_reader_do_anything_but_answer_or_refuse(tail: bytes, start: bytes) -> None:
    try:
        width, height = picture_size(start + tail)
    except (ValueError, IndexError):
        return
    assert width >= 0
    assert height >= 0
