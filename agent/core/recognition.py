"""Evidence over frames -> Recognised | Stranger | Spoof | Unclear, or Undecided while more frames are needed.

One `Evidence` per track. Every frame of the track is offered with `observe`; the answer is the evidence so far and a
verdict. Pure: numbers in, verdict out; told the time. One good frame never opens: `Rules.min_frames` is at least 2.
Distances are relative: 1 - (similarity to the best person - similarity to the next ten people); lower is closer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from agent.core.events import Json

RECEIPT_VERSION: Final = 1


class Level(StrEnum):
    """Policy of a door."""

    CONVENIENCE = "convenience"
    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Bound:
    """How near a face must be. Made by the calibration of this roster and this network (models/calibration.py)."""

    max_match_distance: float
    fpir_target: float
    roster_size: int
    calibration: str
    model: str
    roster_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What evidence suffices. `min_liveness` None: no presentation-attack check (policy convenience, or no weights)."""

    level: Level = Level.STANDARD
    min_frames: int = 3
    min_agreement: float = 0.35
    min_margin: float = 0.05
    min_liveness: float | None = 0.5
    give_up_s: float = 3.0

    def __post_init__(self) -> None:
        """A rule that would open on one frame cannot be made."""
        if self.min_frames < 2:  # noqa: PLR2004  two is the fewest frames that can agree
            raise ValueError("min_frames must be at least 2: one good frame never opens a door")


@dataclass(frozen=True, slots=True)
class Frame:
    """Facts of one frame of one track.

    `flaw` names why the frame cannot be used ("small", "blurred", "turned", "dark", "covered"), None if it can; then
    the match fields are filled. `person_id` and `similarity` are this frame's own best person and cosine; the `fused_*`
    fields are those of the running average (models/fusion.py) up to and with this frame. A similarity is -1.0 and
    `cohort_size` 0 where nobody else is enrolled.
    """

    at_s: float
    quality: float
    flaw: str | None = None
    liveness: float | None = None
    person_id: str | None = None
    similarity: float = -1.0
    agreement: float = 1.0
    fused_person_id: str | None = None
    fused_similarity: float = -1.0
    runner_up_similarity: float = -1.0
    cohort_similarity: float = -1.0
    cohort_size: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything seen of one track. Start with `Evidence()`."""

    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Undecided:
    """More frames are needed. `hint` is the flaw of the newest frame, for the LED and the page."""

    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """Enough agreeing frames of an enrolled person. `needs_phone`: the face alone must not open."""

    person_id: str
    needs_phone: bool
    receipt: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Stranger:
    """A clear view of somebody who is not enrolled."""

    receipt: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Spoof:
    """A print or a screen, whoever it shows."""

    receipt: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Unclear:
    """Given up. `reason`: the commonest flaw, "look-alike" (ask for the phone) or "changing" (frames disagree)."""

    reason: str
    receipt: Mapping[str, Json]


Verdict: TypeAlias = Undecided | Recognised | Stranger | Spoof | Unclear


def distance(similarity: float, cohort_similarity: float, cohort_size: int) -> float:
    """Relative match distance (see the module's first lines)."""
    return 1.0 - (similarity - (cohort_similarity if cohort_size >= 10 else 0.0))  # noqa: PLR2004


def observe(evidence: Evidence, frame: Frame, rules: Rules, bound: Bound) -> tuple[Evidence, Verdict]:
    """Take in one frame. A verdict other than Undecided ends the track's evidence: start a new one."""
    frame = _rounded(frame)
    evidence = replace(evidence, frames=(*evidence.frames, frame))
    return evidence, _verdict(evidence.frames, rules, bound)


def replay(receipt: Mapping[str, Json]) -> Verdict:
    """The verdict that the frames, rules and bound in a receipt lead to."""
    rules_json, bound_json, rows = receipt["rules"], receipt["bound"], receipt["frames"]
    if not (isinstance(rules_json, Mapping) and isinstance(bound_json, Mapping) and isinstance(rows, list)):
        raise TypeError("a receipt has rules, bound and frames")
    rules = Rules(**{**rules_json, "level": Level(str(rules_json["level"]))})  # type: ignore[arg-type]
    bound = Bound(**bound_json)  # type: ignore[arg-type]
    frames = tuple(Frame(*row) for row in rows if isinstance(row, list))  # type: ignore[arg-type]
    return _verdict(frames, rules, bound)


def _rounded(frame: Frame) -> Frame:
    facts = asdict(frame)
    rounded: dict[str, Any] = {
        name: round(fact, 4) if isinstance(fact, float) else fact for name, fact in facts.items()
    }
    return Frame(**rounded)


def _verdict(frames: tuple[Frame, ...], rules: Rules, bound: Bound) -> Verdict:
    usable = [frame for frame in frames if frame.flaw is None]
    late = frames[-1].at_s - frames[0].at_s >= rules.give_up_s
    if len(usable) >= rules.min_frames:
        found = _judge(usable, frames, rules, bound, late=late)
        if found is not None:
            return found
    if not late:
        return Undecided(frames[-1].flaw)
    flaws = Counter(frame.flaw for frame in frames if frame.flaw is not None)
    reason = flaws.most_common(1)[0][0] if flaws else "changing"
    return Unclear(str(reason), _receipt(frames, rules, bound, "unclear"))


def _judge(usable: list[Frame], frames: tuple[Frame, ...], rules: Rules, bound: Bound, *, late: bool) -> Verdict | None:
    last = usable[-1]
    near = distance(last.fused_similarity, last.cohort_similarity, last.cohort_size) <= bound.max_match_distance
    agreeing = sum(
        frame.person_id == last.fused_person_id and frame.agreement >= rules.min_agreement for frame in usable
    )
    alive = _liveness(usable)
    live = rules.min_liveness is None or (alive is not None and alive >= rules.min_liveness)
    apart = last.fused_similarity - last.runner_up_similarity >= rules.min_margin
    if near and live and apart and agreeing >= rules.min_frames and last.fused_person_id is not None:
        receipt = _receipt(frames, rules, bound, "recognised")
        return Recognised(last.fused_person_id, rules.level is Level.HIGH, receipt)
    if not late:
        return None
    if not live:
        return Spoof(_receipt(frames, rules, bound, "spoof"))
    if near and not apart:
        return Unclear("look-alike", _receipt(frames, rules, bound, "look-alike"))
    if near:
        return Unclear("changing", _receipt(frames, rules, bound, "changing"))
    return Stranger(_receipt(frames, rules, bound, "stranger"))


def _liveness(usable: list[Frame]) -> float | None:
    values = [frame.liveness for frame in usable if frame.liveness is not None]
    return sum(values) / len(values) if values else None


def _receipt(frames: tuple[Frame, ...], rules: Rules, bound: Bound, reason: str) -> Mapping[str, Json]:
    return {
        "v": RECEIPT_VERSION,
        "reason": reason,
        "rules": asdict(rules),
        "bound": asdict(bound),
        "frames": [list(asdict(frame).values()) for frame in frames],
    }
