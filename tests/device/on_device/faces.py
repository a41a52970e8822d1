"""The whole face path on the machine that runs this: enrol from pictures, watch frames, say what was found.

python faces.py FOLDER: `pictures/` of the resident, `frames/` ten a second, `weights/`. Prints one JSON object. The
same file runs on both machines that tests/device/arm64.py compares.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.core.recognition import replay
from agent.core.vision_messages import GalleryAdd, GalleryBegin, GalleryCommit, GalleryRow, Settings
from agent.vision.codes import Codes
from agent.vision.eyes import Eyes
from agent.vision.judge import Judge
from agent.vision.people import People
from models.arrays import Image
from models.embed import reference_chip
from models.enrol import enrol
from models.pipeline import Pipeline, PipelineSettings, load_pipeline

FRAME_S = 0.1


def main(folder: Path) -> None:
    """See the module."""
    pictures = [(path.name, _read(path)) for path in sorted((folder / "pictures").iterdir())]
    frames = [_read(path) for path in sorted((folder / "frames").iterdir())]
    best = PipelineSettings(weights_folder=folder / "weights", cache_folder=folder / "cache")
    fallback = PipelineSettings(None, folder / "cache", "hog", "dlib-resnet-8bit", "off")
    report = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "codes": Codes().available,
        "paths": [_path(best, pictures, frames), _path(fallback, pictures, [])],
    }
    print(json.dumps(report))  # noqa: T201  the answer


def _read(path: Path) -> Image:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def _path(settings: PipelineSettings, pictures: list[tuple[str, Image]], frames: list[Image]) -> dict[str, Any]:
    began_s = time.monotonic()
    pipeline = load_pipeline(settings)
    loaded_s = time.monotonic()
    templates = enrol(pipeline, pictures)
    enrolled_s = time.monotonic()
    people = People(pipeline)
    people.take(GalleryBegin(1, pipeline.embedder.model_id, pipeline.embedder.alignment_id))
    rows = [GalleryRow("resident", f"t{n}", one.vector.astype("<f4").tobytes()) for n, one in enumerate(templates)]
    people.take(GalleryAdd(tuple(rows)))
    people.take(GalleryCommit(1))
    return {
        "engine": pipeline.engine,
        "network": pipeline.embedder.embed(reference_chip(pipeline.embedder.alignment.side_px)[None])[0].tolist(),
        "templates": [one.vector.round(5).tolist() for one in templates],
        "findings": _watch(pipeline, people, frames),
        "load_s": round(loaded_s - began_s, 1),
        "enrol_s": round(enrolled_s - loaded_s, 1),
        "watch_s": round(time.monotonic() - enrolled_s, 1),
    }


def _watch(pipeline: Pipeline, people: People, frames: list[Image]) -> list[dict[str, Any]]:
    policy = "standard" if pipeline.liveness is not None else "convenience"
    eyes, judge = Eyes(pipeline.detector), Judge(pipeline, people, Settings(policy, 1.0, 20.0))
    found = []
    for number, frame in enumerate(frames):
        for track in eyes.look(frame, number * FRAME_S):
            finding = judge.judge(track, frame, number * FRAME_S, eyes.motion)
            if finding is not None:
                again = type(replay(finding.receipt)).__name__.lower()
                facts = {"verdict": finding.verdict.value, "person": finding.person_id, "replayed": again}
                found.append({**facts, "frames": finding.frames})
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
