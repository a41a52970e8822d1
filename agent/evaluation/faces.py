"""Pictures -> what the product sees in them: size, quality, vector, liveness; kept on disk for the next run."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

import models
from models.arrays import Floats, Image
from models.detect import Detection, carefully, precise
from models.pipeline import Pipeline
from models.quality import assess
from models.store import default_cache_folder

_SOURCES: Final = ("align", "detect", "detect_hog", "embed", "fusion", "light", "liveness", "quality", "scale")
FLAWS: Final = (None, "small", "blurred", "turned", "dark", "covered", "backlit", "glaring")
_PATCH_BORDER: Final = 0.3  # of a tightly cut picture, added on each side so that the detector sees a whole head
_SAY_EVERY_S: Final = 2.0
_STAGES: Final = ("read", "detect", "near look", "quality", "liveness", "embed")


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """One row a picture, its chosen face; `width_px` 0 where none was found.

    `vector` float32[n, dim] (models/scale.py), `quality` 0..1, `flaw` an index (see flaw_word), `liveness` 0..1 or NaN,
    `others` how many more faces are in the picture, `stage_ms` float32[n, stages].
    """

    vector: Floats
    width_px: Floats
    quality: Floats
    flaw: NDArray[np.int8]
    liveness: Floats
    others: NDArray[np.int16]
    stage_ms: Floats

    @property
    def found(self) -> NDArray[np.bool_]:
        """Rows with a face."""
        return np.asarray(self.width_px > 0, np.bool_)

    def flaw_word(self, row: int) -> str | None:
        """Why the face of this row cannot be used, or None."""
        return FLAWS[int(self.flaw[row])]


Choose = Callable[[list[Detection], Image], Detection]


def largest(found: list[Detection], _image: Image) -> Detection:
    """The nearest face, as at a door."""
    return found[0]


def central(found: list[Detection], image: Image) -> Detection:
    """The face in the middle: LFW's pictures are cut around the person they are named after."""
    height, width = image.shape[:2]

    def off_centre(one: Detection) -> float:
        x, y, box_width, box_height = one.box_px
        return float(np.hypot(x + box_width / 2 - width / 2, y + box_height / 2 - height / 2))

    return min(found, key=off_centre)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a set is looked at. `still`: with the care a single picture gets, else like a frame of a video.

    `border`: the pictures are cut so tightly that the detector needs some room around them.
    """

    choose: Choose
    still: bool = True
    liveness: bool = False
    border: bool = False


def look(pipeline: Pipeline, paths: Sequence[Path], *, name: str, manner: Manner) -> Faces:
    """What the pipeline sees in each picture; from the cache where picture, engine and code are the same."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:24] for path in paths]
    cache = _cache_file(pipeline, f"{name}-{manner.choose.__name__}")
    kept = _load(cache)
    fresh = {digest: path for digest, path in zip(digests, paths, strict=True) if digest not in kept}
    started_s = said_s = time.monotonic()
    for number, (digest, path) in enumerate(fresh.items(), 1):
        kept[digest] = _row(pipeline, path, manner)
        if time.monotonic() - said_s > _SAY_EVERY_S or number == len(fresh):
            said_s = time.monotonic()
            progress(f"{name}: {number} of {len(fresh)} pictures, {said_s - started_s:.0f} s")
    if fresh:
        _save(cache, kept)
    return _table([kept[digest] for digest in digests], pipeline.embedder.dim)


def progress(words: str) -> None:
    """One line for a person who waits; standard output stays free for results."""
    print(words, file=sys.stderr, flush=True)  # noqa: T201  progress of a command


def stage_medians_ms(tables: Sequence[Faces]) -> dict[str, float]:
    """Median time of each stage over all pictures with a face, as they were measured when each was looked at."""
    rows = np.concatenate([table.stage_ms[table.found] for table in tables])
    return {name: round(float(np.nanmedian(rows[:, at])), 2) for at, name in enumerate(_STAGES) if len(rows)}


Row = tuple[Floats, float, float, int, float, int, Floats]


def _row(pipeline: Pipeline, path: Path, manner: Manner) -> Row:
    clock = [time.perf_counter()]

    def lap() -> None:
        clock.append(time.perf_counter())

    image = np.asarray(cv2.imread(str(path)), np.uint8)
    if manner.border:
        edge = round(_PATCH_BORDER * image.shape[1])
        image = np.asarray(cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE), np.uint8)
    lap()
    found = pipeline.detector.detect(image)
    lap()
    if not found:
        return np.zeros(pipeline.embedder.dim, np.float32), 0.0, 0.0, 0, np.nan, 0, np.full(len(_STAGES), np.nan)
    again = carefully if manner.still else precise
    face = again(pipeline.detector, image, manner.choose(found, image))
    lap()
    quality = assess(image, face)
    lap()
    alive = pipeline.liveness.score(image, face) if manner.liveness and pipeline.liveness is not None else np.nan
    lap()
    vector = pipeline.embed_carefully(image, face) if manner.still else pipeline.embed(image, [face])[0]
    lap()
    stage_ms = np.diff(np.array(clock)).astype(np.float32) * 1000
    return vector, face.width_px, quality.value, FLAWS.index(quality.flaw), alive, len(found) - 1, stage_ms


def _table(rows: Sequence[Row], dim: int) -> Faces:
    kinds = (np.float32, np.float32, np.float32, np.int8, np.float32, np.int16, np.float32)
    shapes = ((0, dim), (0,), (0,), (0,), (0,), (0,), (0, len(_STAGES)))
    if not rows:
        return Faces(*(np.zeros(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)))
    return Faces(*(np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)))


def _cache_file(pipeline: Pipeline, name: str) -> Path:
    """Named after everything that could change a row: engine, weights' fingerprint, and the code of the stages."""
    folder = Path(models.__file__).parent
    code = b"".join((folder / f"{source}.py").read_bytes() for source in _SOURCES)
    blank = np.full((1, *2 * (pipeline.embedder.alignment.side_px,), 3), 127, np.uint8)
    facts = [
        pipeline.engine.encode(),
        code,
        Path(__file__).read_bytes(),
        pipeline.embedder.embed(blank).round(4).tobytes(),
    ]
    key = hashlib.sha256(b"|".join(facts)).hexdigest()[:16]
    return default_cache_folder() / "evaluation" / f"{name}-{pipeline.embedder.model_id}-{key}.npz"


def _load(path: Path) -> dict[str, Row]:
    try:
        with np.load(path) as kept:
            columns = [kept[one.name] for one in fields(Faces)]
            return dict(zip(kept["digest"].tolist(), zip(*columns, strict=True), strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def _save(path: Path, rows: dict[str, Row]) -> None:
    table = _table(list(rows.values()), len(next(iter(rows.values()))[0]))
    arrays = {one.name: getattr(table, one.name) for one in fields(Faces)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, digest=np.array(list(rows)), **arrays)
    temporary.replace(path)
