"""Light from the side, and covered faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.core.recognition import distance
from agent.evaluation.faces import Faces, Manner, largest, look
from agent.evaluation.open_set import build_gallery, people_interval
from agent.evaluation.pictures import Lit
from agent.evaluation.stats import interval95
from models.arrays import Floats
from models.gallery import Gallery
from models.pipeline import Pipeline

_ROSTER: Final = 200
_RATE: Final = 0.001
_RINGS: Final = ((0, 25), (26, 50), (51, 77), (78, 180))  # degrees between lamp and camera, the set's usual subsets
_ENROLMENT: Final = {
    "one picture, light from the front": ((0, 0),),
    "three pictures, light from the front and both sides": ((0, 0), (-50, 0), (50, 0)),
}


def light(
    lit: Sequence[Lit], others: Mapping[str, Floats], pipeline: Pipeline
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Refusals by the angle of the lamp at FPIR 0.1 %, one picture a try, for two ways to enrol; and by person."""
    seen = look(pipeline, [one.path for one in lit], name="yaleb", manner=Manner(largest, border=True))
    rows: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for way, lamps in _ENROLMENT.items():
        known = {
            person: seen.vector[enrolled]
            for person in sorted({one.person for one in lit})
            if (enrolled := _rows(lit, person, lamps, seen.found))
        }
        if not known:
            continue
        filling = {name: others[name][:1] for name in sorted(others)[: max(0, _ROSTER - len(known))]}
        gallery, calibration = build_gallery(known | filling, pipeline)
        door = _Door(seen, lit, gallery, calibration.max_match_distance(_RATE, len(gallery), frames=1))
        tried = [
            row for row, one in enumerate(lit) if one.person in known and (one.azimuth, one.elevation) not in lamps
        ]
        for low, high in _RINGS:
            ring = [row for row in tried if low <= max(abs(lit[row].azimuth), abs(lit[row].elevation)) <= high]
            if ring:
                rows.append({"enrolment": way, "lamp_degrees": f"{low} to {high}", **door.figures(ring)})
        people += [
            {
                "evaluation": "light",
                "group": person,
                "enrolment": way,
                **door.figures([row for row in tried if lit[row].person == person]),
            }
            for person in sorted({lit[row].person for row in tried})
        ]
    return rows, people


@dataclass(frozen=True, slots=True)
class _Door:
    """Who is enrolled, how near is near enough, and the pictures that are tried."""

    seen: Faces
    lit: Sequence[Lit]
    gallery: Gallery
    max_match_distance: float

    def figures(self, tried: Sequence[int]) -> dict[str, Any]:
        """What becomes of these pictures; the interval is over people, whose pictures fail together."""
        seen, lit = self.seen, self.lit
        fine = {row for row in tried if seen.found[row] and seen.flaw_word(row) is None}
        missed = [
            row not in fine or not _accepts(self.gallery, seen.vector[row], lit[row].person, self.max_match_distance)
            for row in tried
        ]
        return {
            "tried": len(tried),
            "people": len({lit[row].person for row in tried}),
            "found": round(float(seen.found[list(tried)].mean()), 5),
            "usable": round(len(fine) / len(tried), 5),
            "fpir_target": _RATE,
            "fnir": round(sum(missed) / len(tried), 5),
            "fnir_ci95": people_interval([lit[row].person for row in tried], np.array(missed)),
        }


def masks(pictures: Sequence[Path], others: Mapping[str, Floats], pipeline: Pipeline) -> dict[str, Any]:
    """Found at all, asked to uncover, and, of those that are not, how many would pass for somebody enrolled."""
    if not pictures:
        return {}
    seen = look(pipeline, pictures, name="masks", manner=Manner(largest))
    found = np.flatnonzero(seen.found)
    flaws = [seen.flaw_word(int(row)) for row in found]
    open_faces = [int(row) for row, flaw in zip(found, flaws, strict=True) if flaw is None]
    report: dict[str, Any] = {
        "pictures": len(pictures),
        "found": round(len(found) / len(pictures), 5),
        "found_ci95": [round(one, 5) for one in interval95(len(found), len(pictures))],
        "asked_to_uncover": round(flaws.count("covered") / max(1, len(found)), 5),
        "other_flaws": {flaw: flaws.count(flaw) for flaw in sorted({flaw for flaw in flaws if flaw})},
        "note": "folders are not identities, and some pictures show crowds or bare faces; the largest face counts",
    }
    if others:
        filling = {name: others[name][:3] for name in sorted(others)[:_ROSTER]}
        gallery, calibration = build_gallery(filling, pipeline)
        limit = calibration.max_match_distance(_RATE, len(gallery), frames=1)
        let_in = sum(_accepts(gallery, seen.vector[row], None, limit) for row in open_faces)
        report |= {"strangers_let_in": let_in, "strangers_tried": len(open_faces), "fpir_target": _RATE}
    return report


def _rows(lit: Sequence[Lit], person: str, lamps: Sequence[tuple[int, int]], found: NDArray[np.bool_]) -> list[int]:
    return [
        row
        for row, one in enumerate(lit)
        if one.person == person and (one.azimuth, one.elevation) in lamps and found[row]
    ]


def _accepts(gallery: Gallery, vector: Floats, person: str | None, limit: float) -> bool:
    match = gallery.search(vector)
    if match is None or (person is not None and match.person_id != person):
        return False
    return distance(match.similarity, match.cohort_similarity, match.cohort_size) <= limit
