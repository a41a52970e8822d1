from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.pictures import PicturesMissingError, portrait
from models.arrays import Image
from models.manifest import entry
from models.pipeline import Pipeline, PipelineSettings, load_pipeline
from models.store import Store

SHARED = Path(os.environ.get("DOOR_AGENT_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def better(cache: Path) -> Pipeline:
    """YuNet, reid0095 and MiniFASNet, where their files are on this machine."""
    store = Store(cache_folder=cache)
    absent = [name for name in ("yunet", "reid0095", "minifasnet") if store.status(entry(name)).state != "ready"]
    if absent:
        pytest.skip(f"weight files of {', '.join(absent)} are not on this machine (door-agent models pull)")
    return load_pipeline(PipelineSettings(cache_folder=cache))


@pytest.fixture(scope="session")
def fallback(cache: Path) -> Pipeline:
    """What any machine has: HOG and dlib's network in 8 bits."""
    return load_pipeline(
        PipelineSettings(cache_folder=cache, detector="hog", embedder="dlib-resnet-8bit", liveness="off")
    )


@pytest.fixture(scope="session")
def picture() -> Callable[[str], Image]:
    """Portraits by name, placed on a gray 960x720 frame as a camera at a door would see them."""

    def place(name: str) -> Image:
        try:
            face = portrait(name)
        except PicturesMissingError as error:
            pytest.skip(str(error))
        frame = np.full((720, 960, 3), 120, np.uint8)
        frame[40 : 40 + face.shape[0], 200 : 200 + face.shape[1]] = face
        return frame

    return place


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no measuring data in {SHARED}")
    return SHARED / "data"


@pytest.fixture(params=["better", "fallback"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """Each test with both sets of networks."""
    found: Pipeline = request.getfixturevalue(request.param)
    return found
