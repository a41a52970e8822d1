"""The NUAA people: known from one session, met in another, with strangers from the same set before the same camera."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.core.recognition import Doubtful, Recognised, stranger_rate
from agent.evaluation.faces import Faces, Manner, largest, look, progress
from agent.evaluation.open_set import PICTURES, RATES, build_gallery, possible_sizes
from agent.evaluation.pictures import DECIDING, Session
from agent.evaluation.skips import Skipped
from agent.evaluation.stats import by_person95
from agent.evaluation.walkups import LONGEST, Outcome, WalkUp, frames_of, judge, match_rules, walk_ups
from agent.vision.facts import bound_of
from models.arrays import Floats
from models.fusion import mean_vector
from models.pipeline import Pipeline

USUAL_RATE: Final = stranger_rate(1.0, 20.0)  # the configuration's own defaults: one a year, twenty passages a day
SIZES: Final = (100, 500, 1000)
_EVERY: Final = 3
_SHORTEST: Final = 9
_SECOND: Final = 10  # frames


@dataclass(frozen=True, slots=True)
class Seen:
    """All sessions, and what the pipeline sees in their frames: session -> rows of `table`."""

    table: Faces
    rows: dict[Session, range]

    def live(self) -> dict[str, list[Session]]:
        """Live sessions of each person."""
        found: dict[str, list[Session]] = {}
        for session in self.rows:
            if session.live:
                found.setdefault(session.person, []).append(session)
        return found

    def twice(self) -> dict[str, list[Session]]:
        """Live sessions of those who have more than one."""
        return {person: sessions for person, sessions in self.live().items() if len(sessions) > 1}

    def vectors(self, rows: range, count: int) -> Floats:
        """Vectors float32[count, dim] of good frames, spread over these rows; of any with a face if none is."""
        found = [row for row in rows if self.table.found[row]]
        good = [row for row in found if self.table.flaw_word(row) is None] or found
        return self.table.vector[[good[int(at)] for at in np.linspace(0, len(good) - 1, count)]]


@dataclass(slots=True)
class Tally:
    """Who was tried how often, and how often what should not happen happened."""

    failed: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)

    def add(self, person: str, *, failed: bool) -> None:
        """One try."""
        self.failed[person] = self.failed.get(person, 0) + failed
        self.tried[person] = self.tried.get(person, 0) + 1

    def figures(self, name: str) -> dict[str, Any]:
        """Share that failed, with an interval over people."""
        failed = np.array([float(self.failed[person]) for person in self.tried], np.float32)
        tried = np.array([float(tries) for tries in self.tried.values()], np.float32)
        share = round(float(failed.sum() / tried.sum()), 5) if self.tried else None
        return {name: share, f"{name}_ci95": [round(one, 5) for one in by_person95(failed, tried)]}


@dataclass(slots=True)
class _Row:
    residents: Tally = field(default_factory=Tally)
    with_phones: Tally = field(default_factory=Tally)  # residents who do not get in with their phones either
    strangers: Tally = field(default_factory=Tally)
    in_doubt: Tally = field(default_factory=Tally)  # strangers whom somebody's phone would let in
    resident_groups: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    stranger_groups: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    phones: list[int] = field(default_factory=list)  # of a stranger's visit: how many phones would
    fully: list[int] = field(default_factory=list)  # of the roster, known by as many pictures as asked
    distances: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def count(self, walk_up: WalkUp, group: str, outcome: Outcome, *, resident: bool) -> None:
        verdict = outcome.verdict
        people = verdict.person_ids if isinstance(verdict, Doubtful) else ()
        if not resident:
            self.strangers.add(walk_up.person, failed=isinstance(verdict, Recognised))
            self.stranger_groups[group].add(walk_up.person, failed=isinstance(verdict, Recognised))
            self.in_doubt.add(walk_up.person, failed=bool(people))
            self.phones.append(len(people) + isinstance(verdict, Recognised))
            return
        right = isinstance(verdict, Recognised) and verdict.person_id == walk_up.person
        self.residents.add(walk_up.person, failed=not right)
        self.resident_groups[group].add(walk_up.person, failed=not right)
        self.with_phones.add(walk_up.person, failed=not right and walk_up.person not in people)
        if right:
            self.seconds.append(outcome.after_s)


def see(pipeline: Pipeline, sessions: Sequence[Session], skipped: Skipped) -> Seen:
    """Look at every frame as at a video's; live sessions in which nobody can be enrolled are left out and counted."""
    paths: list[Path] = []
    rows = {}
    for session in sessions:
        rows[session] = range(len(paths), len(paths) + len(session.frames))
        paths += session.frames
    table = look(pipeline, paths, name="nuaa", manner=Manner(largest, still=False, liveness=True))
    for session in [one for one in rows if one.live and not table.found[rows[one]].any()]:
        skipped.add("nuaa", "live session without a face", f"{session.person} {session.name}")
        del rows[session]
    return Seen(table, rows)


def cross_session(
    seen: Seen, others: Mapping[str, Floats], pipeline: Pipeline, *, draws: int, sizes: Sequence[int] = SIZES
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows like the open set's, after at most three seconds of frames, and rows of `groups`. `others` fill the roster.

    The groups are of the session in which somebody comes: with glasses or without.
    """
    twice = len(seen.twice())
    if twice == 0 or len(seen.live()) < 2:  # noqa: PLR2004  known and unknown
        return [], []
    rows, groups = [], []
    for size in possible_sizes(sizes, len(others) + _enrolled(twice)):
        for enrolment in PICTURES:
            table = {rate: _Row() for rate in (*RATES, USUAL_RATE)}
            for draw in range(draws):
                _one_draw(seen, others, pipeline, (size, enrolment, draw), table)
            rows += [_figures(size, enrolment, rate, row) for rate, row in table.items()]
            for rate, row in table.items():
                groups += _by_group({"n": size, "enrolment": enrolment, "fpir_target": round(rate, 6)}, row)
        progress(f"other session: {size} people enrolled, done")
    return rows, groups


def _one_draw(
    seen: Seen,
    others: Mapping[str, Floats],
    pipeline: Pipeline,
    setting: tuple[int, int, int],
    table: Mapping[float, _Row],
) -> None:
    """Two thirds of the people with two sessions live here; they are enrolled in one and come in the other.

    The roster is filled first with those who have as many pictures, since who has one is judged by another bound.
    """
    size, enrolment, draw = setting
    live, first = seen.live(), draw % 2
    rng = np.random.default_rng((draw, 1))
    twice = [str(person) for person in rng.permutation(sorted(seen.twice()))]
    residents = set(twice[: min(size, _enrolled(len(twice)))])
    known = {person: seen.vectors(seen.rows[live[person][first]], enrolment) for person in sorted(residents)}
    mixed = [str(name) for name in rng.permutation(sorted(others))]
    filling = sorted(mixed, key=lambda name: len(others[name]) < enrolment)[: size - len(residents)]
    roster = known | {name: others[name][:enrolment] for name in filling}
    for row in table.values():
        row.fully.append(sum(len(vectors) == enrolment for vectors in roster.values()))
    gallery, calibration = build_gallery(roster, pipeline)
    gallery.look_alike_distance = calibration.max_match_distance(max(table), len(gallery))
    rules = match_rules(pipeline.embedder.same_person_similarity)
    for walk_up, glasses in _approaches(seen, residents, first):
        frames = frames_of(walk_up, seen.table, gallery, rules.min_agreement)
        for rate, row in table.items():
            bound = bound_of(calibration, rate, gallery, 0, pipeline.embedder)
            row.distances.append(bound.max_match_distance)
            row.count(walk_up, glasses, judge(frames, rules, bound), resident=walk_up.person in residents)


def _enrolled(twice: int) -> int:
    """Of so many people with two sessions: the others are strangers."""
    return max(1, twice * 2 // 3)


def _approaches(seen: Seen, residents: set[str], first: int) -> Iterator[tuple[WalkUp, str]]:
    for person, sessions in seen.live().items():
        for number, session in enumerate(sessions):
            if person not in residents or number != first:
                for walk_up in walk_ups(person, seen.rows[session], every=_EVERY, shortest=_SHORTEST):
                    yield walk_up, session.glasses


def _by_group(facts: dict[str, Any], row: _Row) -> list[dict[str, Any]]:
    return [
        {
            "evaluation": "cross_session",
            "group": group,
            **facts,
            **row.stranger_groups[group].figures("fpir"),
            **row.resident_groups[group].figures("fnir"),
            "residents": len(row.resident_groups[group].tried),
            "strangers": len(row.stranger_groups[group].tried),
        }
        for group in sorted({*row.resident_groups, *row.stranger_groups})
    ]


def _figures(size: int, enrolment: int, rate: float, row: _Row) -> dict[str, Any]:
    return {
        "n": size,
        "enrolment": enrolment,
        "probes": LONGEST,
        "enrolled_by_so_many": round(float(np.mean(row.fully))),
        "probes_are": "frames of one visit, at most; a verdict ends it",
        "fpir_target": round(rate, 6),
        **row.strangers.figures("fpir"),
        **row.residents.figures("fnir"),
        **row.with_phones.figures("fnir_with_phone"),
        **row.in_doubt.figures("strangers_in_doubt"),
        "stranger_fits_one_phone": round(float(np.mean(row.phones)) / size, 7) if row.phones else None,
        "max_match_distance": round(float(np.mean(row.distances)), 5),
        "decided_after_s": round(float(np.median(row.seconds)), 2) if row.seconds else None,
        "residents": len(row.residents.tried),
        "residents_tried": sum(row.residents.tried.values()),
        "strangers": len(row.strangers.tried),
        "strangers_tried": sum(row.strangers.tried.values()),
    }


def ways_to_enrol(seen: Seen, others: Mapping[str, Floats], pipeline: Pipeline) -> list[dict[str, Any]]:
    """Refusals in the second half of the other session: one session known, both, or updated after one opening.

    The update adds the mean of three frames of the first second of a confirmed visit (face and phone) to the templates.
    """
    ways: dict[str, Tally] = {}
    live = seen.twice()
    rules = match_rules(pipeline.embedder.same_person_similarity)
    for first in (0, 1):
        for way in ("three pictures of one session", "and an update after one visit", "three of each session"):
            known = {person: _known(seen, sessions, way, first) for person, sessions in live.items()}
            filling = {name: others[name][:3] for name in sorted(others)[: max(0, 200 - len(known))]}
            gallery, calibration = build_gallery(known | filling, pipeline)
            bound = bound_of(calibration, USUAL_RATE, gallery, 0, pipeline.embedder)
            gallery.look_alike_distance = bound.max_look_alike_distance
            for person, sessions in live.items():
                later = _halves(seen.rows[sessions[1 - first]])[1]
                for walk_up in walk_ups(person, later, every=_EVERY, shortest=_SHORTEST):
                    frames = frames_of(walk_up, seen.table, gallery, rules.min_agreement)
                    verdict = judge(frames, rules, bound).verdict
                    right = isinstance(verdict, Recognised) and verdict.person_id == person
                    ways.setdefault(way, Tally()).add(person, failed=not right)
    return [
        {"enrolment": way, "fpir_target": round(USUAL_RATE, 6), **tally.figures("fnir")} for way, tally in ways.items()
    ]


def _known(seen: Seen, sessions: Sequence[Session], way: str, first: int) -> Floats:
    one = seen.vectors(seen.rows[sessions[first]], 3)
    earlier = _halves(seen.rows[sessions[1 - first]])[0]
    if not seen.table.found[earlier].any():
        return one
    if "update" in way:
        visit = mean_vector(seen.vectors(earlier[:_SECOND], DECIDING))
        return np.concatenate([one, visit[None]])
    return np.concatenate([one, seen.vectors(earlier, 3)]) if "each" in way else one


def _halves(rows: range) -> tuple[range, range]:
    middle = (rows.start + rows.stop) // 2
    return range(rows.start, middle), range(middle, rows.stop)
