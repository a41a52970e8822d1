"""One to many: how many residents are refused, and how many strangers let in, at the product's own bound.

Each draw enrols other people at random; everybody else is a stranger. Distances come from the product's gallery, bounds
from its calibration on the people enrolled in that draw, so nothing here is tuned to the strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.core.recognition import distance
from agent.evaluation.faces import progress
from agent.evaluation.groups import GROUPS, group_of
from agent.evaluation.stats import by_person95
from models.arrays import Floats
from models.calibration import Calibration, fit_gallery
from models.fusion import mean_vector
from models.gallery import Gallery
from models.pipeline import Pipeline
from models.scale import clarity
from models.template import Template

SIZES: Final = (100, 200, 500, 1000)
PICTURES: Final = (1, 3, 5)
RATES: Final = (0.01, 0.003, 0.001)
_ENROLLED_AT_MOST: Final = 0.75  # of all people: the others are the strangers
_RICH_ENROLLED: Final = 0.6  # of those with enough pictures: strangers are tried with several probes too
_PROBES_A_PERSON: Final = 3
_FEWEST: Final = 2  # people that a roster has

CLARITIES: Final = ("least clear fifth", "second fifth", "middle fifth", "fourth fifth", "clearest fifth")

People = Mapping[str, Floats]  # name -> float32[pictures, dim]


@dataclass(slots=True)
class Trials:
    """All attempts of one kind, over all draws: distance to the best person, right or not, who, when, how clear."""

    distance: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    person: list[str] = field(default_factory=list)
    draw: list[int] = field(default_factory=list)
    clarity: list[float] = field(default_factory=list)

    def add(self, gallery: Gallery, vector: Floats, person: str, draw: int) -> None:
        """Try one vector."""
        match = gallery.search(vector)
        if match is not None:
            self.distance.append(distance(match.similarity, match.cohort_similarity, match.cohort_size))
            self.right.append(match.person_id == person)
            self.person.append(person)
            self.draw.append(draw)
            self.clarity.append(float(clarity(vector)))


@dataclass(slots=True)
class _Cell:
    residents: Trials = field(default_factory=Trials)
    strangers: Trials = field(default_factory=Trials)


def open_set(people: People, pipeline: Pipeline, *, draws: int, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """`open_set` and `groups` rows of the report, and the pooled distances for the curves (key (n, k, probes))."""
    rows: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    curves: dict[tuple[int, int, int], tuple[Floats, Floats]] = {}
    for size in possible_sizes(sizes, most_enrolled(people)):
        for enrolment in PICTURES:
            cells = {probes: _Cell() for probes in PICTURES}
            draws_made = [_draw(people, pipeline, size, enrolment, draw, cells) for draw in range(draws)]
            bounds = [calibration for calibration, _ in draws_made]
            fully = round(float(np.mean([known for _, known in draws_made])))
            for probes, cell in cells.items():
                if not cell.residents.person or not cell.strangers.person:
                    continue
                facts = {"n": size, "enrolment": enrolment, "probes": probes, "enrolled_by_so_many": fully}
                for rate in RATES:
                    limits = np.array([one.max_match_distance(rate, size, probes) for one in bounds])
                    rows.append({**facts, **row(cell.residents, cell.strangers, rate, limits)})
                    if probes == 1:
                        groups += _by_group(facts, cell, rate, limits)
                        groups += _by_clarity(facts, cell, rate, limits)
                curves[size, enrolment, probes] = _curve(cell)
        progress(f"open set: {size} people enrolled, done")
    return {"open_set": rows, "groups": groups, "curves": curves}


def most_enrolled(people: People) -> int:
    """How many of these can be enrolled so that enough strangers are left."""
    return int(_ENROLLED_AT_MOST * len(people))


def possible_sizes(sizes: Sequence[int], most: int) -> list[int]:
    """Those that the data allows; where it does not allow all, the largest that it does as well."""
    fitting = [size for size in sizes if size <= most]
    return fitting if len(fitting) == len(sizes) or most in fitting or most < _FEWEST else [*fitting, most]


def build_gallery(people: People, pipeline: Pipeline) -> tuple[Gallery, Calibration]:
    """The product's gallery and calibration over vectors float32[templates, dim] of each person."""
    gallery, net = pipeline.gallery(), pipeline.embedder
    for name, vectors in people.items():
        for vector in vectors:
            gallery.add(name, Template(vector, net.model_id, net.alignment_id))
    return gallery, fit_gallery(gallery)


def row(residents: Trials, strangers: Trials, rate: float, limits: Floats) -> dict[str, Any]:
    """One row: what the product's bounds (one a draw) make of the trials."""
    let_in = np.array(strangers.distance) <= limits[strangers.draw]
    accepted = (np.array(residents.distance) <= limits[residents.draw]) & np.array(residents.right)
    nearest = np.where(residents.right, residents.distance, np.inf)
    exact = np.quantile(strangers.distance, rate)
    return {
        "fpir_target": rate,
        "fpir": _rounded(let_in.mean()),
        "fpir_ci95": people_interval(strangers.person, let_in),
        "fnir": _rounded(1 - accepted.mean()),
        "fnir_ci95": people_interval(residents.person, ~accepted),
        "max_match_distance": _rounded(float(limits.mean())),
        "fnir_where_fpir_is_the_target": _rounded(float((nearest > exact).mean())),
        "residents_tried": len(accepted),
        "residents": len(set(residents.person)),
        "strangers_tried": len(let_in),
        "strangers": len(set(strangers.person)),
    }


def _draw(
    people: People, pipeline: Pipeline, size: int, enrolment: int, draw: int, cells: dict[int, _Cell]
) -> tuple[Calibration, int]:
    """Enrol `size` people and try everybody in every number of probes.

    The calibration, and how many are enrolled by as many pictures as asked; others, who have fewer, fill the roster.
    """
    rng = np.random.default_rng((draw, size, enrolment))
    names = [str(name) for name in rng.permutation(sorted(people))]
    rich = [name for name in names if len(people[name]) >= enrolment]
    chosen = rich[: min(size, int(_RICH_ENROLLED * len(rich)))]
    chosen += [name for name in names if len(people[name]) < enrolment][: size - len(chosen)]
    chosen += [name for name in rich if name not in set(chosen)][: size - len(chosen)]
    order = {name: rng.permutation(len(people[name])) for name in names}
    enrolled = {name: people[name][order[name][:enrolment]] for name in chosen}
    gallery, calibration = build_gallery(enrolled, pipeline)
    for probes, cell in cells.items():
        for name in names:
            if name in enrolled:
                left = order[name][enrolment:]
                for at in range(0, min(len(left) - probes + 1, _PROBES_A_PERSON * probes), probes):
                    vector = mean_vector(people[name][left[at : at + probes]])
                    cell.residents.add(gallery, vector, name, draw)
            elif len(order[name]) >= probes:
                cell.strangers.add(gallery, mean_vector(people[name][order[name][:probes]]), name, draw)
    return calibration, sum(len(vectors) == enrolment for vectors in enrolled.values())


def _by_group(facts: dict[str, int], cell: _Cell, rate: float, limits: Floats) -> list[dict[str, Any]]:
    rows = []
    for group in GROUPS:
        parts = (_only(one, [group_of(person) == group for person in one.person]) for one in _both(cell))
        rows += _group_row("open_set", group, facts, parts, rate, limits)
    return rows


def _by_clarity(facts: dict[str, int], cell: _Cell, rate: float, limits: Floats) -> list[dict[str, Any]]:
    """By fifths of how clearly the network sees the face that comes (models/scale.py), of residents and strangers."""
    every = np.concatenate([one.clarity for one in _both(cell)])
    fifths = np.quantile(every, np.arange(1, len(CLARITIES)) / len(CLARITIES))
    rows = []
    for at, group in enumerate(CLARITIES):
        parts = (_only(one, (np.digitize(one.clarity, fifths) == at).tolist()) for one in _both(cell))
        rows += _group_row("open_set_by_clarity", group, facts, parts, rate, limits)
    return rows


def _both(cell: _Cell) -> tuple[Trials, Trials]:
    return cell.residents, cell.strangers


def _group_row(
    evaluation: str, group: str, facts: dict[str, int], parts: Iterable[Trials], rate: float, limits: Floats
) -> list[dict[str, Any]]:
    residents, strangers = parts
    if not residents.person or not strangers.person:
        return []
    return [{"evaluation": evaluation, "group": group, **facts, **row(residents, strangers, rate, limits)}]


def _only(trials: Trials, kept: Sequence[bool]) -> Trials:
    return Trials(*(list(compress(getattr(trials, one.name), kept)) for one in fields(Trials)))


def _curve(cell: _Cell) -> tuple[Floats, Floats]:
    """Sorted distances of strangers, and of residents with infinity where somebody else was nearest."""
    residents = np.where(cell.residents.right, cell.residents.distance, np.inf)
    return np.sort(np.array(cell.strangers.distance, np.float32)), np.sort(residents.astype(np.float32))


def people_interval(person: Sequence[str], failed: NDArray[np.bool_]) -> list[float]:
    """95 % interval of the share that failed, over people: see stats.by_person95."""
    names, index = np.unique(np.array(person), return_inverse=True)
    tried = np.bincount(index, minlength=len(names)).astype(np.float32)
    low, high = by_person95(np.bincount(index, failed, len(names)).astype(np.float32), tried)
    return [_rounded(low), _rounded(high)]


def _rounded(value: float) -> float:
    return round(float(value), 5)
