from __future__ import annotations

from collections.abc import Callable
from functools import cache as remembered
from pathlib import Path

import numpy as np
import pytest

from agent.core.vision_messages import GalleryAdd, GalleryBegin, GalleryCommit, GalleryRow
from fixtures.pictures import PicturesMissingError
from fixtures.scenes import enrolment_pictures, scene
from models.arrays import Image
from models.enrol import enrol
from models.pipeline import Pipeline, PipelineSettings, load_pipeline


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def pipeline(cache: Path) -> Pipeline:
    """The best networks of this machine."""
    return load_pipeline(PipelineSettings(cache_folder=cache))


@pytest.fixture(scope="session")
def frames() -> Callable[[str], list[Image]]:
    """A scene's frames at 10 a second, drawn once a session."""

    @remembered
    def draw(name: str) -> list[Image]:
        try:
            return list(scene(name).frames(10))
        except PicturesMissingError as error:
            pytest.skip(str(error))

    return draw


@pytest.fixture(scope="session")
def resident(pipeline: Pipeline) -> tuple[GalleryRow, ...]:
    """Templates of the person in the scene resident_walks_up."""
    try:
        pictures = enrolment_pictures("resident")
    except PicturesMissingError as error:
        pytest.skip(str(error))
    templates = enrol(pipeline, [(str(number), picture) for number, picture in enumerate(pictures)])
    return tuple(
        GalleryRow("resident", f"t{number}", one.vector.astype("<f4").tobytes()) for number, one in enumerate(templates)
    )


@pytest.fixture
def roster(pipeline: Pipeline, resident: tuple[GalleryRow, ...]) -> list[GalleryBegin | GalleryAdd | GalleryCommit]:
    """The messages of a roster with the resident and twenty made-up others."""
    network = pipeline.embedder
    alike = 0.85 if network.same_person_similarity > 0.9 else 0.1  # usual cosine of two people (models/README.md)
    others = np.random.default_rng(4).normal(size=(20, network.dim)).astype("<f4")
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    others = alike * np.frombuffer(resident[0].vector, "<f4") + np.sqrt(1 - alike**2) * others
    others = (others / np.linalg.norm(others, axis=1, keepdims=True)).astype("<f4")
    rows = tuple(GalleryRow(f"other-{n}", f"o{n}", row.tobytes()) for n, row in enumerate(others))
    return [GalleryBegin(7, network.model_id, network.alignment_id), GalleryAdd((*resident, *rows)), GalleryCommit(7)]
