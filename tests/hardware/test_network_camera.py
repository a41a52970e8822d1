"""A network camera over a real RTSP conversation: pictures, a wrong password, a camera that goes or falls silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from rtsp_camera import PASSWORD, RtspCamera

from hardware import camera as camera_module
from hardware.camera import CameraSettings, CameraState, open_camera
from hardware.camera_sources import open_source
from hardware.errors import CameraError

PICTURE = np.zeros((240, 320, 3), np.uint8)
PICTURE[:, 160:] = (40, 120, 200)


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    made = RtspCamera(PICTURE)
    yield made
    made.stop()


def test_pictures_come_as_the_camera_sees_them(camera):
    with closing(open_source(CameraSettings(camera.url))) as source:
        image = source.grab()
    assert image is not None
    assert image.shape == PICTURE.shape
    assert np.abs(image[120, 240].astype(int) - (40, 120, 200)).max() < 12
    assert np.abs(image[120, 60].astype(int)).max() < 12


def test_a_wrong_password_is_told_without_the_right_or_the_wrong_one(camera):
    with pytest.raises(CameraError, match=r"//\*\*\*@127.0.0.1.*check the address, the password") as refusal:
        open_source(CameraSettings(camera.url.replace(PASSWORD, "guess3d")))
    assert "guess3d" not in str(refusal.value)


def test_a_camera_that_goes_away_and_comes_back_is_seen_again(camera, monkeypatch):
    monkeypatch.setattr(camera_module, "REOPEN_AFTER_S", 0.1)
    with closing(open_camera(CameraSettings(camera.url))) as watched:
        assert watched.read(10.0) is not None
        camera.hang.set()
        until(lambda: watched.state is CameraState.STALLED)
        camera.hang.clear()
        until(lambda: watched.state is CameraState.OK)


def until(true) -> None:
    deadline_s = time.monotonic() + 20.0
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
