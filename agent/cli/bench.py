"""door-agent bench: faces and codes against the usual recipes; openings: every way in, in one table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.common import add_command, print_json
from agent.command_line import count

_FEWEST = 3
_WAYS = ("face", "pass", "button", "manager", "vision")
_PARTS = ("opened", "refused", "down")
_WHOLE = (
    ("whole frame", ""),
    ("following", "_following"),
    ("with liveness", "_with_liveness"),
    ("following, with liveness", "_following_with_liveness"),
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers, "bench", "Time faces, codes and whole openings, with the usual recipes beside.", config=False
    )
    parser.add_argument(
        "what",
        choices=("faces", "codes", "openings"),
        help="faces: frames of the walk-up scene; codes: photographs in DATA/qr, a phone held up; openings: a whole "
        "simulated door, every way in and every refusal, server reachable and not",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="codes: folder with qr/ (default %(default)s)"
    )
    parser.add_argument("--rounds", type=count, default=6, help="openings: of each way and each refusal (default 6)")
    parser.add_argument(
        "--ways", nargs="+", choices=_WAYS, default=list(_WAYS), metavar="WAY", help=f"openings: {', '.join(_WAYS)}"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=_PARTS, default=list(_PARTS), metavar="PART",
        help="openings: opened and refused with the server reachable, and down, where it is not (default all)",
    )  # fmt: skip
    parser.add_argument("--frames", type=count, default=20, help="frames with a face (default 20)")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 6 no face models; 8 no broker; 1 no portraits, no such folder, or an opening is not as it must be."""
    if arguments.what == "openings":
        from agent.cli import bench_openings

        report = bench_openings.measure(arguments.rounds, arguments.ways, arguments.parts)
        _told(report, bench_openings.show, as_json=arguments.json)
        return 1 if report["broken"] else 0
    if arguments.what == "codes":
        from agent.cli import bench_codes
        from agent.evaluation import codes

        return _told(codes.measure(arguments.data / "qr"), bench_codes.show, as_json=arguments.json)
    return _told(_bench(max(_FEWEST, arguments.frames)), _print, as_json=arguments.json)


def _told(report: dict[str, Any], show: Callable[[dict[str, Any]], None], *, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        show(report)
    return 0


def _bench(count: int) -> dict[str, Any]:
    from agent.errors import DoorAgentError
    from agent.evaluation.speed import Films, bench
    from fixtures.pictures import PicturesMissingError
    from fixtures.player import film, pictures
    from fixtures.scenes import enrolment_pictures

    try:
        films = [film(name, 10.0) for name in ("resident_walks_up", "empty")]
        enrolled = enrolment_pictures("resident")
    except PicturesMissingError as e:
        raise DoorAgentError(str(e)) from e
    return bench(Films(*(list(pictures(path)) for path in films)), enrolled, count)


def _print(report: dict[str, Any]) -> None:
    for part in report["by_cores"]:
        _print_part(part, report["frames"])
    print(f"\na visit, {report['visits'][0]['frames']} frames, mean of a frame, one core")
    for visit in report["visits"]:
        name = f"{visit['who']}{', with liveness' if visit['liveness'] else ''}"
        _print_row(name, visit, visit["peer_ms"])
    print("\nmatch 100,000: beside it numpy's plain product")
    for stage in report["stages"]:
        if stage["name"].startswith("match 100,000"):
            _print_row(stage["name"], stage, stage["peer_ms"])
    large = report["gallery"]
    print(
        f"  a change at most {max(large['add_longest_ms'], large['remove_longest_ms'])} ms, then a search "
        f"{large['first_frame_after_changes_ms']} ms; bound anew {large['bound_anew_ms']} ms;"
        f" settling {large['settle_ms']} ms"
    )
    print(
        f"first good frame to decision {report['first_good_frame_to_decision_ms']} ms;"
        f" empty hall {report['idle_core_percent']} % of one core, without its camera"
        f" {report['idle_without_camera_percent']} %; memory {report['rss_mib']} MiB; {report['engine']}"
    )


def _print_part(part: dict[str, Any], frames: int) -> None:
    print(
        f"\n{part['cores']} core(s), milliseconds                      ours  fastest peer    ratio  of processor time"
    )
    for stage in part["stages"]:
        _print_row(stage["name"], stage, stage["peer_ms"])
    whole = part["frame_to_finding"]
    for name, suffix in _WHOLE:
        if f"ours{suffix}_ms" in whole:
            columns = ("ours{}_ms", "ratio{}", "processor_ratio{}")
            _print_row(name, {key.format(""): whole[key.format(suffix)] for key in columns}, whole["peer_ms"])
    for visit in part["visits"]:
        name = f"visit of a {visit['who']}{', with liveness' if visit['liveness'] else ''}"
        _print_row(name, visit, visit["peer_ms"])
    for peer in part["peers"]:
        print(f"{peer['ms'] or '-':>9} ms  {peer['peer']} (found the face in {peer['found_in']} of {frames})")


def _print_row(name: str, row: dict[str, Any], peer_ms: float | None) -> None:
    beside = ""
    if peer_ms is not None:
        processor = f"{row['processor_ratio']:10.1f}x" if "processor_ratio" in row else ""
        beside = f"{peer_ms:13.2f}   {row['ratio']:6.1f}x {processor}"
    print(f"{name:42} {row['ours_ms']:9.3f} {beside}")
