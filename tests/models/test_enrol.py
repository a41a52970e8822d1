"""Enrolment from pictures and before the camera, on real portraits."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.enrol import Collector, check_number, different, enrol
from models.errors import PictureUnusableError
from models.pipeline import Pipeline

pytestmark = pytest.mark.slow

Place = Callable[[str], Image]


def test_enrolment_names_the_picture_and_the_reason(better: Pipeline, picture: Place) -> None:
    face = picture("collins")
    both = np.concatenate([face, cv2.resize(picture("hopper"), None, fx=0.6, fy=1.0)[:, :400]], axis=1)
    cases = {
        "no-face": np.zeros_like(face),
        "two-faces": both,
        "small": cv2.copyMakeBorder(cv2.resize(face, None, fx=0.3, fy=0.3), 300, 300, 0, 0, cv2.BORDER_REPLICATE),
        "blurred": cv2.GaussianBlur(face, (0, 0), 12),
        "dark": np.asarray(face * 0.07, np.uint8),
    }
    for reason, spoilt in cases.items():
        with pytest.raises(PictureUnusableError) as caught:
            enrol(better, [("good.jpg", face), ("bad.jpg", spoilt)])
        assert (caught.value.picture, caught.value.reason) == ("bad.jpg", reason)
        assert str(caught.value).startswith("bad.jpg ")
    with pytest.raises(PictureUnusableError, match="does not look like"):
        enrol(better, [("good.jpg", face), ("bad.jpg", picture("hopper"))])


def _saved_again(frame: Image) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR)


def _views(frame: Image, count: int) -> list[tuple[str, Image]]:
    """One face in different light, from a little aside and from further away."""
    height, width = frame.shape[:2]
    found = []
    for n in range(count):
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), 7 * n - 10, 1 - 0.06 * n)
        found.append(
            (f"{n}.jpg", np.asarray(cv2.warpAffine(frame, turned, (width, height)) * (1 - 0.12 * n), np.uint8))
        )
    return found


@pytest.mark.parametrize(("count", "taken"), [(1, False), (2, False), (3, True), (5, True), (6, False)])
def test_three_to_five_pictures_make_a_person(pipeline: Pipeline, picture: Place, count: int, *, taken: bool) -> None:
    """Six used to be stored, and then nobody's entry could be read any more."""
    views = _views(picture("collins"), count)
    if taken:
        check_number([name for name, _ in views])
        assert len(different(pipeline, views).templates) == count
    else:
        with pytest.raises(PictureUnusableError, match="3 to 5 are needed") as caught:
            check_number([name for name, _ in views])
        assert caught.value.reason == "number"


def test_one_picture_twice_is_no_second_view_and_a_nearly_equal_one_is_named(
    pipeline: Pipeline, picture: Place
) -> None:
    views = _views(picture("collins"), 2)
    with pytest.raises(PictureUnusableError, match=r"copy\.jpg is the same picture as 0\.jpg") as caught:
        different(pipeline, [*views, ("copy.jpg", views[0][1].copy())])
    assert caught.value.reason == "twice"
    found = different(pipeline, [*views, ("again.jpg", _saved_again(views[0][1]))])
    assert ("0.jpg", "again.jpg") in found.alike


def test_a_bystander_far_behind_does_not_stop_an_enrolment(better: Pipeline, picture: Place) -> None:
    face = picture("collins")
    behind = cv2.resize(picture("hopper"), None, fx=0.2, fy=0.2)
    face[-behind.shape[0] :, : behind.shape[1]] = behind
    assert len(enrol(better, [("a", face)])) == 1


def test_the_collector_takes_different_views_of_one_person_and_not_another(fallback: Pipeline, picture: Place) -> None:
    collector = Collector(fallback, 2)
    face, other = picture("collins"), picture("hopper")
    offers = [
        (face, 0.0),
        (face, 0.1),
        (face, 1.0),
        (other, 3.0),
        (np.zeros_like(face), 3.5),
        (np.asarray(face * 0.6, np.uint8), 4.0),
    ]
    seen = [collector.offer(frame, fallback.detector.detect(frame), at_s) for frame, at_s in offers]
    assert [one.problem for one in seen] == [None, "hold-on", "hold-on", "other-person", "no-face", None]
    assert (seen[-1].collected, seen[-1].done) == (2, True)
