"""What a folder is too small to show, in words: a figure that is missing is said to be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.evaluation.open_set import SIZES, most_enrolled
from agent.evaluation.pictures import DataFolder
from agent.evaluation.sessions import SIZES as SESSION_SIZES
from models.arrays import Floats


def gaps(report: Mapping[str, Any], data: DataFolder, people: Mapping[str, Floats]) -> list[str]:
    """A line for each part of the faces report that could not be measured as the whole sets allow it.

    `people`: those of lfw/ in whose pictures a face was found.
    """
    found = []
    if report["verification"]["accuracy"] is None:
        found.append("verification: lfw/pairs.txt names no pair of which both pictures are here with a face")
    rows = report["open_set"]
    if absent := _absent(SIZES, rows):
        can = f"lfw/ holds {len(people)} people with a face; at most {most_enrolled(people)} are enrolled"
        found.append(f"open set of {absent} people: {can}, so that strangers are left")
    if people and not any(row["enrolment"] == 1 for row in rows):
        found.append("open set: nobody in lfw/ has a picture beside the one that is enrolled")
    rows = report["cross_session"]
    if not rows:
        found.append("other session: nuaa/ must hold somebody in two live sessions, and somebody else as a stranger")
    elif absent := _absent(SESSION_SIZES, rows):
        found.append(f"other session with {absent} people enrolled: {len(people)} people of lfw/ are the others")
    if not report["light"]:
        found.append("light: yaleb/ must hold somebody under a lamp from the front (A+000E+00) and under others")
    if not data.masks:
        found.append("masks: masks/ holds no picture")
    return found


def _absent(sizes: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(size) for size in sizes if size not in {row["n"] for row in rows})
