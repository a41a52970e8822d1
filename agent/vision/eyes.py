"""Looking at the camera's pictures: almost free while nothing moves, cheap while a face is followed.

Motion is judged on a thumbnail of the green channel (0.1 ms). A full look (detection in the whole frame) is taken on
every frame with motion while nobody is followed, twice a second while somebody is, and once a second in any case.
Between full looks a face is followed by looking near its last place only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Image
from models.detect import Detection, Detector, follow, overlap, precise

_STEP_PX: Final = 4
_CELL_PX: Final = 16
_CELL_CHANGE: Final = 7.0  # of 255, after averaging 16 samples: five times the noise of a webcam in a dim hall
_MOVED_CELLS: Final = 5
_AFTERGLOW_S: Final = 1.0  # somebody who stops moving is still looked at for this long
_IDLE_LOOK_S: Final = 1.0
_FOLLOWING_LOOK_S: Final = 0.5
_LOST_S: Final = 0.6
_SAME_FACE: Final = 0.2  # overlap of boxes in consecutive looks
_ONE_FACE: Final = 0.5  # overlap of boxes in one picture: the detector itself drops what overlaps by 0.3
_REST: Final = 2.0  # a full look is followed by twice its time without one: HOG on a small computer stays usable
MAX_TRACKS: Final = 6


@dataclass(slots=True, eq=False)
class Track:
    """One face from its first look to its last. `detection` is the newest, of the frame at `seen_at_s`.

    `moved_at_s`: when something last moved in its place; a poster does not.
    """

    number: int
    detection: Detection
    first_at_s: float
    seen_at_s: float
    moved_at_s: float = float("-inf")


class Motion:
    """Which cells of the picture changed since the picture before."""

    def __init__(self) -> None:
        self._samples: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._before = self._samples
        self._last: NDArray[np.float32] | None = None
        self._changed: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)
        self._last_moved_s = float("-inf")

    def observe(self, image_bgr: Image, at_s: float) -> None:
        """Take in the next picture uint8[H, W, 3]."""
        samples = np.ascontiguousarray(image_bgr[::_STEP_PX, ::_STEP_PX, 1])
        self._before, self._samples = self._samples, samples
        size = (max(1, image_bgr.shape[1] // _CELL_PX), max(1, image_bgr.shape[0] // _CELL_PX))
        cells = np.asarray(cv2.resize(samples, size, interpolation=cv2.INTER_AREA), np.float32)
        if self._last is None or self._last.shape != cells.shape:
            self._changed = np.ones(cells.shape, np.bool_)
        else:
            self._changed = np.abs(cells - self._last) > _CELL_CHANGE
        self._last = cells
        if np.count_nonzero(self._changed) >= _MOVED_CELLS:
            self._last_moved_s = at_s

    def recent(self, at_s: float) -> bool:
        """Whether something moved lately."""
        return at_s - self._last_moved_s <= _AFTERGLOW_S

    def within(self, box_px: tuple[float, float, float, float]) -> bool:
        """Whether something moved inside a box just now. A poster does not; nobody alive holds that still for long."""
        return bool(self._changed[_part(box_px, _CELL_PX)].any())

    def repeated(self, box_px: tuple[float, float, float, float]) -> bool:
        """Whether a box shows exactly what it showed in the picture before. A sensor's noise alone changes that."""
        part = _part(box_px, _STEP_PX)
        return np.array_equal(self._samples[part], self._before[part])


def _part(box_px: tuple[float, float, float, float], step_px: int) -> tuple[slice, slice]:
    """Rows and columns of a box in a picture of which every `step_px` was taken."""
    x, y, width, height = (max(0, int(side / step_px)) for side in box_px)
    return slice(y, y + height + 1), slice(x, x + width + 1)


class Eyes:
    """Follows every face in view. One thread."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._numbers = count(1)
        self._full_look_s = float("-inf")
        self._rested_s = float("-inf")  # a slow detector gets no full look before this
        self._tracks: list[Track] = []
        self.motion = Motion()

    @property
    def alive(self) -> set[int]:
        """Numbers of the tracks that go on, seen in the newest frame or just missed."""
        return {track.number for track in self._tracks}

    def look(self, image_bgr: Image, at_s: float) -> list[Track]:
        """Take in the next frame; the tracks whose face was seen in it, the largest face first."""
        self.motion.observe(image_bgr, at_s)
        since_s = at_s - self._full_look_s
        awake = bool(self._tracks) or not self.motion.recent(at_s)
        full = since_s >= (_FOLLOWING_LOOK_S if self._tracks else _IDLE_LOOK_S) or not awake
        rested = at_s >= self._rested_s
        if (full and rested) or (not self._follow(image_bgr, at_s) and rested):
            began_s = time.monotonic()
            self._look_everywhere(image_bgr, at_s)
            self._rested_s = at_s + _REST * (time.monotonic() - began_s)
        self._tracks = [track for track in self._tracks if at_s - track.seen_at_s <= _LOST_S]
        seen = [track for track in self._tracks if track.seen_at_s == at_s]
        for track in seen:
            if self.motion.within(track.detection.box_px):
                track.moved_at_s = at_s
        return sorted(seen, key=lambda track: -track.detection.width_px)

    def _follow(self, image_bgr: Image, at_s: float) -> bool:
        """Look near each face. False if one was not found again, so that a full look is due.

        A face that steps before another one is what both looks find: it stays with the track that it moved least from.
        """
        looks = [(track, follow(self._detector, image_bgr, track.detection)) for track in self._tracks]
        hits = [(overlap(track.detection.box_px, found.box_px), track, found) for track, found in looks if found]
        taken: list[Detection] = []
        for _, track, found in sorted(hits, key=lambda hit: -hit[0]):
            if all(overlap(found.box_px, other.box_px) < _ONE_FACE for other in taken):
                taken.append(found)
                track.detection, track.seen_at_s = found, at_s
        return len(taken) == len(looks)

    def _look_everywhere(self, image_bgr: Image, at_s: float) -> None:
        self._full_look_s = at_s
        free = list(self._tracks)
        for rough in self._detector.detect(image_bgr)[:MAX_TRACKS]:
            found = precise(self._detector, image_bgr, rough)
            nearest = max(free, key=lambda track: overlap(track.detection.box_px, found.box_px), default=None)
            if nearest is not None and overlap(nearest.detection.box_px, found.box_px) >= _SAME_FACE:
                free.remove(nearest)
                nearest.detection, nearest.seen_at_s = found, at_s
            else:
                self._tracks.append(Track(next(self._numbers), found, at_s, at_s))
