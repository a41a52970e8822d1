"""door-agent bench: this pipeline against the usual recipe, on the same frames, in one run, on one core."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from agent.cli.common import add_command, print_json

T = TypeVar("T")
_ENROLLED = 1000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "bench", "Time the face path against the usual recipe, in one run.", config=False)
    parser.add_argument("what", choices=("faces",), help="faces: 1280x720 frames of the walk-up scene, 1,000 enrolled")
    parser.add_argument("--frames", type=int, default=20, help="frames with a face (default 20)")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 6 no face models; 1 the scene's portraits cannot be had."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report = _bench(max(3, arguments.frames))
    if arguments.json:
        print_json(report)
        return 0
    for stage in report["stages"]:
        peer = f"{stage['peer_ms']:9.2f}   {stage['ratio']:6.1f}x" if stage["peer_ms"] is not None else ""
        print(f"{stage['name']:16} {stage['ours_ms']:9.3f} {peer}")
    whole = report["frame_to_finding"]
    print(f"{'whole frame':16} {whole['ours_ms']:9.2f} {whole['peer_ms']:9.2f}   {whole['ratio']:6.1f}x")
    print(f"{'following':16} {whole['ours_following_ms']:9.2f} {'':9}   {whole['ratio_following']:6.1f}x")
    print(
        f"empty hall: {report['idle_core_percent']} % of one core; memory {report['rss_mib']} MiB; {report['engine']}"
    )
    return 0


def _bench(count: int) -> dict[str, Any]:
    import numpy as np

    from models.arrays import Image
    from models.detect import follow
    from models.pipeline import PipelineSettings, load_pipeline
    from models.quality import assess
    from models.reference import UsualRecipe
    from models.template import Template

    pipeline, peer = load_pipeline(PipelineSettings()), UsualRecipe()
    frames: list[Image] = [f for f in _frames("resident_walks_up") if pipeline.detector.detect(f)][-count:]
    gallery, network = pipeline.gallery(), pipeline.embedder
    rows = np.random.default_rng(0).normal(size=(_ENROLLED, network.dim)).astype(np.float32)
    for number, row in enumerate(rows / np.linalg.norm(rows, axis=1, keepdims=True)):
        gallery.add(f"p{number}", Template(row, network.model_id, network.alignment_id))
    peer.know(_ENROLLED)
    times: dict[str, list[float]] = {}
    last = None
    for frame in frames:
        found = _timed(times, "detect", lambda: pipeline.detector.detect(frame))  # noqa: B023  called at once
        one = max(found, key=lambda face: face.width_px)
        if last is not None:
            _timed(times, "follow", partial(follow, pipeline.detector, frame, last))
        last = one
        _timed(times, "quality", lambda: assess(frame, one))  # noqa: B023
        if pipeline.liveness is not None:
            _timed(times, "liveness", lambda: pipeline.liveness and pipeline.liveness.score(frame, one))  # noqa: B023
        vector = _timed(times, "align and embed", lambda: pipeline.embed(frame, [one]))[0]  # noqa: B023
        _timed(times, "match 1,000", lambda: gallery.search(vector))  # noqa: B023
        boxes = _timed(times, "peer detect", lambda: peer.locate(frame))  # noqa: B023
        if boxes:
            codes = _timed(times, "peer align and embed", lambda: peer.encode(frame, boxes[:1]))  # noqa: B023
            _timed(times, "peer match 1,000", lambda: peer.match(codes[0]))  # noqa: B023
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "engine": pipeline.engine,
        "frames": len(frames),
        "enrolled": _ENROLLED,
        "stages": _stages(medians),
        "frame_to_finding": _whole(medians),
        "idle_core_percent": _idle(_frames("empty")),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _stages(medians: dict[str, float]) -> list[dict[str, Any]]:
    stages = []
    for name, ours_ms in medians.items():
        if not name.startswith("peer "):
            peer_ms = medians.get(f"peer {name}")
            ratio = round(peer_ms / ours_ms, 1) if peer_ms else None
            rounded = None if peer_ms is None else round(peer_ms, 2)
            stages.append({"name": name, "ours_ms": round(ours_ms, 3), "peer_ms": rounded, "ratio": ratio})
    return stages


def _whole(medians: dict[str, float]) -> dict[str, Any]:
    after_ms = sum(medians.get(name, 0.0) for name in ("quality", "align and embed", "match 1,000"))
    live_ms = medians.get("liveness", 0.0)
    ours_ms, following_ms = medians["detect"] + after_ms, medians["follow"] + after_ms
    peer_ms = sum(ms for name, ms in medians.items() if name.startswith("peer "))
    return {
        "ours_ms": round(ours_ms, 2),
        "ours_following_ms": round(following_ms, 2),
        "ours_with_liveness_ms": round(ours_ms + live_ms, 2),
        "peer_ms": round(peer_ms, 1),
        "ratio": round(peer_ms / ours_ms, 1),
        "ratio_following": round(peer_ms / following_ms, 1),
        "ratio_with_liveness": round(peer_ms / (ours_ms + live_ms), 1),
        "peer": "face_recognition as in its examples: HOG, upsampled once, compare_faces at 0.6; it has no liveness",
    }


def _idle(frames: list[Any]) -> float:
    """Percent of one core that an empty hall costs at 10 frames a second."""
    from agent.vision_eyes import Eyes
    from models.pipeline import PipelineSettings, load_pipeline

    eyes = Eyes(load_pipeline(PipelineSettings()).detector)
    spent: list[float] = []
    for number, frame in enumerate((frames * 20)[:200]):
        began_s = time.thread_time()
        eyes.look(frame, number / 10)
        spent.append(time.thread_time() - began_s)
    return round(100 * sum(spent[20:]) / (len(spent[20:]) / 10), 1)


def _frames(name: str) -> list[Any]:
    import cv2
    import numpy as np

    from agent.errors import DoorAgentError
    from fixtures.pictures import PicturesMissingError
    from fixtures.player import film, pictures

    try:
        path = film(name, 10.0)
    except PicturesMissingError as e:
        raise DoorAgentError(str(e)) from e
    return [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in pictures(path)]


def _timed(times: dict[str, list[float]], name: str, work: Callable[[], T]) -> T:
    began_s = time.perf_counter()
    result = work()
    times.setdefault(name, []).append((time.perf_counter() - began_s) * 1000)
    return result
