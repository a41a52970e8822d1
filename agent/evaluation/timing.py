"""Milliseconds of stages and of whole frames, and the peers' recipes timed by them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from models.arrays import Image
from models.errors import ModelFileError
from models.reference import UsualRecipe

T = TypeVar("T")
_WHOLE: Final = "whole frame"
_OFTEN: Final = 0.5  # a peer that finds the face in fewer frames than this is not compared with


class Spent(NamedTuple):
    """Milliseconds by the clock, and of processor time: the latter stays true on a machine that is busy with others."""

    clock_ms: float
    processor_ms: float


class StopWatch:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        """Until now; processor time of every thread of this process."""
        began_s, began_processor_s = self._began
        return Spent((time.perf_counter() - began_s) * 1000, (time.process_time() - began_processor_s) * 1000)


@dataclass(slots=True)
class Times:
    """What each stage took, frame by frame."""

    of: dict[str, list[Spent]] = field(default_factory=dict)

    def take(self, stage: str, work: Callable[[], T]) -> T:
        """Do it and remember how long it took."""
        watch = StopWatch()
        result = work()
        self.keep(stage, watch.spent())
        return result

    def keep(self, stage: str, spent: Spent | None) -> None:
        """What was timed elsewhere, if it was."""
        if spent is not None:
            self.of.setdefault(stage, []).append(spent)

    def median(self, stage: str) -> Spent | None:
        """None for a stage that never ran."""
        if stage not in self.of:
            return None
        return Spent(*(statistics.median(column) for column in zip(*self.of[stage], strict=True)))

    def mean(self, stage: str) -> Spent:
        """Of a stage that ran."""
        return Spent(*(statistics.fmean(column) for column in zip(*self.of[stage], strict=True)))


@dataclass(slots=True)
class Peer:
    """A usual recipe, and how long it took on the frames in which it found the face."""

    recipe: UsualRecipe
    times: Times = field(default_factory=Times)

    def see(self, frame: Image) -> None:
        """The whole recipe; frames in which it finds nobody cost it nothing in the end."""
        times, watch = Times(), StopWatch()

        def boxes_of() -> tuple[Image, list[tuple[int, int, int, int]]]:
            prepared = self.recipe.prepared(frame)
            return prepared, self.recipe.locate(prepared)

        prepared, boxes = times.take("detect", boxes_of)
        if not boxes:
            return
        codes = times.take("align and embed", lambda: self.recipe.encode(prepared, boxes[:1]))
        times.take("match 1,000", lambda: self.recipe.match(codes[0]))
        times.keep(_WHOLE, watch.spent())
        for stage, (spent,) in times.of.items():
            self.times.keep(stage, spent)

    @property
    def frames(self) -> int:
        """In how many it found the face."""
        return len(self.times.of.get(_WHOLE, ()))

    @property
    def whole(self) -> Spent:
        """Median of whole frames; endless where it found nobody."""
        return self.times.median(_WHOLE) or Spent(math.inf, math.inf)


def beside(ours: Spent, peer: Spent | None, suffix: str = "") -> dict[str, float | None]:
    """The columns of one comparison: by the clock, and the ratio of processor times."""
    return {
        f"ours{suffix}_ms": round(ours.clock_ms, 3),
        f"ratio{suffix}": round(peer.clock_ms / ours.clock_ms, 1) if peer else None,
        f"processor{suffix}_ms": round(ours.processor_ms, 3),
        f"processor_ratio{suffix}": round(peer.processor_ms / ours.processor_ms, 1) if peer else None,
    }


def fastest_of(peers: Sequence[Peer], frames: int) -> Peer:
    """The fastest of those that find the face at all. Raises ModelFileError where none does."""
    able = [peer for peer in peers if peer.frames >= _OFTEN * frames]
    if not able:
        raise ModelFileError("no peer finds the face in these frames: nothing to compare with")
    return min(able, key=lambda peer: peer.whole.processor_ms)
