"""door-agent evaluate: how well people are told apart, and prints from people, on pictures of your own."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_command, print_json
from agent.command_line import count

if TYPE_CHECKING:
    from agent.evaluation.faces import Faces
    from agent.evaluation.pictures import DataFolder
    from models.arrays import Floats
    from models.pipeline import Pipeline

_DRAWS = 12
_QUICK_DRAWS = 3
_MOST_DRAWS = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "evaluate", "Measure recognition or resistance to prints.", config=False)
    parser.add_argument(
        "what",
        choices=("faces", "attacks"),
        help="faces: verification, open set, other session, light, masks, time; attacks: prints, end to end",
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="holds lfw/, nuaa/, yaleb/, masks/ or some of them"
    )
    parser.add_argument("--quick", action="store_true", help="fewer people and draws: under a minute")
    parser.add_argument(
        "--draws",
        type=count,
        default=_DRAWS,
        metavar="N",
        help=f"rosters drawn for each row (default {_DRAWS})",
    )
    parser.add_argument(
        "--leave-out", nargs="+", default=(), metavar="NAME", help="people of lfw/ not to use, as those under two names"
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="also draw the curves, as PNG files, here")
    parser.add_argument("--policy", choices=("convenience", "standard", "high"), default="standard")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder that holds the networks")
    parser.add_argument("--embedder", default="auto", metavar="NAME", help="a network of `models list`; default: best")
    parser.add_argument("--detector", default="auto", metavar="NAME", help="a detector of `models list`; default: best")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 6 no face models; 7 nothing in the folder can be measured."""
    from agent.evaluation.faces import progress
    from agent.evaluation.pictures import read_folder
    from models.pipeline import PipelineSettings, load_pipeline

    started_s = time.monotonic()
    pipeline = load_pipeline(
        PipelineSettings(weights_folder=arguments.weights, detector=arguments.detector, embedder=arguments.embedder)
    )
    data = read_folder(arguments.data, quick=arguments.quick, leave_out=frozenset(arguments.leave_out))
    report: dict[str, Any] = {
        "engine": pipeline.engine,
        "missing": pipeline.missing,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "quick": arguments.quick,
        "left_out": sorted(arguments.leave_out),
        "used": data.used(),
    }
    lfw, people = _people(pipeline, data)
    if arguments.what == "faces":
        report |= _faces(pipeline, data, (lfw, people), arguments)
    else:
        report |= _attacks(pipeline, data, people, arguments.policy)
        if arguments.pictures is not None:
            from agent.evaluation import charts

            report["pictures"] = charts.draw(arguments.pictures, report, {})
    report["skipped"] = data.skipped.rows()
    report["seconds"] = round(time.monotonic() - started_s)
    progress(f"done in {report['seconds']} s")
    if arguments.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _people(pipeline: Pipeline, data: DataFolder) -> tuple[Faces, dict[str, Floats]]:
    """LFW: a row for each picture, and name -> vectors of the pictures in which a face was found."""
    from agent.evaluation.faces import Manner, central, look

    paths = [path for pictures in data.people.values() for path in pictures]
    seen = look(pipeline, paths, name="lfw", manner=Manner(central))
    people, start = {}, 0
    for name, pictures in data.people.items():
        rows = slice(start, start + len(pictures))
        start += len(pictures)
        for path, found in zip(pictures, seen.found[rows], strict=True):
            if not found:
                data.skipped.add("lfw", "no face is found in the picture", path)
        if seen.found[rows].any():
            people[name] = seen.vector[rows][seen.found[rows]]
    return seen, people


def _faces(
    pipeline: Pipeline,
    data: DataFolder,
    residents: tuple[Faces, Mapping[str, Floats]],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    from agent.evaluation import charts, conditions, open_set, sessions, verification
    from agent.evaluation.faces import stage_medians_ms
    from agent.evaluation.gaps import gaps
    from models.scale import unit

    draws = min(arguments.draws, _QUICK_DRAWS if arguments.quick else _MOST_DRAWS)
    paths = [path for pictures in data.people.values() for path in pictures]
    lfw, people = residents
    vectors = {path: unit(lfw.vector[row]) for row, path in enumerate(paths) if lfw.found[row]}
    names = [path.parent.name for path in vectors]
    report: dict[str, Any] = {"draws": draws, "verification": verification.verification(data.pairs, vectors, names)}
    found = open_set.open_set(people, pipeline, draws=draws) if people else {"open_set": [], "groups": [], "curves": {}}
    curves = found.pop("curves")
    report |= found
    seen = sessions.see(pipeline, data.sessions, data.skipped)
    report["cross_session"], by_glasses = sessions.cross_session(seen, people, pipeline, draws=draws)
    report["ways_to_enrol"] = sessions.ways_to_enrol(seen, people, pipeline)
    report["light"], by_person = conditions.light(data.lit, people, pipeline)
    report["groups"] = [*verification.by_group(data.pairs, vectors, names), *report["groups"], *by_glasses, *by_person]
    report["masks"] = conditions.masks(data.masks, people, pipeline)
    report["masks"]["bare_faces_asked_to_uncover"] = _falsely_covered(lfw.flaw.tolist())
    report["not_measured"] = gaps(report, data, people)
    report["milliseconds_per_stage"] = stage_medians_ms([lfw, seen.table])
    if arguments.pictures is not None:
        report["pictures"] = charts.draw(arguments.pictures, report, curves)
    return report


def _falsely_covered(flaws: Sequence[int]) -> float | None:
    from agent.evaluation.faces import FLAWS

    return round(flaws.count(FLAWS.index("covered")) / len(flaws), 5) if flaws else None


def _attacks(pipeline: Pipeline, data: DataFolder, people: Mapping[str, Floats], policy: str) -> dict[str, Any]:
    from agent.core.recognition import Level
    from agent.evaluation.attacks import attacks
    from agent.evaluation.sessions import see

    return attacks(see(pipeline, data.sessions, data.skipped), people, pipeline, Level(policy))


def _print(report: Mapping[str, Any]) -> None:
    """The same figures for people."""
    for key, value in report.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            columns = [column for column in value[0] if column not in ("residents_tried", "strangers_tried")]
            print(f"\n{key}\n  {'  '.join(columns)}")
            for row in value:
                print("  " + "  ".join(str(row.get(column, "")) for column in columns))
        elif isinstance(value, list):
            print(f"\n{key}")
            print("\n".join(f"  {one}" for one in value) or "  nothing")
        elif isinstance(value, Mapping):
            print(f"\n{key}")
            for name, figure in value.items():
                print(f"  {name}: {figure}")
        else:
            print(f"{key}: {value}")
