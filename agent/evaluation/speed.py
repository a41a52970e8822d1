"""How long a frame takes, here and the peers' ways: the same frames, one after the other, in one run."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import cv2
import numpy as np

from agent.core.recognition import Level
from agent.core.vision_messages import FindingKind, GalleryAdd, GalleryBegin, GalleryCommit, GalleryRow, Settings
from agent.evaluation.faces import progress
from agent.vision_eyes import Eyes
from agent.vision_judge import Judge
from agent.vision_people import People
from models.align import ALIGNMENTS, chip
from models.arrays import Image
from models.detect import Detection, follow
from models.embed import OnnxEmbedder
from models.enrol import enrol
from models.errors import ModelFileError
from models.gallery import Gallery
from models.loaders import load_embedder
from models.manifest import entry
from models.pipeline import Pipeline, PipelineSettings, load_pipeline
from models.quality import assess
from models.reference import PEERS, UsualRecipe
from models.store import Store

T = TypeVar("T")
ENROLLED: Final = 1000
FRAME_S: Final = 0.1
_OFTEN: Final = 0.5  # a peer that finds the face in fewer frames than this is not compared with
_IDLE_FRAMES: Final = 200
_WARM: Final = 20
_DLIB: Final = "dlib-resnet-8bit"
_STAGES: Final = ("detect", "follow", "quality", "liveness", "align and embed", "match 1,000", "dlib's network")


@dataclass(slots=True)
class Times:
    """Milliseconds of each stage, frame by frame."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def take(self, stage: str, work: Callable[[], T]) -> T:
        """Do it and remember how long it took."""
        began_s = time.perf_counter()
        result = work()
        self.of.setdefault(stage, []).append((time.perf_counter() - began_s) * 1000)
        return result

    def median(self, stage: str) -> float:
        """0.0 for a stage that never ran."""
        return statistics.median(self.of[stage]) if stage in self.of else 0.0


@dataclass(slots=True)
class _Peer:
    recipe: UsualRecipe
    times: Times = field(default_factory=Times)
    frames: int = 0

    def see(self, frame: Image) -> None:
        """The whole recipe; frames in which it finds nobody cost it nothing in the end."""
        times = Times()
        prepared = times.take("detect", lambda: self.recipe.prepared(frame))
        boxes = times.take("detect", lambda: self.recipe.locate(prepared))
        if not boxes:
            return
        codes = times.take("align and embed", lambda: self.recipe.encode(prepared, boxes[:1]))
        times.take("match 1,000", lambda: self.recipe.match(codes[0]))
        self.frames += 1
        for stage, spent_ms in times.of.items():
            self.times.of.setdefault(stage, []).append(sum(spent_ms))

    @property
    def whole_ms(self) -> float:
        return sum(self.times.median(stage) for stage in self.times.of)


def bench(frames: Sequence[Image], empty: Sequence[Image], pictures: Sequence[Image], count: int) -> dict[str, Any]:
    """The report of `door-agent bench faces`.

    `frames` uint8[720, 1280, 3]: somebody walks up, ten a second; the last `count` with a face are timed. `empty`: the
    hall without anybody. `pictures`: of the same person, to enrol.
    """
    pipeline = load_pipeline(PipelineSettings())
    decided_ms = first_frame_to_decision_ms(pipeline, frames, pictures)
    idle = idle_core_percent(pipeline, empty)
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - _held_mib(frames, empty, pictures)
    peers = [_Peer(UsualRecipe(recipe)) for recipe in PEERS]
    for peer in peers:
        peer.recipe.know(ENROLLED)
    ours = Times()
    gallery = _gallery(pipeline)
    with_face = [frame for frame in frames if pipeline.detector.detect(frame)][-count:]
    _both_networks(ours, peers[0].recipe, with_face)
    last: Detection | None = None
    for number, frame in enumerate(with_face, 1):
        last = _ours(ours, pipeline, gallery, frame, last)
        for peer in peers:
            peer.see(frame)
        progress(f"{number} of {len(with_face)} frames")
    fastest = _fastest(peers, len(with_face))
    return {
        "engine": pipeline.engine,
        "frames": len(with_face),
        "enrolled": ENROLLED,
        "stages": [_stage(name, ours, fastest) for name in _STAGES if name in ours.of],
        "frame_to_finding": _whole(ours, fastest),
        "peers": [
            {"peer": peer.recipe.recipe.name, "ms": round(peer.whole_ms, 1), "found_in": peer.frames} for peer in peers
        ],
        "first_good_frame_to_decision_ms": decided_ms,
        "idle_core_percent": idle,
        "rss_mib": rss_mib,
    }


def _held_mib(*films: Sequence[Image]) -> int:
    """What the bench itself keeps in memory: a door holds one picture, not a film."""
    return sum(frame.nbytes for film in films for frame in film) // 2**20


def _gallery(pipeline: Pipeline) -> Gallery:
    people = People(pipeline)
    _enrol(people, pipeline, ())
    return people.gallery


def _enrol(people: People, pipeline: Pipeline, pictures: Sequence[Image]) -> None:
    """The person on the pictures, and made-up others until the roster is full."""
    net = pipeline.embedder
    own = enrol(pipeline, [(str(number), picture) for number, picture in enumerate(pictures)]) if pictures else ()
    rows = np.random.default_rng(0).normal(size=(ENROLLED - 1, net.dim)).astype("<f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = [GalleryRow("resident", f"r{n}", one.vector.astype("<f4").tobytes()) for n, one in enumerate(own)]
    others = [GalleryRow(f"p{number}", f"t{number}", row.tobytes()) for number, row in enumerate(rows)]
    people.take(GalleryBegin(1, net.model_id, net.alignment_id))
    people.take(GalleryAdd((*known, *others)))
    people.take(GalleryCommit(1))


def _ours(times: Times, pipeline: Pipeline, gallery: Gallery, frame: Image, last: Detection | None) -> Detection:
    found = times.take("detect", lambda: pipeline.detector.detect(frame))
    face = max(found, key=lambda one: one.width_px)
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
    """The network of dlib on the same chips: in ONNX Runtime with 8 bits, and in dlib's own wheel."""
    try:
        net = load_embedder(Store(None, None), entry(_DLIB))
    except ModelFileError:
        return
    assert isinstance(net, OnnxEmbedder)  # noqa: S101  what the loader of this entry makes
    passes = 2 if entry(_DLIB).mirror else 1
    for frame in frames[:_WARM]:
        side = ALIGNMENTS["dlib-150"].side_px
        one = chip(frame, ALIGNMENTS["dlib-150"].points * side, ALIGNMENTS["dlib-150"])
        times.take("dlib's network", lambda: net.embed(one[None]))  # noqa: B023  called at once
        times.take("dlib's network, its wheel", lambda: peer.network(np.ascontiguousarray(one[..., ::-1])))  # noqa: B023
    times.of["dlib's network"] = [spent_ms / passes for spent_ms in times.of["dlib's network"]]


def _fastest(peers: Sequence[_Peer], frames: int) -> _Peer:
    able = [peer for peer in peers if peer.frames >= _OFTEN * frames]
    if not able:
        raise ModelFileError("no peer finds the face in these frames: nothing to compare with")
    return min(able, key=lambda peer: peer.whole_ms)


def _stage(name: str, ours: Times, fastest: _Peer) -> dict[str, Any]:
    peer_ms = fastest.times.median(name) or ours.median(f"{name}, its wheel") or None
    return {
        "name": name,
        "ours_ms": round(ours.median(name), 3),
        "peer_ms": round(peer_ms, 2) if peer_ms else None,
        "ratio": round(peer_ms / ours.median(name), 1) if peer_ms else None,
    }


def _whole(ours: Times, fastest: _Peer) -> dict[str, Any]:
    after_ms = sum(ours.median(name) for name in ("quality", "align and embed", "match 1,000"))
    ours_ms, following_ms = ours.median("detect") + after_ms, ours.median("follow") + after_ms
    live_ms, peer_ms = ours_ms + ours.median("liveness"), fastest.whole_ms
    return {
        "ours_ms": round(ours_ms, 2),
        "ours_following_ms": round(following_ms, 2),
        "ours_with_liveness_ms": round(live_ms, 2),
        "peer_ms": round(peer_ms, 1),
        "ratio": round(peer_ms / ours_ms, 1),
        "ratio_following": round(peer_ms / following_ms, 1),
        "ratio_with_liveness": round(peer_ms / live_ms, 1),
        "peer": f"the fastest: {fastest.recipe.recipe.name}; dlib from its wheel; no peer has liveness",
    }


def first_frame_to_decision_ms(pipeline: Pipeline, frames: Sequence[Image], pictures: Sequence[Image]) -> float | None:
    """From the first usable frame to the verdict at ten frames a second, with the time that the last frame took."""
    people = People(pipeline)
    _enrol(people, pipeline, pictures)
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
