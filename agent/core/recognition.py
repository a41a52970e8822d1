"""Evidence over frames -> Recognised | Stranger | Spoof | Unclear, or Undecided while more frames are needed.

One `Evidence` per track and person. Offer every frame of the track with `observe`; when the track ends without a
verdict, `conclude`. Pure: numbers in, verdict out, told the time. What holds whatever the numbers are:

- one good frame never opens: `Rules.min_frames` is at least 2, and each of them must be nearest to the same person;
- frames that look like a print or a screen never open where the policy checks for them;
- two enrolled people who are equally near is a question for the phone, never a coin toss.

A match distance is relative: 1 - (similarity to the best person - what is nothing special in it), the latter 0.7 times
the mean similarity of the face to the next ten people and 0.7 times that of the best person to the ten nearest to him.
Lower is closer. So one bound fits faces that resemble many of those enrolled and faces that resemble none, which plain
similarity does not do (models/EVALUATION.md has what it does for East-Asian strangers).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from agent.core.events import Json
from agent.core.evidence import (
    Bound,
    Evidence,
    Frame,
    Level,
    Reason,
    Rules,
    distance,
    from_receipt,
    rounded,
    rules_for,
    to_receipt,
)

__all__ = [
    "Bound",
    "Evidence",
    "Frame",
    "Level",
    "Reason",
    "Recognised",
    "Rules",
    "Spoof",
    "Stranger",
    "Unclear",
    "Undecided",
    "Verdict",
    "conclude",
    "distance",
    "observe",
    "replay",
    "rules_for",
    "stranger_rate",
]

MAX_FRAMES: Final = 40  # the newest frames decide: a bounded receipt, and an old look weighs nothing
_DAYS_A_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True)
class Undecided:
    """More frames are needed. `hint` is the flaw of the newest frame, for the light and the page."""

    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """Enough agreeing frames of an enrolled person. `needs_phone`: the face alone must not open."""

    person_id: str
    needs_phone: bool
    receipt: Mapping[str, Json]
    reason: str = Reason.MATCH


@dataclass(frozen=True, slots=True)
class Stranger:
    """A clear view of somebody who is not enrolled."""

    receipt: Mapping[str, Json]
    reason: str = Reason.NOT_ENROLLED


@dataclass(frozen=True, slots=True)
class Spoof:
    """A print or a screen, whoever it shows."""

    receipt: Mapping[str, Json]
    reason: str = Reason.NOT_ALIVE


@dataclass(frozen=True, slots=True)
class Unclear:
    """Given up. `reason`: a Reason, or the commonest flaw of the frames."""

    receipt: Mapping[str, Json]
    reason: str


Verdict: TypeAlias = Undecided | Recognised | Stranger | Spoof | Unclear


def stranger_rate(strangers_per_year: float, stranger_passages_per_day: float) -> float:
    """Share of strangers' passages that may end in an opening: the operator's number as a rate, at most 1 %."""
    return min(0.01, strangers_per_year / (stranger_passages_per_day * _DAYS_A_YEAR))


def observe(evidence: Evidence, frame: Frame, rules: Rules, bound: Bound) -> tuple[Evidence, Verdict]:
    """Take in one frame. A verdict other than Undecided ends this evidence: begin anew."""
    frame = rounded(frame)
    first_usable_s = evidence.first_usable_s
    if first_usable_s is None and frame.flaw is None:
        first_usable_s = frame.at_s
    first_s = frame.at_s if evidence.first_s is None else evidence.first_s
    evidence = Evidence(first_s, first_usable_s, (*evidence.frames, frame)[-MAX_FRAMES:])
    return evidence, _verdict(evidence, rules, bound, late=_late(evidence, rules))


def conclude(evidence: Evidence, rules: Rules, bound: Bound) -> Verdict:
    """The track has ended: the verdict on what there is. Never Undecided, except where no frame was ever offered."""
    return _verdict(evidence, rules, bound, late=True) if evidence.frames else Undecided()


def replay(receipt: Mapping[str, Any]) -> Verdict:
    """The verdict that the frames, rules and bound in a receipt lead to. Raises ValueError if it is not a receipt."""
    evidence, rules, bound, late = from_receipt(receipt)
    return _verdict(evidence, rules, bound, late=late) if evidence.frames else Undecided()


# ---------------------------------------------------------------- the verdict


def _late(evidence: Evidence, rules: Rules) -> bool:
    now_s = evidence.frames[-1].at_s
    if evidence.first_usable_s is not None:
        return now_s - evidence.first_usable_s >= rules.give_up_s
    return now_s - (evidence.first_s or 0.0) >= rules.patience_s


def _verdict(evidence: Evidence, rules: Rules, bound: Bound, *, late: bool) -> Verdict:
    usable = _of_one_face(evidence.frames)
    reason = _judge(usable, rules, bound) if len(usable) >= rules.min_frames else None
    if not late and reason is not Reason.MATCH:
        return Undecided(evidence.frames[-1].flaw)
    flaws = Counter(frame.flaw for frame in evidence.frames if frame.flaw is not None)
    word = reason or (flaws.most_common(1)[0][0] if flaws else None) or Reason.TOO_SHORT
    receipt = to_receipt(evidence, rules, bound, usable[-1] if usable else None, word, late=late)
    match reason:
        case Reason.MATCH:
            return Recognised(str(usable[-1].fused_person_id), rules.needs_phone, receipt)
        case Reason.NOT_ENROLLED:
            return Stranger(receipt)
        case Reason.NOT_ALIVE:
            return Spoof(receipt)
        case _:
            return Unclear(receipt, word)


def _of_one_face(frames: Sequence[Frame]) -> list[Frame]:
    """The usable frames that are in the running average as it stands: those since it last began anew."""
    usable = [frame for frame in frames if frame.flaw is None]
    return usable[-usable[-1].fused_frames :] if usable and usable[-1].fused_frames > 0 else []


def _judge(usable: Sequence[Frame], rules: Rules, bound: Bound) -> Reason:
    last = usable[-1]
    found_distance = distance(last.fused_similarity, last.cohort_similarity, last.cohort_size)
    near = last.fused_person_id is not None and found_distance <= bound.max_match_distance
    agreeing = [
        frame for frame in usable if frame.person_id == last.fused_person_id and frame.agreement >= rules.min_agreement
    ]
    voted = len(agreeing) >= rules.min_frames and last in agreeing
    if near and not voted:
        return Reason.CHANGING
    if not _alive(agreeing if near else usable, rules):
        return Reason.NOT_ALIVE
    if not near:
        return Reason.NOT_ENROLLED
    if last.fused_similarity - last.runner_up_similarity < rules.min_margin:
        return Reason.LOOK_ALIKE
    return Reason.MATCH


def _alive(frames: Sequence[Frame], rules: Rules) -> bool:
    """Mean over the frames that vote for this person: a live face shown first does not vouch for a print after it."""
    if rules.min_liveness is None:
        return True
    scores = [frame.liveness for frame in frames if frame.liveness is not None]
    return len(scores) >= rules.min_frames and sum(scores) / len(scores) >= rules.min_liveness
