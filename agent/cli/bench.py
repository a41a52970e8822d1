"""door-agent bench: faces and codes against the usual recipes; openings: every way in, in one table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.common import add_command, print_json

_FEWEST = 3


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers, "bench", "Time faces, codes and whole openings, with the usual recipes beside.", config=False
    )
    parser.add_argument(
        "what",
        choices=("faces", "codes", "openings"),
        help="faces: frames of the walk-up scene; codes: photographs in DATA/qr, a phone held up; openings: a whole "
        "simulated door, face, phone and order from afar, server reachable and not",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="codes: folder with qr/ (default %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=6, help="openings: of each way (default 6)")
    parser.add_argument("--frames", type=int, default=20, help="frames with a face (default 20)")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1, help="processor cores both ways may use")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 6 no face models; 1 the scene's portraits cannot be had or a folder is missing; 8 no broker."""
    if arguments.what == "openings":
        from agent.cli import bench_openings

        return _told(bench_openings.measure(max(1, arguments.rounds)), bench_openings.show, as_json=arguments.json)
    if arguments.what == "codes":
        from agent.cli import bench_codes
        from agent.evaluation import codes

        return _told(codes.measure(arguments.data / "qr"), bench_codes.show, as_json=arguments.json)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[: arguments.cores]))
    try:
        report = _bench(max(_FEWEST, arguments.frames)) | {"cores": min(arguments.cores, len(allowed))}
    finally:
        os.sched_setaffinity(0, allowed)
    return _told(report, _print, as_json=arguments.json)


def _told(report: dict[str, Any], show: Callable[[dict[str, Any]], None], *, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        show(report)
    return 0


def _bench(count: int) -> dict[str, Any]:
    from agent.errors import DoorAgentError
    from agent.evaluation.speed import bench, decoded
    from fixtures.pictures import PicturesMissingError
    from fixtures.player import film, pictures
    from fixtures.scenes import enrolment_pictures

    try:
        films = [film(name, 10.0) for name in ("resident_walks_up", "empty")]
        enrolled = enrolment_pictures("resident")
    except PicturesMissingError as e:
        raise DoorAgentError(str(e)) from e
    walk_up, empty = (decoded(list(pictures(path))) for path in films)
    return bench(walk_up, empty, enrolled, count)


def _print(report: dict[str, Any]) -> None:
    print(f"{'milliseconds':16} {'ours':>9} {'fastest peer':>13}")
    for stage in report["stages"]:
        peer = f"{stage['peer_ms']:13.2f}   {stage['ratio']:6.1f}x" if stage["peer_ms"] is not None else ""
        print(f"{stage['name']:16} {stage['ours_ms']:9.3f} {peer}")
    whole = report["frame_to_finding"]
    print(f"{'whole frame':16} {whole['ours_ms']:9.2f} {whole['peer_ms']:13.2f}   {whole['ratio']:6.1f}x")
    print(f"{'following':16} {whole['ours_following_ms']:9.2f} {'':13}   {whole['ratio_following']:6.1f}x")
    print(f"{'with liveness':16} {whole['ours_with_liveness_ms']:9.2f} {'':13}   {whole['ratio_with_liveness']:6.1f}x")
    for peer in report["peers"]:
        print(f"{peer['ms']:9.1f} ms  {peer['peer']} (found the face in {peer['found_in']} of {report['frames']})")
    print(
        f"first good frame to decision {report['first_good_frame_to_decision_ms']} ms;"
        f" empty hall {report['idle_core_percent']} % of one core; memory {report['rss_mib']} MiB;"
        f" {report['cores']} core(s); {report['engine']}"
    )
