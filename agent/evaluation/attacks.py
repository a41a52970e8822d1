"""Printed photographs of residents against the whole product: is one accepted, and what do the living pay for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.core.recognition import Bound, Level, Recognised, Rules, Spoof, Verdict, rules_for
from agent.evaluation.open_set import build_gallery
from agent.evaluation.pictures import Session
from agent.evaluation.sessions import USUAL_RATE, Seen
from agent.evaluation.stats import upper95, upper95_over
from agent.evaluation.walkups import WalkUp, frames_of, judge, match_rules, walk_ups
from agent.vision.facts import bound_of
from models.arrays import Floats
from models.gallery import Gallery
from models.pipeline import Pipeline

NOT_MEASURED: Final = (
    "screens (replayed pictures and video)",
    "paper masks with holes",
    "three-dimensional masks",
    "other cameras and light than this set's webcam",
)
_ROSTER: Final = 200
_ENROLMENT: Final = 3
_SHORTEST: Final = 3  # frames of an attempt: the fewest that can open
_LIVE_EVERY: Final = 2
_LIVE_SHORTEST: Final = 9


@dataclass(frozen=True, slots=True)
class _Door:
    """A door with the NUAA people and some others enrolled."""

    seen: Seen
    gallery: Gallery
    bound: Bound
    rules: Rules

    def verdict(self, walk_up: WalkUp, rules: Rules | None = None) -> Verdict:
        frames = frames_of(walk_up, self.seen.table, self.gallery, self.rules.min_agreement)
        return judge(frames, rules or self.rules, self.bound).verdict


@dataclass(slots=True)
class _Kind:
    """Attempts of one kind of attack. `prints`: different prints behind them (attempts at one print overlap)."""

    tried: int = 0
    accepted: int = 0
    match_alone: int = 0
    prints: int = 0

    def figures(self) -> dict[str, Any]:
        """The upper bound counts prints: frames of one print are no independent attempts."""
        return {
            "tried": self.tried,
            "accepted": self.accepted,
            "apcer": round(self.accepted / self.tried, 5),
            "apcer_upper95": round(upper95_over(self.prints, self.accepted, self.tried), 5),
            "apcer_upper95_if_attempts_were_independent": round(upper95(self.accepted, self.tried), 5),
            "prints": self.prints,
            "accepted_by_match_alone": round(self.match_alone / self.tried, 5),
        }


@dataclass(slots=True)
class _Living:
    """Visits of people who are enrolled."""

    people: set[str] = field(default_factory=set)
    tried: int = 0
    taken_for_print: int = 0
    refused: int = 0
    tried_elsewhere: int = 0  # in another session than the one they were enrolled in: how residents come
    refused_elsewhere: int = 0

    def add(self, person: str, verdict: Verdict, *, elsewhere: bool) -> None:
        refused = not isinstance(verdict, Recognised)
        self.people.add(person)
        self.tried += 1
        self.taken_for_print += isinstance(verdict, Spoof)
        self.refused += refused
        self.tried_elsewhere += elsewhere
        self.refused_elsewhere += elsewhere and refused

    def figures(self) -> dict[str, Any]:
        """The upper bound counts people: visits of one person are no independent tries."""
        some = self.tried > 0
        taken, people = self.taken_for_print, len(self.people)
        return {
            "bpcer": round(taken / self.tried, 5) if some else None,
            "bpcer_upper95": round(upper95_over(people, taken, self.tried), 5) if some else None,
            "bpcer_upper95_if_visits_were_independent": round(upper95(taken, self.tried), 5) if some else None,
            "bona_fide_people": people,
            "bona_fide_tried": self.tried,
            "bona_fide_refused": round(self.refused / self.tried, 5) if some else None,
            "other_session_tried": self.tried_elsewhere,
            "other_session_refused": (
                round(self.refused_elsewhere / self.tried_elsewhere, 5) if self.tried_elsewhere else None
            ),
        }


def attacks(seen: Seen, others: Mapping[str, Floats], pipeline: Pipeline, level: Level) -> dict[str, Any]:
    """The report of `door-agent evaluate attacks`. One attempt begins at every frame of every print."""
    live = seen.live()
    known = {person: seen.vectors(seen.rows[sessions[0]], _ENROLMENT) for person, sessions in live.items()}
    filling = {name: others[name][:_ENROLMENT] for name in sorted(others)[: max(0, _ROSTER - len(known))]}
    gallery, calibration = build_gallery(known | filling, pipeline)
    alike = pipeline.embedder.same_person_similarity
    rules = rules_for(level, liveness_available=pipeline.liveness is not None, min_agreement=alike)
    bound = bound_of(calibration, USUAL_RATE, gallery, 0, pipeline.embedder)
    gallery.look_alike_distance = bound.max_look_alike_distance
    door = _Door(seen, gallery, bound, rules)
    kinds, printed_groups = _printed(door, known)
    living, living_groups = _living(door, live)
    return {
        "attacks": [{"kind": name, **kind.figures()} for name, kind in sorted(kinds.items()) if kind.tried],
        **living.figures(),
        "groups": [
            {
                "evaluation": "attacks",
                "group": group,
                **(printed_groups[group].figures() if printed_groups[group].tried else {}),
                **living_groups[group].figures(),
            }
            for group in sorted({*printed_groups, *living_groups})
        ],
        "policy": _words(rules, pipeline),
        "fpir_target": round(USUAL_RATE, 6),
        "max_match_distance": round(door.bound.max_match_distance, 5),
        "roster": len(gallery),
        "not_measured": list(NOT_MEASURED),
    }


def _printed(door: _Door, known: Mapping[str, Floats]) -> tuple[dict[str, _Kind], defaultdict[str, _Kind]]:
    """By kind of print, and by group: person, and glasses or none."""
    kinds: defaultdict[str, _Kind] = defaultdict(_Kind)
    groups: defaultdict[str, _Kind] = defaultdict(_Kind)
    alone = match_rules(door.rules.min_agreement)
    for session, rows in door.seen.rows.items():
        if session.live or session.person not in known:
            continue
        counted = (
            kinds[f"print, position {session.name.partition('-')[2]}"],
            kinds["print, all positions"],
            *(groups[group] for group in _groups(session)),
        )
        for kind in counted:
            kind.prints += 1
        for walk_up in walk_ups(session.person, rows, every=1, shortest=_SHORTEST):
            accepted = _opens(door.verdict(walk_up))
            matched = isinstance(door.verdict(walk_up, alone), Recognised)
            for kind in counted:
                kind.tried += 1
                kind.accepted += accepted
                kind.match_alone += matched
    return kinds, groups


def _groups(session: Session) -> tuple[str, str]:
    return f"person {session.person}", session.glasses


def _living(door: _Door, live: Mapping[str, Sequence[Session]]) -> tuple[_Living, defaultdict[str, _Living]]:
    """How many of the living are taken for prints, and how many of the enrolled do not get in at all; by group too."""
    every, groups = _Living(), defaultdict[str, _Living](_Living)
    for session, rows in door.seen.rows.items():
        if not session.live or session.person not in live:
            continue
        for walk_up in walk_ups(session.person, rows, every=_LIVE_EVERY, shortest=_LIVE_SHORTEST):
            verdict = door.verdict(walk_up)
            for each in (every, *(groups[group] for group in _groups(session))):
                each.add(session.person, verdict, elsewhere=session != live[session.person][0])
    return every, groups


def _opens(verdict: Verdict) -> bool:
    return isinstance(verdict, Recognised) and not verdict.needs_phone


def _words(rules: Rules, pipeline: Pipeline) -> str:
    if rules.needs_phone:
        return f"{rules.level}: the face alone does not open, the phone is asked for as well"
    if rules.min_liveness is None or pipeline.liveness is None:
        return f"{rules.level}: no presentation-attack check"
    return (
        f"{rules.level}: {pipeline.liveness.name}, mean of at least {rules.min_frames} frames"
        f" that agree on the person at least {rules.min_liveness}"
    )
