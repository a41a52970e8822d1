"""Light from the side: a face whose half lies in shadow is still found, and still looks like its person."""

from __future__ import annotations

import numpy as np
import pytest

from fixtures.pictures import PicturesMissingError, portrait
from models.arrays import Image
from models.light import evenly_lit, lifted
from models.pipeline import Pipeline
from models.scale import unit


def _chip(left: int, right: int) -> Image:
    chip = np.full((128, 128, 3), left, np.uint8)
    chip[:, 64:] = right
    return chip


@pytest.mark.parametrize(("left", "right"), [(120, 120), (40, 40), (8, 10), (100, 140), (90, 250)])
def test_a_face_without_a_shadow_on_one_half_stays_as_it_is(left: int, right: int) -> None:
    """Dark skin, dim light and a bright lamp are no shadow: only one half near black against the other is."""
    chip = _chip(left, right)
    assert evenly_lit(chip) is chip


def test_a_half_in_shadow_comes_nearer_to_the_other_one() -> None:
    before, after = _chip(12, 140), evenly_lit(_chip(12, 140))
    assert after[64, 30, 0] / after[64, 100, 0] > 3 * before[64, 30, 0] / before[64, 100, 0]


@pytest.fixture(scope="module")
def side_lit() -> tuple[Image, Image]:
    """A portrait, and the same with all light from the right."""
    try:
        image = portrait("collins")[:400]
    except PicturesMissingError as error:
        pytest.skip(str(error))
    height, width = image.shape[:2]
    across = np.clip((np.arange(width) - 0.42 * width) / (0.3 * width), 0.015, 0.5).astype(np.float32)
    return image, (image * np.broadcast_to(across[None, :, None], (height, width, 1))).astype(np.uint8)


def test_a_side_lit_person_is_found_and_recognised_better(better: Pipeline, side_lit: tuple[Image, Image]) -> None:
    plain, dark = side_lit
    (known,) = unit(better.embed(plain, better.detector.detect(plain)[:1]))
    found = better.detector.detect(dark)[:1]
    assert found
    chips = np.stack([better.chips(dark, found)[0]])
    as_seen = unit(better.embedder.embed(np.stack([_raw(better, dark, found)])))[0]
    assert not np.array_equal(chips[0], _raw(better, dark, found))
    assert known @ unit(better.embedder.embed(chips))[0] > known @ as_seen


def test_lifting_keeps_black_and_white() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    assert lifted(ramp)[0, 0, 0] == 0
    assert lifted(ramp)[0, 255, 0] == 255
    assert (np.diff(lifted(ramp)[0, :, 0].astype(int)) >= 0).all()


def _raw(pipeline: Pipeline, image: Image, found: list) -> Image:
    from models.align import chip

    return chip(image, found[0].landmarks_px, pipeline.embedder.alignment)
