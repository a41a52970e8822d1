"""The curves as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.arrays import Floats

_POINTS: Final = 400
_GROUP_RATE: Final = 0.01
Curves = Mapping[tuple[int, int, int], tuple[Floats, Floats]]


def draw(folder: Path, report: Mapping[str, Any], curves: Curves) -> list[str]:
    """Write PNG files; their names."""
    import matplotlib as mpl  # an extra of developers, and slow to load

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, paint in _PAINTERS.items():
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


def _groups(axes: Any, report: Mapping[str, Any], _curves: Curves) -> bool:  # noqa: ANN401
    """Strangers let in over the stated share, one probe; bars: 95 % intervals over people."""
    groups = [row for row in report.get("groups") or [] if row["evaluation"] == "open_set"]
    rows = [row for row in groups if row["fpir_target"] == _GROUP_RATE]
    kinds = sorted({(row["n"], row["enrolment"]) for row in rows})
    for shift, group in ((-0.12, "others"), (0.12, "East-Asian-named")):
        own = {(row["n"], row["enrolment"]): row for row in rows if row["group"] == group}
        at = [kinds.index(kind) + shift for kind in own]
        share = np.array([row["fpir"] for row in own.values()])
        around = np.array([row["fpir_ci95"] for row in own.values()]).reshape(-1, 2)
        bars = np.abs(around.T - share) if own else None
        axes.errorbar(at, share, yerr=bars, fmt="o", capsize=3, label=f"strangers, {group}")
    axes.axhline(_GROUP_RATE, color="black", lw=1, ls="--", label="stated share")
    axes.set_xticks(range(len(kinds)), [f"{people}\n{pictures} pic." for people, pictures in kinds], fontsize=7)
    axes.set(xlabel="people enrolled, pictures each", ylabel="strangers let in (FPIR), one probe", ylim=(0, 0.06))
    return bool(rows)


def _clarity(axes: Any, report: Mapping[str, Any], _curves: Curves) -> bool:  # noqa: ANN401
    """Most people, one picture, one probe, by fifths of how clear the face is that comes; bars: 95 % over people."""
    groups = [row for row in report.get("groups") or [] if row["evaluation"] == "open_set_by_clarity"]
    rows = [row for row in groups if row["fpir_target"] == _GROUP_RATE and row["enrolment"] == 1]
    rows = [row for row in rows if row["n"] == max(one["n"] for one in rows)]
    at = np.arange(len(rows))
    for shift, share, label in ((-0.08, "fnir", "residents refused"), (0.08, "fpir", "strangers let in")):
        values = np.array([row[share] for row in rows])
        bars = np.abs(np.array([row[f"{share}_ci95"] for row in rows]).reshape(-1, 2).T - values)
        axes.errorbar(at + shift, values, yerr=bars, fmt="o", capsize=3, label=label)
    axes.axhline(_GROUP_RATE, color="black", lw=1, ls="--", label="stated share of strangers")
    axes.set_xticks(at, [row["group"] for row in rows], fontsize=8)
    axes.set(ylabel="share", ylim=(0, None))
    return bool(rows)


def _attacks(axes: Any, report: Mapping[str, Any], _curves: Curves) -> bool:  # noqa: ANN401
    """Accepted by match alone, accepted with liveness up to its upper bound, and what the living pay."""
    rows = report.get("attacks") or []
    names = [row["kind"].removeprefix("print, ") for row in rows]
    places = np.arange(len(rows))
    axes.bar(
        places - 0.2, [row["accepted_by_match_alone"] for row in rows], 0.4, label="prints accepted by match alone"
    )
    axes.bar(places + 0.2, [row["apcer_upper95"] for row in rows], 0.4, label="match and liveness: upper 95 % bound")
    if report.get("bona_fide_refused") is not None:
        taken, refused = report["bpcer_upper95"], report["bona_fide_refused"]
        axes.axhline(taken, color="tab:green", ls=":", label=f"the living taken for prints: at most {taken:.1%}")
        axes.axhline(refused, color="tab:red", ls=":", label=f"residents refused for any reason: {refused:.1%}")
    axes.set_xticks(places, names, fontsize=8)
    axes.set(ylabel="share of attempts", ylim=(0, 1.25))
    return bool(rows)


def _key(row: Mapping[str, Any]) -> Sequence[int]:
    return row["n"], row["enrolment"], row["probes"]


_PAINTERS: Final = {
    "open_set": _open_set,
    "distances": _distances,
    "groups": _groups,
    "clarity": _clarity,
    "light": _light,
    "sessions": _sessions,
    "attacks": _attacks,
}
