"""Cameras: the latest picture wins, no caller ever hangs, and each failure says what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware import camera as camera_module
from hardware.camera import Camera, CameraSettings, CameraState, open_camera, take_picture
from hardware.camera_sources import Film, Still, open_source
from hardware.errors import CameraError, SettingsError

WIDTH, HEIGHT = 128, 96


def until(true: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)


def picture(value: int) -> np.ndarray:
    made = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    made[:, ::32] = 255 - value
    return made


def replace(path: Path, image: np.ndarray) -> None:
    beside = path.with_suffix(".new.jpg")
    cv2.imwrite(str(beside), image)
    beside.replace(path)


@pytest.fixture
def opened() -> Iterator[Callable[..., Camera]]:
    made: list[Camera] = []

    def opener(source: str, **more: object) -> Camera:
        made.append(open_camera(CameraSettings(source, WIDTH, HEIGHT, 20), **more))
        return made[-1]

    yield opener
    for each in made:
        each.close()


class Scripted:
    """A source that gives what the test puts into it, and can hang like a broken driver."""

    def __init__(self) -> None:
        self.images: list[np.ndarray | Exception] = []
        self.hang = threading.Event()
        self.go_on = threading.Event()
        self.closed = 0

    def grab(self) -> np.ndarray | None:
        if self.hang.is_set():
            self.go_on.wait(30)
            return None
        if not self.images:
            time.sleep(0.002)
            return None
        match self.images.pop(0):
            case Exception() as error:
                raise error
            case image:
                return image

    def close(self) -> None:
        self.closed += 1


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.alone
def test_a_replaced_picture_is_seen_within_50_ms_and_given_once(tmp_path, opened):
    path = tmp_path / "latest.jpg"
    replace(path, picture(60))
    camera = opened(f"still:{path}")
    first = camera.read(5.0)
    assert first is not None
    assert first.image_bgr.shape == (HEIGHT, WIDTH, 3)
    assert not first.image_bgr.flags.writeable
    assert camera.read(0.05) is None
    started_s = time.monotonic()
    replace(path, picture(90))
    second = camera.read(5.0)
    assert second is not None
    assert second.seq == first.seq + 1
    assert second.at_s > first.at_s
    assert abs(int(second.image_bgr[5, 5, 0]) - 90) < 6
    assert time.monotonic() - started_s < 0.5  # polled every 10 ms; the rest is this machine's load
    assert camera.state is CameraState.OK


def test_a_slow_consumer_gets_the_latest_picture_only(opened):
    source = Scripted()
    camera = opened("scripted", opener=lambda _: source)
    source.images += [picture(v) for v in (10, 20, 30)]
    until(lambda: camera._frame is not None and camera._frame.seq == 3)
    frame = camera.read(1.0)
    assert frame is not None
    assert frame.image_bgr[5, 5, 0] == 30
    assert camera.read(0.0) is None


def test_a_camera_that_is_not_there_yet_is_told_and_then_found(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(camera_module, "REOPEN_AFTER_S", 0.05)
    path = tmp_path / "latest.jpg"
    camera = opened(f"still:{path}")
    until(lambda: camera.state is CameraState.MISSING)
    assert "not there yet" in camera.detail
    replace(path, picture(60))
    assert camera.read(5.0) is not None
    assert (camera.state, camera.detail) == (CameraState.OK, "")


def test_silence_is_stalled_and_a_vanished_device_is_missing(opened, monkeypatch):
    monkeypatch.setattr(camera_module, "REOPEN_AFTER_S", 0.05)
    clock, source, there = Clock(), Scripted(), threading.Event()
    there.set()

    def opener(_: CameraSettings) -> Scripted:
        if not there.is_set():
            raise CameraError("it is not there")
        return source

    camera = opened("scripted", opener=opener, now=clock)
    source.images.append(picture(50))
    assert camera.read(2.0) is not None
    clock.now_s += 3.5
    assert camera.state is CameraState.STALLED
    assert "unplugged" in camera.detail
    source.images.append(CameraError("it stopped"))
    until(lambda: camera.detail == "it stopped")
    assert camera.state is CameraState.STALLED
    assert source.closed == 1
    there.clear()
    source.images.append(CameraError("it stopped again"))
    until(lambda: camera.state is CameraState.MISSING)
    assert camera.detail == "it is not there"


def test_a_reader_held_by_its_driver_is_replaced_without_delaying_the_caller(opened):
    clock = Clock()
    sources: list[Scripted] = []

    def opener(_: CameraSettings) -> Scripted:
        sources.append(Scripted())
        return sources[-1]

    camera = opened("scripted", opener=opener, now=clock)
    until(lambda: len(sources) == 1)
    sources[0].hang.set()
    until(lambda: camera.read(0.0) is None)
    clock.now_s += 16
    assert camera.read(0.0) is None
    until(lambda: len(sources) == 2)
    sources[1].images.append(picture(70))
    frame = camera.read(2.0)
    assert frame is not None
    sources[0].go_on.set()  # the driver lets the first reader go at last: it gives its device back and says nothing
    until(lambda: sources[0].closed == 1)
    assert camera._frame is frame


def test_a_driver_that_swallows_every_reader_ends_the_process(opened):
    clock, source = Clock(), Scripted()
    source.hang.set()
    camera = opened("rtsp://cam:hun@ter2@192.0.2.1/", opener=lambda _: source, now=clock)
    for _ in range(camera_module.MAX_STUCK_READERS - 1):
        clock.now_s += 16
        assert camera.read(0.0) is None
    clock.now_s += 16
    with pytest.raises(CameraError, match=r"//\*\*\*@192.0.2.1/ never came back") as told:  # it goes into the log
        camera.read(0.0)
    assert "ter2" not in str(told.value)
    source.go_on.set()


def write_film(path: Path, frames: int, fps: float) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture(20 * (number + 1)))
    writer.release()


def test_a_film_runs_at_its_own_pace_and_begins_anew(tmp_path):
    write_film(tmp_path / "walk.avi", 5, 25.0)
    film = Film(str(tmp_path / "walk.avi"))
    started_s = time.monotonic()
    seen = [image for _ in range(12) if (image := film.grab()) is not None]
    took_s = time.monotonic() - started_s
    film.close()
    values = [round(int(image[5, 5, 0]) / 20) for image in seen]
    assert values[:5] == [1, 2, 3, 4, 5]
    assert values[5] == 1
    assert took_s >= (len(seen) - 1) / 25.0


def test_a_film_does_not_run_behind_a_slow_reader(tmp_path):
    write_film(tmp_path / "walk.avi", 10, 25.0)
    film = Film(str(tmp_path / "walk.avi"))
    film.grab()
    film._started_s -= 0.2  # as if the reader had been away for five pictures
    image = film.grab()
    assert image is not None
    assert 5 <= round(int(image[5, 5, 0]) / 20) <= 7
    film.close()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("v4l2:/dev/v4l/by-id/usb-absent", "not there; .*plugged in"),
        ("/dev/video77", "not there"),
        ("rtsp://user:secret@127.0.0.1:9/live", r"//\*\*\*@127.0.0.1"),
        ("file:/absent.mp4", "not there"),
        (f"file:{__file__}", "cannot be played"),
        ("still:/absent.jpg", "not there yet"),
        ("csi:0", "apt-get install rpicam"),
        ("v4l2:/dev/full", "does not open"),
    ],
)
def test_each_missing_camera_says_what_to_do(source, says, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CameraError, match=says) as caught:
        open_source(CameraSettings(source, WIDTH, HEIGHT))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (CameraSettings("ftp://x"), "no known kind"),
        (CameraSettings("csi:first"), "csi:0"),
        (CameraSettings("csi:0", 700, 480), "multiple of 64"),
    ],
)
def test_a_source_that_cannot_be_meant_is_a_settings_error(settings, says):
    with pytest.raises(SettingsError, match=says):
        open_source(settings)


def test_an_unknown_kind_of_source_refuses_at_once():
    with pytest.raises(SettingsError, match="no known kind"):
        open_camera(CameraSettings("ftp://x"))


def test_half_written_and_oversized_pictures_are_passed_over(tmp_path):
    path = tmp_path / "latest.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 half a picture")
    still = Still(str(path))
    assert still.grab() is None
    replace(path, picture(40))
    assert still.grab() is not None
    with path.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(CameraError, match="make it smaller"):
        still.grab()
    path.unlink()
    with pytest.raises(CameraError, match="gone"):
        still.grab()


def test_one_picture_for_checks_or_the_reason_why_not(tmp_path):
    path = tmp_path / "latest.jpg"
    replace(path, picture(40))
    assert take_picture(CameraSettings(f"still:{path}")).seq == 1
    with pytest.raises(CameraError, match="not there yet"):
        take_picture(CameraSettings("still:/absent.jpg"), timeout_s=60)  # told at once, not after the time-out
