"""The gallery in the vision process, and the code reader beside the faces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from agent.core.vision_messages import (
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryRemove,
    GalleryRow,
    Settings,
)
from agent.vision.codes import Codes
from agent.vision.people import People
from models.arrays import Image
from models.pipeline import Pipeline


def _row(pipeline: Pipeline, person: str, seed: int = 0, length: float = 1.0) -> GalleryRow:
    vector = np.random.default_rng(seed).normal(size=pipeline.embedder.dim)
    return GalleryRow(person, f"t-{person}", (length * vector / np.linalg.norm(vector)).astype("<f4").tobytes())


def _begin(pipeline: Pipeline, epoch: int = 3) -> GalleryBegin:
    return GalleryBegin(epoch, pipeline.embedder.model_id, pipeline.embedder.alignment_id)


def test_a_new_gallery_takes_over_only_when_it_is_complete(pipeline: Pipeline) -> None:
    people = People(pipeline)
    people.take(GalleryAdd((_row(pipeline, "before"),)))
    assert people.take(_begin(pipeline)) is None
    assert people.take(GalleryAdd((_row(pipeline, "after", 1),))) is None
    assert people.gallery.people == ("before",)
    loaded = people.take(GalleryCommit(3))
    assert people.gallery.people == ("after",)
    assert loaded is not None
    assert (loaded.epoch, loaded.people, loaded.templates, loaded.refused) == (3, 1, 1, None)


def test_somebody_removed_while_a_gallery_is_on_its_way_is_in_neither(pipeline: Pipeline) -> None:
    people = People(pipeline)
    row = GalleryAdd((_row(pipeline, "withdrawn"),))
    for message in (row, _begin(pipeline), row, GalleryRemove(("withdrawn",)), GalleryCommit(3)):
        people.take(message)
    assert people.gallery.people == ()


def test_templates_of_another_network_are_refused_with_the_cure(pipeline: Pipeline) -> None:
    people = People(pipeline)
    people.take(GalleryBegin(3, "another", pipeline.embedder.alignment_id))
    people.take(GalleryAdd((_row(pipeline, "p"),)))
    loaded = people.take(GalleryCommit(3))
    assert loaded is not None
    assert loaded.people == 0
    assert "enrol these people again" in (loaded.refused or "")


@pytest.mark.parametrize("length", [0.0, 0.5, 2.0, float("nan"), float("inf")])
def test_a_vector_that_is_not_of_unit_length_is_refused(pipeline: Pipeline, length: float) -> None:
    with np.errstate(invalid="ignore"):
        row = _row(pipeline, "p", length=length)
    loaded = People(pipeline).take(GalleryAdd((row,)))
    assert loaded is not None
    assert loaded.people == 0
    assert "no face's vector" in (loaded.refused or "")


def test_one_bad_template_is_one_template_less_and_everybody_after_it_is_known(pipeline: Pipeline) -> None:
    """After the first bad one everybody else was left out, and that gallery was taken into use: 32 people became 1."""
    people, good = People(pipeline), [_row(pipeline, f"p{n}", n) for n in range(32)]
    bad = (_row(pipeline, "p1", 99, length=2.0), GalleryRow("nobody", "t-short", b"\0" * 12))
    rows = (good[0], *bad, *good[1:])
    for message in (_begin(pipeline), GalleryAdd(rows[:20]), GalleryAdd(rows[20:])):
        people.take(message)
    loaded = people.take(GalleryCommit(3))
    assert loaded is not None
    assert (loaded.people, loaded.templates) == (32, 32)
    assert "2 templates" in (loaded.refused or "")
    assert "t-short" in (loaded.refused or "")
    people.take(GalleryAdd((_row(pipeline, "comes", 50),)))
    assert len(people.gallery) == 33
    for message in (_begin(pipeline), GalleryAdd((good[0],))):
        people.take(message)
    loaded = people.take(GalleryCommit(4))
    assert loaded is not None
    assert loaded.refused is None


def test_changes_of_the_gallery_in_use_end_with_the_epoch_they_lead_to(pipeline: Pipeline) -> None:
    people = People(pipeline)
    for message in (
        _begin(pipeline),
        GalleryAdd((_row(pipeline, "stays"), _row(pipeline, "goes", 1))),
        GalleryCommit(3),
    ):
        people.take(message)
    before = people.gallery
    people.take(GalleryRemove(("goes",)))
    people.take(GalleryAdd((_row(pipeline, "comes", 2),)))
    loaded = people.take(GalleryCommit(4))
    assert people.gallery is before
    assert set(people.gallery.people) == {"stays", "comes"}
    assert loaded is not None
    assert (loaded.epoch, loaded.people, loaded.refused) == (4, 2, None)


def test_a_vector_of_another_length_is_refused(pipeline: Pipeline) -> None:
    people = People(pipeline)
    loaded = people.take(GalleryAdd((GalleryRow("p", "t", b"\0" * 12),)))
    assert loaded is not None
    assert "no face's vector" in (loaded.refused or "")


def test_the_bound_gets_stricter_as_strangers_get_more_and_survives_any_roster(pipeline: Pipeline) -> None:
    def bound(people_count: int, per_day: float) -> float:
        people = People(pipeline)
        for number in range(people_count):
            people.take(GalleryAdd((_row(pipeline, f"p{number}", number),)))
        return people.bound(Settings("standard", 1.0, per_day)).max_match_distance

    assert bound(10, 200.0) < bound(10, 20.0)
    assert bound(40, 20.0) > 0  # made-up people, all equally far apart, are no fault


# ---------------------------------------------------------------- codes


def _code(payload: bytes) -> Image:
    code = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.QRCode)
    small = np.asarray(zxingcpp.write_barcode_to_image(code, scale=4))
    frame = np.full((720, 1280), 170, np.uint8)
    side = min(small.shape[0], 700)
    frame[10 : 10 + side, 100 : 100 + side] = small[:side, :side]
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)


def test_a_code_in_view_is_told_with_its_raw_bytes_and_once_a_second_while_it_is_there() -> None:
    payload = bytes(range(1, 200)) + b"'; DROP TABLE persons; --"
    frame, codes = _code(payload), Codes()
    told = [codes.read(frame, at_s, busy=False) for at_s in (1.0, 1.1, 1.9, 2.0, 6.0)]
    assert [[one.payload for one in found] for found in told] == [[payload], [], [], [payload], [payload]]


def test_a_code_that_hangs_in_view_is_looked_at_once_a_second_while_nothing_moves_and_no_empty_hall_is() -> None:
    """So the agent knows when a showing ends, and a poster costs next to nothing."""
    calls: list[float] = []
    codes, payload = Codes(), b"poster"
    still = np.zeros((9, 9, 3), np.uint8)
    there = [SimpleNamespace(valid=True, bytes=payload)]
    codes._library = _library(lambda *_, **__: calls.append(1.0) or there)
    codes.read(still, 100.0, busy=False, moving=False)
    assert calls == []
    codes.read(still, 100.1, busy=False)
    told = [found for tick in range(2, 102) for found in codes.read(still, 100 + tick / 10, busy=False, moving=False)]
    assert (len(calls), len(told)) == (11, 10)
    there.clear()
    for tick in range(200):
        codes.read(still, 111 + tick / 10, busy=False, moving=False)
    assert len(calls) < 20


def test_an_empty_frame_and_a_frame_of_noise_hold_no_code() -> None:
    codes = Codes()
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
    assert codes.read(np.zeros_like(noise), 1.0, busy=False) == []
    assert codes.read(noise, 2.0, busy=False) == []


def test_a_code_with_more_than_two_kibibytes_is_not_handed_on() -> None:
    codes = Codes()
    codes._library = _library(lambda *_, **__: [SimpleNamespace(valid=True, bytes=bytes(n)) for n in (0, 2048, 2049)])
    assert [len(one.payload) for one in codes.read(np.zeros((9, 9, 3), np.uint8), 1.0, busy=False)] == [2048]


def _library(read: Any) -> Any:
    return SimpleNamespace(read_barcodes=read, BarcodeFormat=zxingcpp.BarcodeFormat)


def test_a_reader_that_keeps_failing_rests_for_a_minute_at_a_time_and_reads_again_when_it_can() -> None:
    """It was switched off for good, and told nobody: no phone opened the door until somebody restarted door-vision."""
    calls, black = [], np.zeros((9, 9, 3), np.uint8)

    def broken(*_: object, **__: object) -> None:
        calls.append(1)
        raise RuntimeError("zxing lost its mind")

    codes = Codes()
    library, codes._library = codes._library, _library(broken)
    for number in range(100):
        assert codes.read(black, float(number), busy=False) == []
    assert len(calls) == 6  # five in the first seconds, one after a minute
    codes._library = library
    shown = _code(b"a code")
    assert codes.read(shown, 100.0, busy=False) == []
    assert [one.payload for one in codes.read(shown, 130.0, busy=False)] == [b"a code"]


def test_while_a_face_is_judged_only_every_third_frame_is_searched() -> None:
    calls = []
    codes = Codes()
    codes._library = _library(lambda *_, **__: calls.append(1) or [])
    for number in range(9):
        codes.read(np.zeros((9, 9, 3), np.uint8), float(number), busy=True)
    assert len(calls) == 3
