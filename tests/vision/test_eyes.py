"""The eyes: nothing moves, nothing is spent; every face is one track from its first look to its last."""

from __future__ import annotations

import numpy as np
import pytest

from agent.vision.eyes import Eyes, Motion
from models.align import ALIGNMENTS
from models.arrays import Image
from models.detect import Detection

HEIGHT, WIDTH = 720, 1280


class _Detector:
    """Sees what the test says: boxes in the whole frame; in a part of it, those that lie inside."""

    name = "scripted"
    follow_face_px = near_face_px = 50
    follow_around = 0.6
    width_px = 4 * WIDTH  # faces are never too small to be precise

    def __init__(self) -> None:
        self.boxes: list[tuple[float, float, float, float]] = []
        self.full_looks = 0
        self.near_looks = 0

    def detect(self, image_bgr: Image, width_px: int | None = None) -> list[Detection]:
        if width_px is None:
            self.full_looks += 1
            left = top = 0
        else:
            self.near_looks += 1
            top, left = self._place(image_bgr)
        height, width = image_bgr.shape[:2]
        inside = [
            box
            for box in self.boxes
            if left <= box[0] and top <= box[1] and box[0] + box[2] <= left + width and box[1] + box[3] <= top + height
        ]
        found = [_face(x - left, y - top, w, h) for x, y, w, h in inside]
        return sorted(found, key=lambda one: -one.width_px)

    def _place(self, part: Image) -> tuple[int, int]:
        offset = part.__array_interface__["data"][0] - self.base
        return offset // (3 * WIDTH), offset % (3 * WIDTH) // 3

    base = 0


def _face(x: float, y: float, width: float, height: float) -> Detection:
    points = ALIGNMENTS["reid-128"].points * np.float32([width, height]) + np.float32([x, y])
    return Detection((x, y, width, height), points, 0.9)


class _World:
    def __init__(self) -> None:
        self.detector = _Detector()
        self.eyes = Eyes(self.detector)
        self.image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        self.detector.base = self.image.__array_interface__["data"][0]
        self.now_s = 100.0

    def see(self, *boxes: tuple[float, float, float, float], moving: bool = False) -> list[int]:
        self.detector.boxes = list(boxes)
        self.now_s += 0.1
        if moving:
            self.image[200:400, 300:500] ^= 128
        return [track.number for track in self.eyes.look(self.image, self.now_s)]


@pytest.fixture
def world() -> _World:
    return _World()


BOX = (400.0, 200.0, 120.0, 150.0)


def test_an_empty_still_hallway_is_looked_at_once_a_second(world: _World) -> None:
    world.see()
    world.now_s += 2.0  # the first picture counts as motion; let it pass
    world.see()
    before = world.detector.full_looks
    for _ in range(50):
        world.see()
    assert world.detector.full_looks - before in (4, 5)


def test_every_frame_with_motion_is_looked_at(world: _World) -> None:
    for _ in range(10):
        world.see(moving=True)
    assert world.detector.full_looks == 10


def test_a_face_keeps_its_number_while_it_moves_and_costs_near_looks(world: _World) -> None:
    numbers = {tuple(world.see((400.0 + 8 * n, 200.0, 120.0, 150.0), moving=True)) for n in range(20)}
    assert numbers == {(1,)}
    assert world.detector.full_looks <= 6
    assert world.detector.near_looks >= 14


def test_two_people_are_two_tracks_the_nearest_first(world: _World) -> None:
    near, far = (900.0, 200.0, 160.0, 200.0), BOX
    assert world.see(far, near, moving=True) == [1, 2]
    assert [round(track.detection.width_px) for track in world.eyes.look(world.image, world.now_s + 0.1)] == [160, 120]


def test_a_face_that_covers_another_does_not_take_its_track(world: _World) -> None:
    """One face is one track: somebody who steps before somebody else is not judged twice."""
    front, behind = (400.0, 200.0, 160.0, 200.0), (600.0, 220.0, 100.0, 125.0)
    assert world.see(front, behind, moving=True) == [1, 2]
    steps = (440.0, 480.0, 520.0, 545.0, *(550.0 + 3 * n for n in range(8)))
    assert [world.see((x, 200.0, 160.0, 200.0), moving=True) for x in steps] == [[1]] * len(steps)
    assert world.eyes.alive == {1}


def test_a_face_somewhere_else_is_somebody_else(world: _World) -> None:
    """A track never jumps: evidence for one face must not be spent on another."""
    assert world.see(BOX, moving=True) == [1]
    assert world.see((900.0, 200.0, 120.0, 150.0), moving=True) == [2]


def test_a_face_that_turned_away_for_a_moment_goes_on_and_a_gone_one_ends(world: _World) -> None:
    world.see(BOX, moving=True)
    assert [world.see(moving=True), world.see(moving=True)] == [[], []]
    assert world.see(BOX, moving=True) == [1]
    for _ in range(8):
        world.see()
    assert world.eyes.alive == set()
    assert world.see(BOX, moving=True) == [2]


def test_noise_is_no_motion_and_a_shadow_on_a_face_is() -> None:
    rng = np.random.default_rng(0)
    hall = rng.integers(60, 180, (HEIGHT, WIDTH, 3)).astype(np.int16)
    motion = Motion()
    for n in range(5):
        motion.observe(np.clip(hall + rng.normal(0, 4, hall.shape), 0, 255).astype(np.uint8), 10.0 + n)
    assert not motion.recent(15.0)
    hall[300:400, 600:700] += 30
    motion.observe(np.clip(hall, 0, 255).astype(np.uint8), 20.0)
    assert motion.recent(20.5)
    assert motion.within((590.0, 290.0, 120.0, 120.0))
    assert not motion.within((100.0, 100.0, 120.0, 120.0))


def test_a_camera_that_changes_its_picture_size_is_no_fault() -> None:
    motion = Motion()
    for size in ((720, 1280), (480, 640), (15, 15)):
        motion.observe(np.zeros((*size, 3), np.uint8), 1.0)
    assert motion.recent(1.0)
