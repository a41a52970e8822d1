"""The vision process as it runs at a door: killed, stopped, left alone, without a camera; told from the agent's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from agent.clock import SystemClock
from agent.core.events import Kind, Priority, Record
from agent.core.stream import OutboxStatus
from agent.core.vision_messages import (
    Alive,
    CameraChanged,
    Enrol,
    Enrolment,
    EnrolmentState,
    Faces,
    Finding,
    FindingKind,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryLoaded,
    Hello,
    Preview,
    Settings,
)
from agent.health import Health
from agent.status import StatusBoard
from agent.vision_link import VisionGone, VisionLink
from models.arrays import Image

T = TypeVar("T")
PATIENCE_S = 30.0

CONFIG = """
[door]
site = "s"
id = "d"
lock_type = "fail-secure"
lock_duty = "continuous"
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[hardware.inputs.contact]
pin = 22
[camera]
source = "{camera}"
[runtime]
agent_dir = "{folder}"
guard_dir = "{folder}"
[store]
state_dir = "{folder}"
"""


class _Feed:
    """Writes the newest picture ten times a second, as a camera would; the last frame of a scene trembles on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: list[bytes] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def show(self, frames: list[Image]) -> None:
        self._frames = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        number, shown = 0, self._frames
        while not self._stopping.wait(0.1):
            if shown is not self._frames:
                number, shown = 0, self._frames
            part = self._path.with_suffix(".part")
            part.write_bytes(shown[number % len(shown)])
            part.replace(self._path)
            number += 1


class _Door:
    """The agent's end, a camera's picture and the process under test."""

    def __init__(self, folder: Path, cache: Path, roster: list[Any]) -> None:
        self._roster = roster
        self._cache = cache
        self.folder = folder
        self.config = folder / "door.toml"
        self.config.write_text(CONFIG.format(camera=f"still:{folder / 'now.jpg'}", folder=folder))
        self.feed = _Feed(folder / "now.jpg")
        self.news: list[object] = []
        self._arrived = threading.Condition()
        self.pictures = 0
        self.errors = (folder / "stderr").open("wb")
        self.process: subprocess.Popen[bytes] | None = None
        self.link = self.listen()

    def listen(self) -> VisionLink:
        self.link = VisionLink(self.folder / "vision.sock", self._post, self._picture)
        self.link.start()
        return self.link

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.vision_worker", "--config", str(self.config)],
            stderr=self.errors,
            env={**os.environ, "DOOR_AGENT_CACHE": str(self._cache)},
        )

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.feed.stop()
        self.link.stop()
        self.errors.close()

    def _picture(self, jpeg: bytes) -> None:
        assert jpeg.startswith(b"\xff\xd8")
        self.pictures += 1

    def _post(self, event: object) -> None:
        if isinstance(event, Hello):
            self.link.send([Settings("convenience", 1.0, 20.0), *self._roster])
        with self._arrived:
            self.news.append(event)
            self._arrived.notify_all()

    def wait(self, kind: type[T], that: Callable[[T], bool] = lambda _: True) -> T:
        """The first piece of news of this kind since `forget`."""

        def first() -> T | None:
            return next((one for one in self.news if isinstance(one, kind) and that(one)), None)

        with self._arrived:
            found = self._arrived.wait_for(first, PATIENCE_S)
        assert found is not None, f"no {kind.__name__} within {PATIENCE_S:g} s: {[type(one) for one in self.news[-9:]]}"
        return found

    def forget(self) -> None:
        with self._arrived:
            self.news.clear()

    def said(self) -> str:
        return (self.folder / "stderr").read_text()


@pytest.fixture
def door(tmp_path: Path, cache: Path, roster: list[GalleryBegin | GalleryAdd | GalleryCommit]) -> Iterator[_Door]:
    door = _Door(tmp_path, cache, roster)
    yield door
    door.close()


def _recognised(finding: Finding) -> bool:
    return finding.verdict is FindingKind.RECOGNISED


@pytest.mark.slow
def test_killed_while_somebody_stands_there_it_recognises_again_and_stops_when_told(
    door: _Door, frames: Callable[[str], list[Image]]
) -> None:
    door.feed.show(frames("resident_walks_up")[55:70])
    door.start()
    assert door.process is not None
    assert door.wait(GalleryLoaded).epoch == 7
    finding = door.wait(Finding, _recognised)
    assert finding.person_id == "resident"
    assert 0 < finding.decided_at_s - finding.first_frame_at_s < PATIENCE_S
    door.process.kill()
    door.process.wait()
    door.wait(VisionGone)
    door.forget()
    began_s = time.monotonic()
    door.start()
    door.wait(Finding, _recognised)
    assert time.monotonic() - began_s < 10.0  # 2 s on a quiet machine, see models/README.md
    began_s = time.monotonic()
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(PATIENCE_S) == 0
    assert time.monotonic() - began_s < 5.0
    assert "resident" not in door.said()  # no name, no id in a log


@pytest.mark.slow
def test_an_agent_that_was_away_gets_a_hello_and_gives_its_people_anew(
    door: _Door, frames: Callable[[str], list[Image]]
) -> None:
    door.feed.show(frames("resident_walks_up")[55:70])
    door.link.stop()
    door.start()
    assert door.process is not None
    time.sleep(0.2)
    assert door.process.poll() is None  # nobody listens: it waits
    door.listen()
    door.wait(Finding, _recognised)
    door.link.stop()
    door.forget()
    door.listen()
    assert door.wait(Hello).pid == door.process.pid
    door.wait(GalleryLoaded)


@pytest.mark.slow
def test_a_missing_camera_is_told_and_work_begins_when_it_is_there(
    door: _Door, frames: Callable[[str], list[Image]]
) -> None:
    door.start()
    told = door.wait(CameraChanged)
    assert told.state in ("missing", "stalled")
    assert told.detail
    door.wait(Alive)
    door.feed.show(frames("resident_walks_up")[55:70])
    assert door.wait(CameraChanged, lambda one: one.state == "ok").detail == ""
    door.wait(Finding, _recognised)


@pytest.mark.slow
def test_a_dark_a_covered_and_a_frozen_camera_is_a_row_within_ten_seconds_and_another_when_it_sees_again(
    door: _Door, frames: Callable[[str], list[Image]]
) -> None:
    """The whole way: pictures, vision process, socket, row."""
    rows: list[Record] = []
    health = Health(StatusBoard({}), SystemClock(), rows.append, OutboxStatus)
    seeing = frames("empty")
    grain = np.random.default_rng(1).integers(0, 4, (20, 120, 160, 3)).astype(np.uint8)
    door.feed.show(seeing)
    door.start()
    for state, trouble in (
        ("dark", [picture + 3 for picture in grain]),
        ("blind", [picture + 90 for picture in grain]),
        ("frozen", seeing[:1]),
    ):
        door.feed.show(seeing)
        health.news(door.wait(CameraChanged, lambda one: one.state == "ok"))
        door.forget()
        began_s = time.monotonic()
        door.feed.show(trouble)
        told = door.wait(CameraChanged, lambda one, state=state: one.state == state)
        assert time.monotonic() - began_s < 10.0
        health.news(told)
        door.forget()
    said = [(row.body["state"], row.priority) for row in rows if row.kind is Kind.CAMERA]
    normal, high = Priority.NORMAL, Priority.HIGH
    assert said == [("ok", normal), ("dark", high), ("ok", normal), ("blind", high), ("ok", normal), ("frozen", high)]


@pytest.mark.slow
def test_preview_and_enrolment_before_the_camera(door: _Door, frames: Callable[[str], list[Image]]) -> None:
    door.feed.show(frames("resident_walks_up")[45:75])
    door.start()
    door.wait(GalleryLoaded)
    door.link.send([Preview(on=True, fps=5.0), Enrol("e-1", 2)])
    done = door.wait(Enrolment, lambda one: one.state is EnrolmentState.DONE)
    assert (done.id, done.collected, len(done.templates)) == ("e-1", 2, 2)
    assert done.looks_like == ("resident",)  # she is enrolled already, and that is said
    shown = door.wait(Faces, lambda one: len(one.faces) == 1)
    assert (shown.width, shown.height) == (1280, 720)
    assert door.pictures > 0


@pytest.mark.parametrize(("text", "code"), [("not toml [", 3), (CONFIG.format(camera="floppy:", folder="/"), 3)])
def test_a_wrong_configuration_ends_it_with_one_message(tmp_path: Path, text: str, code: int) -> None:
    path = tmp_path / "door.toml"
    path.write_text(text)
    command = [sys.executable, "-m", "agent.vision_worker", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == code
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
