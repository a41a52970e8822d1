"""A very large gallery: how long a search takes beside numpy's plain product, and what a change costs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.evaluation.timing import Times, beside
from models.arrays import Floats
from models.calibration import fit_gallery
from models.pipeline import Pipeline
from models.template import Template

PEOPLE: Final = 100_000
_PROBES: Final = 30
_CHANGES: Final = 500
_NOISE: Final = 0.03  # added to each number of a template: a cosine of about 0.9 to it
_NUMPY: Final = "numpy's product"
_AGAIN: Final = "match 100,000"
_FIRST: Final = "match 100,000, first frame"


def gallery_speed(pipeline: Pipeline, people: int = PEOPLE) -> dict[str, Any]:
    """`stages`: each search, and numpy's product over the same vectors, in turns; and what changes cost.

    A first frame is of somebody not compared before: whoever resembles him is looked for too, and that is remembered.
    `same_person`: share in which both name the same one. The changes: the longest of 500 people added and as many
    removed in a gallery in use, a search of 500 more after them, the bound fitted anew.
    """
    rng = np.random.default_rng(0)
    gallery, net = pipeline.gallery(), pipeline.embedder
    rows = _units(rng.normal(size=(people, net.dim)))
    probes = _units(rows[:_PROBES] + rng.normal(0, _NOISE, (_PROBES, net.dim)))
    for number, row in enumerate(rows):
        gallery.add(f"p{number}", Template(row, net.model_id, net.alignment_id))
    times, same = Times(), 0
    times.take("settle", gallery.settle)
    for probe in probes:
        nearest = times.take(_NUMPY, lambda: int(np.argmax(rows @ probe)))  # noqa: B023  called at once
        match = times.take(_FIRST, lambda: gallery.search(probe))  # noqa: B023
        times.take(_AGAIN, lambda: gallery.search(probe))  # noqa: B023
        same += match is not None and match.person_id == f"p{nearest}"
    for number, row in enumerate(_units(rng.normal(size=(_CHANGES, net.dim)))):
        times.take("add", lambda: gallery.add(f"n{number}", Template(row, net.model_id, net.alignment_id)))  # noqa: B023
    for probe in probes:
        times.take("changed", lambda: gallery.search(probe))  # noqa: B023
    for number in range(_CHANGES):
        times.take("remove", lambda: gallery.remove(f"n{number}"))  # noqa: B023
    times.take("bound", lambda: fit_gallery(gallery))
    return {
        "people": people,
        "stages": [_stage(times, name) for name in (_AGAIN, _FIRST)],
        "same_person": same / _PROBES,
        "settle_ms": _longest(times, "settle"),
        "add_longest_ms": _longest(times, "add"),
        "remove_longest_ms": _longest(times, "remove"),
        "first_frame_after_changes_ms": _stage(times, "changed")["ours_ms"],
        "bound_anew_ms": _longest(times, "bound"),
    }


def _stage(times: Times, name: str) -> dict[str, Any]:
    ours, peer = times.median(name), times.median(_NUMPY)
    assert ours is not None and peer is not None  # noqa: S101, PT018  both ran
    return {
        "name": name,
        "peer_ms": round(peer.clock_ms, 2),
        "peer": _NUMPY,
        **beside(ours, peer),
        "fastest_ms": round(min(spent.clock_ms for spent in times.of[name]), 2),
    }


def _longest(times: Times, name: str) -> float:
    return round(max(spent.clock_ms for spent in times.of[name]), 2)


def _units(vectors: NDArray[np.floating[Any]]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
