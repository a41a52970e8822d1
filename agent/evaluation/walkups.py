"""Walk-ups: consecutive frames through the product's running average, gallery and recognition, to its own verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.core.recognition import (
    Bound,
    Evidence,
    Frame,
    Level,
    Rules,
    Undecided,
    Verdict,
    conclude,
    observe,
    rules_for,
)
from agent.evaluation.faces import Faces
from agent.vision.facts import frame_of
from models.fusion import RunningAverage
from models.gallery import Gallery

FRAME_S = 0.1  # ten frames a second
LONGEST = 30  # frames: three seconds


@dataclass(frozen=True, slots=True)
class WalkUp:
    """Rows of a Faces table, in the order in which the camera took them."""

    person: str
    rows: range


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a walk-up, and how long after its first usable frame."""

    verdict: Verdict
    after_s: float


def walk_ups(person: str, rows: range, *, every: int, shortest: int) -> Iterator[WalkUp]:
    """Walk-ups that begin at every so many frames of a session and last until its end, three seconds at most.

    A session shorter than `shortest` is one walk-up.
    """
    shortest = min(shortest, len(rows))
    for start in range(rows.start, rows.stop - shortest + 1, every):
        yield WalkUp(person, range(start, min(rows.stop, start + LONGEST)))


def frames_of(walk_up: WalkUp, seen: Faces, gallery: Gallery, min_agreement: float) -> list[Frame]:
    """What the vision process would make of these pictures."""
    average, frames = RunningAverage(gallery.dim, min_agreement), []
    for number, row in enumerate(walk_up.rows):
        flaw = seen.flaw_word(row) if seen.found[row] else "small"
        quality, alive = float(seen.quality[row]), float(seen.liveness[row])
        if flaw is not None:
            frames.append(Frame(number * FRAME_S, flaw, quality))
            continue
        fused = average.add(seen.vector[row], quality)
        alive_or_none = alive if alive == alive else None  # noqa: PLR0124  NaN: no presentation-attack check
        frame = Frame(number * FRAME_S, None, quality, alive_or_none)
        frames.append(frame_of(frame, fused, seen.vector[row], gallery))
    return frames


def judge(frames: Sequence[Frame], rules: Rules, bound: Bound) -> Outcome:
    """The product's verdict, and when it came."""
    evidence = Evidence()
    for frame in frames:
        evidence, verdict = observe(evidence, frame, rules, bound)
        if not isinstance(verdict, Undecided):
            return Outcome(verdict, frame.at_s - (evidence.first_usable_s or 0.0))
    return Outcome(conclude(evidence, rules, bound), LONGEST * FRAME_S)


def match_rules(min_agreement: float) -> Rules:
    """The standard policy without its presentation-attack check: what matching alone would do."""
    return rules_for(Level.STANDARD, liveness_available=False, min_agreement=min_agreement)
