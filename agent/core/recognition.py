"""Evidence over frames -> Recognised | Doubtful | Stranger | Spoof | Unclear, or Undecided while frames are wanting.

One `Evidence` per track and person. Offer every frame of the track with `observe`; when the track ends without a
verdict, `conclude`. Pure: numbers in, verdict out, told the time. What holds whatever the numbers are:

- one good frame never opens: `Rules.min_frames` is at least 2, and each of them must be nearest to the same person;
- frames that look like a print or a screen never open where the policy checks for them;
- two enrolled people who are equally near are a question for the phone, never a coin toss: the margin to the next
  person must hold in most of the frames that agree, and where the enrolled templates themselves are too alike
  (`Bound.max_look_alike_distance`) no margin counts;
- what is not near enough for the face alone, but nearer than nearly every stranger (`Bound.max_grey_distance`), opens
  together with the phone of the person it resembles. So does a look-alike: a Doubtful verdict names everybody whose
  phone would do.

A match distance is relative: 1 - (similarity to the best person - what is nothing special in it), the latter 0.7 times
the mean similarity of the face to the next ten people and 0.7 times that of the best person to the ten nearest to him,
and what both owe to being clear (models/scale.py).
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
    Rival,
    Rules,
    distance,
    from_receipt,
    rounded,
    rules_for,
    to_receipt,
)

__all__ = [
    "Bound",
    "Doubtful",
    "Evidence",
    "Frame",
    "Level",
    "Reason",
    "Recognised",
    "Rival",
    "Rules",
    "Spoof",
    "Stranger",
    "Unclear",
    "Undecided",
    "Verdict",
    "conclude",
    "distance",
    "grey_rate",
    "observe",
    "replay",
    "rules_for",
    "stranger_rate",
]

MAX_FRAMES: Final = 40  # the newest frames decide: a bounded receipt, and an old look weighs nothing
_DAYS_A_YEAR: Final = 365.0
_MAX_RATE: Final = 0.01  # whatever the operator says
_RATE_PER_PHONE: Final = 1e-4  # NIST SP 800-63B: a face that goes with something one has, 1 false match in 10,000


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
class Doubtful:
    """One of these people, or a stranger who resembles them: the phone of one of them opens, the face alone never."""

    person_ids: tuple[str, ...]  # nearest first, at least one
    receipt: Mapping[str, Json]
    reason: str  # LOOK_ALIKE or GREY_ZONE


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


Verdict: TypeAlias = Undecided | Recognised | Doubtful | Stranger | Spoof | Unclear


def stranger_rate(strangers_per_year: float, stranger_passages_per_day: float) -> float:
    """Share of strangers' passages that may end in an opening: the operator's number as a rate, at most 1 %."""
    return min(_MAX_RATE, strangers_per_year / (stranger_passages_per_day * _DAYS_A_YEAR))


def grey_rate(rate: float, roster_size: int) -> float:
    """Share of strangers' passages that may come near enough to somebody for a face that goes with a phone.

    Chosen so that somebody who holds one resident's phone resembles that resident enough in 1 of 10,000 cases; at least
    the rate of the face alone, at most 1 %.
    """
    return min(_MAX_RATE, max(rate, _RATE_PER_PHONE * roster_size))


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
    reason, at_once = _judge(usable, rules, bound) if len(usable) >= rules.min_frames else (None, False)
    if not (late or at_once):
        return Undecided(evidence.frames[-1].flaw)
    flaws = Counter(frame.flaw for frame in evidence.frames if frame.flaw is not None)
    word = reason or (flaws.most_common(1)[0][0] if flaws else None) or Reason.TOO_SHORT
    receipt = to_receipt(evidence, rules, bound, usable[-1] if usable else None, word, late=late)
    match reason:
        case Reason.MATCH:
            return Recognised(str(usable[-1].fused_person_id), rules.needs_phone, receipt)
        case Reason.LOOK_ALIKE | Reason.GREY_ZONE:
            return Doubtful(_candidates(usable[-1], bound), receipt, reason)
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


def _judge(usable: Sequence[Frame], rules: Rules, bound: Bound) -> tuple[Reason, bool]:
    """What the newest frame's running average means, and whether waiting for more frames could not better it."""
    last = usable[-1]
    people = _candidates(last, bound)
    near = bool(people) and distance(last.fused_similarity, last.cohort_similarity, last.cohort_size) <= (
        bound.max_match_distance
    )
    for_any = _voting(usable, people, rules)
    for_one = _voting(usable, people[:1], rules) if near else []
    alive = _alive(for_one or for_any or usable, rules)
    if for_one and alive and not _resembles_another(last, bound) and _stands_out(for_one, rules):
        return Reason.MATCH, True
    if near and not for_any:
        return Reason.CHANGING, False
    if not alive:
        return Reason.NOT_ALIVE, False
    if not for_any:
        return Reason.NOT_ENROLLED, False
    if _resembles_another(last, bound):
        return Reason.LOOK_ALIKE, True
    return (Reason.LOOK_ALIKE if near else Reason.GREY_ZONE), False


def _candidates(last: Frame, bound: Bound) -> tuple[str, ...]:
    """Everybody whose phone this face could go with, nearest first."""
    if last.fused_person_id is None:
        return ()
    nearest = (Rival(last.fused_person_id, last.fused_similarity), *last.rivals)
    return tuple(
        one.person_id
        for one in nearest
        if distance(one.similarity, last.cohort_similarity, last.cohort_size) <= bound.max_grey_distance
    )


def _voting(usable: Sequence[Frame], people: Sequence[str], rules: Rules) -> list[Frame]:
    """The frames that show one face and are nearest to one of these people, if they are enough and the last is one."""
    found = [frame for frame in usable if frame.person_id in people and frame.agreement >= rules.min_agreement]
    return found if len(found) >= rules.min_frames and usable[-1] in found else []


def _resembles_another(last: Frame, bound: Bound) -> bool:
    """Somebody else is enrolled whom the nearest person resembles too much: twins, or one person enrolled twice."""
    return last.look_alike_distance is not None and last.look_alike_distance <= bound.max_look_alike_distance


def _stands_out(agreeing: Sequence[Frame], rules: Rules) -> bool:
    """The margin holds over the evidence: in the newest frame and in most of those that agree, not in a lucky one."""
    person_id = agreeing[-1].fused_person_id
    clear = [frame for frame in agreeing if frame.fused_person_id == person_id and frame.margin >= rules.min_margin]
    return len(clear) >= rules.min_frames and 2 * len(clear) > len(agreeing) and agreeing[-1] in clear


def _alive(frames: Sequence[Frame], rules: Rules) -> bool:
    """Mean over the frames that vote for this person: a live face shown first does not vouch for a print after it."""
    if rules.min_liveness is None:
        return True
    scores = [frame.liveness for frame in frames if frame.liveness is not None]
    return len(scores) >= rules.min_frames and sum(scores) / len(scores) >= rules.min_liveness
