"""The parts of face recognition put together as the files on this machine allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np
import onnxruntime

from models.align import ALIGNMENTS, CUTS, chip
from models.arrays import Floats, Image
from models.detect import Detection, Detector
from models.embed import Embedder
from models.errors import ModelFileError
from models.fusion import mean_vector
from models.gallery import Gallery
from models.light import evenly_lit
from models.liveness import Liveness
from models.loaders import load_detector, load_embedder, load_liveness, model_id
from models.manifest import ModelEntry, Part, entry, known
from models.quality import LAYOUT, Quality
from models.store import Store

T = TypeVar("T")
_COSTS: Final[Mapping[Part, str]] = {
    "detector": "faces are found later and with more computing",
    "embedder": "the door stays as safe, but sends more residents to their phone",
    "liveness": "nothing tells a printed photograph from a face, so a face alone does not open",
}


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """`detector`, `embedder`: a manifest name or "auto"; `liveness`: a manifest name, "auto" or "off".

    `detect_width_px`: frames are reduced to this width before detection. 320 finds a face from about a twelfth of the
    frame's width on (models/README.md has the measurement).
    """

    weights_folder: Path | None = None
    cache_folder: Path | None = None
    detector: str = "auto"
    embedder: str = "auto"
    liveness: str = "auto"
    detect_width_px: int = 320


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What this machine recognises faces with. `missing`: what an installer could add to make it better, or None."""

    detector: Detector
    embedder: Embedder
    liveness: Liveness | None
    engine: str
    missing: str | None

    def gallery(self) -> Gallery:
        """An empty gallery for this embedder's vectors."""
        net = self.embedder
        return Gallery(model_id=net.model_id, alignment_id=net.alignment_id, dim=net.dim, scale=net.scale)

    def chips(self, image_bgr: Image, detections: list[Detection]) -> Image:
        """uint8[N, side, side, 3]: the faces as the embedder wants them."""
        alignment = self.embedder.alignment
        return np.stack([evenly_lit(chip(image_bgr, found.landmarks_px, alignment)) for found in detections])

    def embed(self, image_bgr: Image, detections: list[Detection]) -> Floats:
        """float32[N, dim], each of the length of its clarity, for at least one detection."""
        return self.embedder.embed(self.chips(image_bgr, detections))

    def embed_judged(self, image_bgr: Image, found: Detection, quality: Quality) -> Floats:
        """float32[dim]: `embed` of one face that was judged good; what was cut for that is not cut again."""
        if quality.upright is None or self.embedder.alignment_id != LAYOUT.alignment_id:
            return np.asarray(self.embed(image_bgr, [found])[0], np.float32)
        return np.asarray(self.embedder.embed(quality.upright[None])[0], np.float32)

    def embed_carefully(self, image_bgr: Image, found: Detection) -> Floats:
        """float32[dim]: a single picture of a face as the mean of five cuts, for five times the time."""
        alignment = self.embedder.alignment
        cuts = [evenly_lit(chip(image_bgr, found.landmarks_px, alignment, cut)) for cut in CUTS]
        return mean_vector(self.embedder.embed(np.stack(cuts)))


@dataclass(frozen=True, slots=True)
class ReadyNetwork:
    """An embedder whose files are on this machine: its manifest name, and the names that its templates carry."""

    name: str
    model_id: str
    alignment_id: str


def ready_networks(settings: PipelineSettings) -> tuple[ReadyNetwork, ...]:
    """Every embedder that the settings allow and whose files are here, best first. Reads and checks their files."""
    store = Store(settings.weights_folder, settings.cache_folder)
    return tuple(
        ReadyNetwork(one.name, model_id(one), ALIGNMENTS[one.alignment].alignment_id)
        for one in known()
        if one.part == "embedder" and settings.embedder in ("auto", one.name) and store.status(one).state == "ready"
    )


def with_embedder(pipeline: Pipeline, settings: PipelineSettings, name: str) -> Pipeline:
    """The same pipeline with another embedder. Raises ModelFileError where it does not load."""
    embedder = load_embedder(Store(settings.weights_folder, settings.cache_folder), entry(name))
    engine = _engine(pipeline.detector, embedder, pipeline.liveness)
    return replace(pipeline, embedder=embedder, engine=engine)


def load_pipeline(settings: PipelineSettings) -> Pipeline:
    """The best parts that are ready. Raises ModelFileError where nothing can detect or embed, naming the cure."""
    store = Store(settings.weights_folder, settings.cache_folder)
    troubles: dict[str, str] = {}
    detector = _first(
        store, "detector", settings.detector, troubles, partial(load_detector, width_px=settings.detect_width_px)
    )
    embedder = _first(store, "embedder", settings.embedder, troubles, load_embedder)
    if detector is None or embedder is None:
        without: Part = "detector" if detector is None else "embedder"
        faults = "; ".join(trouble for name, trouble in troubles.items() if entry(name).part == without)
        raise ModelFileError(f"this machine cannot recognise faces, it has no {without}: {faults}")
    liveness = None
    if settings.liveness != "off":
        liveness = _first(store, "liveness", settings.liveness, troubles, load_liveness)
    engine = _engine(detector, embedder, liveness)
    return Pipeline(detector, embedder, liveness, engine, _advice(store, troubles))


def _engine(detector: Detector, embedder: Embedder, liveness: Liveness | None) -> str:
    names = [detector.name, embedder.model_id, *([liveness.name] if liveness else [])]
    return f"{' + '.join(names)}; onnxruntime {onnxruntime.__version__}, opencv {cv2.__version__}, one thread"


def _first(
    store: Store, part: Part, wanted: str, troubles: dict[str, str], load: Callable[[Store, ModelEntry], T]
) -> T | None:
    """The best entry of a part that loads; what is wrong with better ones goes to `troubles`, by name."""
    if wanted != "auto":
        entry(wanted)  # an unknown name is told as such
    for one in known():
        if one.part != part or (wanted not in ("auto", one.name)):
            continue
        try:
            return load(store, one)
        except ModelFileError as error:
            if one.recommended or wanted == one.name:
                troubles[one.name] = str(error)
    return None


def _advice(store: Store, troubles: Mapping[str, str]) -> str | None:
    """What an installer reads: what the missing networks cost, and how to get them; then what is wrong with files."""
    absent = [one for one in known() if one.name in troubles and store.status(one).state == "missing"]
    lines = [trouble for name, trouble in troubles.items() if name not in {one.name for one in absent}]
    if absent:
        lines += [f"{one.name} is missing: {_COSTS[one.part]}" for one in absent]
        lines.append(
            "run `door-agent models pull`, or fetch the files on another machine (addresses: `door-agent models list`) "
            "and run `door-agent models add FOLDER`"
        )
    return "; ".join(lines) or None
