"""The curves as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.arrays import Floats

_POINTS: Final = 400
Curves = Mapping[tuple[int, int, int], tuple[Floats, Floats]]


def draw(folder: Path, report: Mapping[str, Any], curves: Curves) -> list[str]:
    """Write PNG files; their names."""
    import matplotlib as mpl  # an extra of developers, and slow to load

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, paint in (("open_set", _open_set), ("distances", _distances), ("light", _light), ("sessions", _sessions)):
        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
        if paint(axes, report, curves):
            axes.grid(visible=True, alpha=0.3)
            axes.legend(fontsize=8)
            figure.savefig(folder / f"{name}.png", dpi=110)
            made.append(f"{name}.png")
        plt.close(figure)
    return made


def _open_set(axes: Any, report: Mapping[str, Any], curves: Curves) -> bool:  # noqa: ANN401  matplotlib has no types
    """Refused residents over admitted strangers; the points are the product's own bounds."""
    for (people, enrolment, probes), (strangers, residents) in curves.items():
        if (enrolment, probes) not in ((1, 1), (3, 3)):
            continue
        rates = np.geomspace(2 / len(strangers), 0.3, _POINTS)
        refused = 1 - np.searchsorted(residents, np.quantile(strangers, rates), side="right") / len(residents)
        (line,) = axes.plot(rates, refused, label=f"{people} enrolled, {enrolment} picture(s), {probes} probe(s)")
        own = [row for row in report["open_set"] if _key(row) == (people, enrolment, probes)]
        axes.plot([row["fpir"] for row in own], [row["fnir"] for row in own], "o", color=line.get_color(), ms=4)
    axes.set(xscale="log", xlabel="strangers let in (FPIR)", ylabel="residents refused (FNIR)")
    axes.set_title("Open set; dots: the door's own bounds for 1 %, 0.3 %, 0.1 %", fontsize=10)
    return bool(curves)


def _distances(axes: Any, _report: Mapping[str, Any], curves: Curves) -> bool:  # noqa: ANN401
    for (people, enrolment, probes), (strangers, residents) in curves.items():
        if (people, enrolment, probes) == max(curves, key=lambda key: (key[0], -key[1], -key[2])):
            axes.hist(
                strangers, 80, density=True, alpha=0.5, label=f"strangers, {people} enrolled by {enrolment} picture"
            )
            near = residents[np.isfinite(residents)]
            axes.hist(near, 80, density=True, alpha=0.5, label="residents")
    axes.set(xlabel="relative match distance to the nearest person", ylabel="density")
    return bool(curves)


def _light(axes: Any, report: Mapping[str, Any], _curves: Curves) -> bool:  # noqa: ANN401
    rows = report.get("light") or []
    for way in sorted({row["enrolment"] for row in rows}):
        own = [row for row in rows if row["enrolment"] == way]
        axes.plot([row["lamp_degrees"] for row in own], [row["fnir"] for row in own], "o-", label=way)
    axes.set(xlabel="angle between lamp and camera, degrees", ylabel="refused (FNIR), one picture", ylim=(-0.02, 1.02))
    return bool(rows)


def _sessions(axes: Any, report: Mapping[str, Any], _curves: Curves) -> bool:  # noqa: ANN401
    rows = report.get("cross_session") or []
    for people, enrolment in sorted({(row["n"], row["enrolment"]) for row in rows}):
        own = [row for row in rows if (row["n"], row["enrolment"]) == (people, enrolment)]
        label = f"{people} enrolled by {enrolment} picture(s)"
        axes.plot([row["fpir_target"] for row in own], [row["fnir"] for row in own], "o-", label=label)
    axes.set(xscale="log", xlabel="stated stranger rate", ylabel="residents refused after 3 s, other session")
    return bool(rows)


def _key(row: Mapping[str, Any]) -> Sequence[int]:
    return row["n"], row["enrolment"], row["probes"]
