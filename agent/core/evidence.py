"""What was seen of one track, the rules it is judged by, and both as a receipt and back.

Pure data of agent/core/recognition.py, which decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from agent.core.events import Json

RECEIPT_VERSION: Final = 2
COHORT_SHARE: Final = 1.4  # 0.7 for each of the two cohorts (models/EVALUATION.md, "score")
_MIN_FRAMES: Final = 2


class Level(StrEnum):
    """Policy of a door."""

    CONVENIENCE = "convenience"  # no presentation-attack check
    STANDARD = "standard"
    HIGH = "high"  # face and phone together


class Reason(StrEnum):
    """Why a verdict is what it is, besides the flaws of frames (models/quality.py), which are reasons too."""

    MATCH = "match"
    NOT_ENROLLED = "not-enrolled"
    NOT_ALIVE = "not-alive"
    LOOK_ALIKE = "look-alike"  # two enrolled people who are equally near, or who resemble each other too much
    GREY_ZONE = "grey-zone"  # nearer than nearly every stranger, not near enough for the face alone
    CHANGING = "changing"
    TOO_SHORT = "too-short"


@dataclass(frozen=True, slots=True)
class Bound:
    """How near a face must be, and where that number comes from (models/calibration.py).

    Beyond `max_match_distance` and up to `max_grey_distance` lies the grey zone: the face opens together with the phone
    of the person it resembles. Enrolled people who are nearer to each other than `max_look_alike_distance` are never
    told apart by the face alone.
    """

    max_match_distance: float
    max_grey_distance: float
    max_look_alike_distance: float
    fpir_target: float  # share of strangers' passages that may end in an opening
    grey_target: float  # share of strangers' passages that may end in the grey zone or nearer
    roster_size: int
    roster_epoch: int
    calibration: str  # version
    model: str  # network, alignment, hash

    def __post_init__(self) -> None:
        """A grey zone that ends before it begins would let the phone take something away."""
        if self.max_grey_distance < self.max_match_distance:
            raise ValueError("max_grey_distance must be at least max_match_distance")


@dataclass(frozen=True, slots=True)
class Rules:
    """What evidence suffices. Make them with `rules_for`.

    `min_agreement`: cosine of a frame to the track's mean from which both show one face; depends on the network.
    `min_liveness`: None where nothing checks for prints; then only the policy convenience opens without a phone.
    """

    level: Level
    min_agreement: float
    min_liveness: float | None
    min_frames: int = 3
    min_margin: float = 0.06
    give_up_s: float = 3.0  # after the first usable frame
    retry_s: float = 2.0  # after a refusal the same face is let be for so long, then twice, then four times
    patience_s: float = 2.0  # after the first frame, while none is usable: then the person is told what is wrong

    def __post_init__(self) -> None:
        """Rules that would open on one frame cannot be made."""
        if self.min_frames < _MIN_FRAMES:
            raise ValueError("min_frames must be at least 2: one good frame never opens a door")

    @property
    def needs_phone(self) -> bool:
        """A face alone does not open under these rules."""
        return self.level is Level.HIGH or (self.level is Level.STANDARD and self.min_liveness is None)


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody else whom the running average resembles."""

    person_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Facts of one frame of one track.

    `flaw` names why the frame cannot be used, None if it can; only then the match fields are filled. `person_id` is
    this frame's own nearest person, `agreement` its cosine to the mean of the frames before it. The others describe
    the running average up to and with this frame (models/fusion.py): the number of frames in it since it last began
    anew, the nearest person and the similarity to that person, the next nearest people (at most three, nearest first),
    and what is nothing special in the similarity (`cohort_similarity`, models/gallery.py) given `cohort_size` (at most
    ten) other people. `look_alike_distance` is about the enrolment alone: how near the nearest person's own template
    is to the enrolled person who resembles it most, None where nobody comes near.
    """

    at_s: float
    flaw: str | None = None
    quality: float = 0.0
    liveness: float | None = None
    person_id: str | None = None
    agreement: float = 1.0
    fused_frames: int = 0
    fused_person_id: str | None = None
    fused_similarity: float = -1.0
    rivals: tuple[Rival, ...] = ()
    cohort_similarity: float = -1.0
    cohort_size: int = 0
    look_alike_distance: float | None = None

    @property
    def margin(self) -> float:
        """How much more the running average resembles the nearest person than anybody else."""
        return self.fused_similarity - (self.rivals[0].similarity if self.rivals else -1.0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything seen of one track. Start with `Evidence()`."""

    first_s: float | None = None
    first_usable_s: float | None = None
    frames: tuple[Frame, ...] = ()


def rules_for(level: Level, *, liveness_available: bool, min_agreement: float) -> Rules:
    """The rules of a policy. 0.2 and the frames: models/EVALUATION.md, "attacks"."""
    checked = liveness_available and level is not Level.CONVENIENCE
    return Rules(level=level, min_agreement=min_agreement, min_liveness=0.2 if checked else None)


def distance(similarity: float, cohort_similarity: float, cohort_size: int) -> float:
    """Relative match distance (agent/core/recognition.py); a cohort below zero counts as none."""
    return 1.0 - similarity + (COHORT_SHARE * max(0.0, cohort_similarity) if cohort_size else 0.0)


def rounded(frame: Frame) -> Frame:
    """Numbers as the receipt keeps them, so that a replay sees exactly what was decided on."""
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        value = getattr(frame, name)
        values[name] = round(value, 4) if isinstance(value, float) else value
    values["rivals"] = tuple(Rival(one.person_id, round(one.similarity, 4)) for one in frame.rivals)
    return Frame(**values)


def to_receipt(
    evidence: Evidence, rules: Rules, bound: Bound, last: Frame | None, reason: str, *, late: bool
) -> Mapping[str, Json]:
    """Everything a verdict rests on. `last` is the frame it was found on."""
    people = sorted({one for frame in evidence.frames for one in _named(frame)})
    number = {person: place for place, person in enumerate(people)}
    shown: dict[str, Json] = {}
    if last is not None:
        shown = {
            "person": last.fused_person_id,
            "match_distance": round(distance(last.fused_similarity, last.cohort_similarity, last.cohort_size), 4),
            "similarity": last.fused_similarity,
            "runner_up_similarity": last.rivals[0].similarity if last.rivals else None,
            "cohort_similarity": last.cohort_similarity,
        }
    return {
        "v": RECEIPT_VERSION,
        "reason": str(reason),
        "late": late,
        **shown,
        "bound": asdict(bound),
        "rules": {**asdict(rules), "level": str(rules.level)},
        "first_s": evidence.first_s,
        "first_usable_s": evidence.first_usable_s,
        "people": list(people),
        "columns": list(_COLUMNS),
        "frames": [_row(frame, number) for frame in evidence.frames],
    }


def _named(frame: Frame) -> list[str]:
    nearest = [one for one in (frame.person_id, frame.fused_person_id) if one]
    return nearest + [rival.person_id for rival in frame.rivals]


def _row(frame: Frame, number: Mapping[str, int]) -> list[Json]:
    values: dict[str, Json] = {name: getattr(frame, name) for name in _COLUMNS}
    for name in _PERSON_COLUMNS:
        person = getattr(frame, name)
        values[name] = number[person] if person else None
    values["rivals"] = [[number[one.person_id], one.similarity] for one in frame.rivals]
    return list(values.values())


def from_receipt(receipt: Mapping[str, Any]) -> tuple[Evidence, Rules, Bound, bool]:
    """Evidence, rules, bound and whether time was up. Raises ValueError if it is not a receipt of this version."""
    if receipt.get("v") != RECEIPT_VERSION:
        raise ValueError(f"a receipt of version {receipt.get('v')!r}; this release reads version {RECEIPT_VERSION}")
    try:
        frames = tuple(_frame(receipt["columns"], row, receipt["people"]) for row in receipt["frames"])
        rules = Rules(**{**receipt["rules"], "level": Level(receipt["rules"]["level"])})
        evidence = Evidence(receipt["first_s"], receipt["first_usable_s"], frames)
        return evidence, rules, Bound(**receipt["bound"]), bool(receipt["late"])
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"this is not a receipt that can be read: {error!r}") from error


def _frame(columns: list[str], row: list[Any], people: list[str]) -> Frame:
    values = dict(zip(columns, row, strict=True))
    for name in _PERSON_COLUMNS:
        values[name] = None if values[name] is None else people[values[name]]
    values["rivals"] = tuple(Rival(people[person], similarity) for person, similarity in values["rivals"])
    return Frame(**values)


_COLUMNS: Final = tuple(one.name for one in fields(Frame))
_PERSON_COLUMNS: Final = ("person_id", "fused_person_id")
