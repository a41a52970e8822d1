"""How long a frame takes, here and the peers' ways: the same frames, one after the other, in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from agent.core.recognition import Level
from agent.core.vision_messages import FindingKind, GalleryAdd, GalleryBegin, GalleryCommit, GalleryRow, Settings
from agent.evaluation.at_rest import at_rest
from agent.evaluation.faces import progress
from agent.evaluation.gallery_speed import gallery_speed
from agent.evaluation.timing import Peer, Times, beside, fastest_of
from agent.evaluation.visit_speed import visit_speed
from agent.evaluation.whole_frame import FRAME_S, ways
from agent.vision.eyes import Eyes
from agent.vision.judge import Judge
from agent.vision.people import People
from models.align import ALIGNMENTS, chip
from models.arrays import Image
from models.detect import Detection, follow, precise
from models.enrol import enrol
from models.errors import ModelFileError
from models.gallery import Gallery
from models.loaders import load_embedder
from models.manifest import entry
from models.pipeline import Pipeline, PipelineSettings, load_pipeline
from models.quality import assess
from models.reference import PEERS, UsualRecipe
from models.store import Store

ENROLLED: Final = 1000
_IDLE_FRAMES: Final = 200
_WARM: Final = 20
_WAYS: Final = {
    "first look, plain": "",
    "following, plain": "_following",
    "first look, with_liveness": "_with_liveness",
    "following, with_liveness": "_following_with_liveness",
}
_DLIB: Final = "dlib-resnet-8bit"
_NETWORK: Final = "dlib's network"
_MIRRORED: Final = "dlib's network, mirrored as a door uses it"
_WHEEL: Final = "dlib's network, its wheel"
_STAGES: Final = (
    "detect",
    "near look",
    "follow",
    "quality",
    "liveness",
    "align and embed",
    "match 1,000",
    _NETWORK,
    _MIRRORED,
)


@dataclass(frozen=True, slots=True)
class Films:
    """JPEG pictures 1280x720, ten a second: somebody walks up; the hall without anybody."""

    walk_up: Sequence[bytes]
    empty: Sequence[bytes]


def bench(films: Films, pictures: Sequence[Image], count: int) -> dict[str, Any]:
    """The report of `door-agent bench faces`; the last `count` frames with a face are timed.

    `pictures`: of the same person, to enrol. The top level has the figures of one core; `by_cores` those of two
    as well where the machine has two.
    """
    cv2.setNumThreads(1)  # as the vision process does
    pipeline = load_pipeline(PipelineSettings())
    resting = at_rest(enrolled_rows(pipeline, pictures), films.empty, films.walk_up)
    frames = decoded(films.walk_up)
    decided_ms = first_frame_to_decision_ms(pipeline, frames, pictures)
    with_face = [frame for frame in frames if pipeline.detector.detect(frame)][-count:]
    allowed = sorted(os.sched_getaffinity(0))
    try:
        compared = [_on_cores(pipeline, with_face, allowed[:cores]) for cores in (1, 2) if cores <= len(allowed)]
        progress("a whole visit")
        _pin(allowed[:1])
        one, fastest = compared[0]
        visits = visit_speed(pipeline, frames, (_people(pipeline, pictures), _people(pipeline)), fastest, count)
    finally:
        _pin(allowed)
    progress("a gallery of 100,000")
    large = gallery_speed(pipeline)
    return {
        "engine": pipeline.engine,
        "frames": len(with_face),
        "enrolled": ENROLLED,
        "stages": [*one["stages"], *large.pop("stages")],
        "frame_to_finding": one["frame_to_finding"],
        "visits": visits,
        "peers": one["peers"],
        "by_cores": [part for part, _ in compared],
        "gallery": large,
        "first_good_frame_to_decision_ms": decided_ms,
        "idle_without_camera_percent": idle_core_percent(pipeline, decoded(films.empty)),
        **resting,
    }


def _on_cores(pipeline: Pipeline, frames: Sequence[Image], cores: Sequence[int]) -> tuple[dict[str, Any], UsualRecipe]:
    """Both ways on the same frames in turns, with this process held to these processor cores; the fastest peer."""
    _pin(cores)
    peers = [Peer(UsualRecipe(recipe)) for recipe in PEERS]
    for peer in peers:
        peer.recipe.know(ENROLLED)
    ours, people = Times(), _people(pipeline)
    _both_networks(ours, peers[0].recipe, frames)
    whole = ways(pipeline, people)
    last: Detection | None = None
    for number, frame in enumerate(frames):
        last = _ours(ours, pipeline, people.gallery, frame, last)
        for name, way in whole.items():
            ours.keep(f"first look, {name}", way.first_look(frame))
            following = way.following(frame, number)
            ours.keep(f"following, {name}", following if number else None)  # the first one is a first look
        for peer in peers:
            peer.see(frame)
        progress(f"{len(cores)} core(s): {number + 1} of {len(frames)} frames")
    fastest = fastest_of(peers, len(frames))
    report = {
        "cores": len(cores),
        "stages": [_stage(name, ours, fastest) for name in _STAGES if name in ours.of],
        "frame_to_finding": _whole(ours, fastest),
        "peers": [{"peer": peer.recipe.recipe.name, **_of_peer(peer), "found_in": peer.frames} for peer in peers],
    }
    return report, fastest.recipe


def _pin(cores: Sequence[int]) -> None:
    """Every thread of this process to these cores."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # one that ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)


def _people(pipeline: Pipeline, pictures: Sequence[Image] = ()) -> People:
    """The person on the pictures, and made-up others until the roster is full."""
    people, net = People(pipeline), pipeline.embedder
    people.take(GalleryBegin(1, net.model_id, net.alignment_id))
    people.take(GalleryAdd(enrolled_rows(pipeline, pictures)))
    people.take(GalleryCommit(1))
    return people


def enrolled_rows(pipeline: Pipeline, pictures: Sequence[Image] = ()) -> tuple[GalleryRow, ...]:
    """Templates of the person on the pictures, and of made-up others, together ENROLLED people."""
    net = pipeline.embedder
    own = enrol(pipeline, [(str(number), picture) for number, picture in enumerate(pictures)]) if pictures else ()
    rows = np.random.default_rng(0).normal(size=(ENROLLED - 1, net.dim)).astype("<f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = [GalleryRow("resident", f"r{n}", one.vector.astype("<f4").tobytes()) for n, one in enumerate(own)]
    others = [GalleryRow(f"p{number}", f"t{number}", row.tobytes()) for number, row in enumerate(rows)]
    return (*known, *others)


def _ours(times: Times, pipeline: Pipeline, gallery: Gallery, frame: Image, last: Detection | None) -> Detection:
    found = times.take("detect", lambda: pipeline.detector.detect(frame))
    largest = max(found, key=lambda one: one.width_px)
    face = times.take("near look", lambda: precise(pipeline.detector, frame, largest))
    if last is not None:
        times.take("follow", lambda: follow(pipeline.detector, frame, last))
    times.take("quality", lambda: assess(frame, face))
    if pipeline.liveness is not None:
        liveness = pipeline.liveness
        times.take("liveness", lambda: liveness.score(frame, face))
    vector = times.take("align and embed", lambda: pipeline.embed(frame, [face]))[0]
    times.take("match 1,000", lambda: gallery.search(vector))
    return face


def _both_networks(times: Times, peer: UsualRecipe, frames: Sequence[Image]) -> None:
    """The network of dlib on the same chips: in ONNX Runtime with 8 bits, and in dlib's own wheel.

    Once as it is, once as the door uses it, as the mean of a face and its mirror image.
    """
    try:
        net = load_embedder(Store(None, None), replace(entry(_DLIB), mirror=False, reference=()))
        mirrored = load_embedder(Store(None, None), entry(_DLIB))
    except ModelFileError:
        return
    for frame in frames[:_WARM]:
        side = ALIGNMENTS["dlib-150"].side_px
        one = chip(frame, ALIGNMENTS["dlib-150"].points * side, ALIGNMENTS["dlib-150"])
        times.take(_NETWORK, lambda: net.embed(one[None]))  # noqa: B023  called at once
        times.take(_MIRRORED, lambda: mirrored.embed(one[None]))  # noqa: B023
        times.take(_WHEEL, lambda: peer.network(np.ascontiguousarray(one[..., ::-1])))  # noqa: B023


def _stage(name: str, ours: Times, fastest: Peer) -> dict[str, Any]:
    spent = ours.median(name)
    peer = ours.median(_WHEEL) if name.startswith(_NETWORK) else fastest.times.median(name)
    assert spent is not None  # noqa: S101  only stages that ran are asked for
    return {"name": name, "peer_ms": round(peer.clock_ms, 2) if peer else None, **beside(spent, peer)}


def _whole(ours: Times, fastest: Peer) -> dict[str, Any]:
    """Timed from outside, not summed: the picture goes in, what is found out about it comes out."""
    report: dict[str, Any] = {
        "peer_ms": round(fastest.whole.clock_ms, 1),
        "peer_processor_ms": round(fastest.whole.processor_ms, 1),
        "peer": f"the fastest: {fastest.recipe.recipe.name}; dlib from its wheel; no peer has liveness",
    }
    for name, suffix in _WAYS.items():
        spent = ours.median(name)
        report |= beside(spent, fastest.whole, suffix) if spent else {}
    return report


def _of_peer(peer: Peer) -> dict[str, float | None]:
    found = peer.frames > 0
    return {
        "ms": round(peer.whole.clock_ms, 1) if found else None,
        "processor_ms": round(peer.whole.processor_ms, 1) if found else None,
    }


def first_frame_to_decision_ms(pipeline: Pipeline, frames: Sequence[Image], pictures: Sequence[Image]) -> float | None:
    """From the first usable frame to the verdict at ten frames a second, with the time that the last frame took."""
    people = _people(pipeline, pictures)
    level = Level.CONVENIENCE if pipeline.liveness is None else Level.STANDARD
    judge, eyes = Judge(pipeline, people, Settings(str(level), 1.0, 20.0)), Eyes(pipeline.detector)
    for number, frame in enumerate(frames):
        at_s, began_s = number * FRAME_S, time.perf_counter()
        for track in eyes.look(frame, at_s):
            finding = judge.judge(track, frame, at_s, eyes.motion)
            if finding is not None and finding.verdict is FindingKind.RECOGNISED:
                waited_s = at_s - _first_good_s(finding.receipt)
                return round(1000 * (waited_s + time.perf_counter() - began_s), 1)
    return None


def _first_good_s(receipt: Any) -> float:  # noqa: ANN401  JSON-shaped
    """When the first frame of the run that decided was seen."""
    rows = [dict(zip(receipt["columns"], row, strict=True)) for row in receipt["frames"]]
    usable = [row for row in rows if row["flaw"] is None]
    return float(usable[-usable[-1]["fused_frames"]]["at_s"])


def idle_core_percent(pipeline: Pipeline, empty: Sequence[Image]) -> float:
    """Percent of one core that an empty hall costs at ten frames a second."""
    eyes, spent_s = Eyes(pipeline.detector), []
    for number in range(_IDLE_FRAMES):
        began_s = time.thread_time()
        eyes.look(empty[number % len(empty)], number * FRAME_S)
        spent_s.append(time.thread_time() - began_s)
    return round(100 * sum(spent_s[_WARM:]) / (len(spent_s[_WARM:]) * FRAME_S), 1)


def decoded(jpegs: Sequence[bytes]) -> list[Image]:
    """uint8[H, W, 3] of each."""
    found = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs]
    return [np.asarray(image, np.uint8) for image in found if image is not None]
