"""The vision process: `python -m agent.vision_worker --config FILE`. Camera, face models, gallery; no network.

It talks to the agent alone (core/vision_messages.py). Killed at any moment it leaves nothing behind; without an agent
it waits, without a camera it says so and tries again, and what it has seen is in no log and no file.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one product of a gallery row is too small to share

import cv2

from agent.core.networks import Network
from agent.core.vision_messages import (
    VERSION,
    Alive,
    CameraChanged,
    Enrol,
    EnrolCancel,
    Faces,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryRemove,
    Hello,
    Preview,
    Settings,
    ToVision,
    UseNetwork,
)
from agent.errors import DoorAgentError
from agent.stopping import stop_on_signal
from agent.vision.agent_end import AgentEnd
from agent.vision.codes import Codes
from agent.vision.enrolment import EnrolmentRun
from agent.vision.eyes import Eyes, Track
from agent.vision.judge import Judge
from agent.vision.networks import Networks
from agent.vision.people import People
from agent.vision.settings import VisionSettings, settings_of
from hardware.camera import Camera, CameraState, Frame, open_camera
from hardware.clock import boottime_s
from hardware.errors import HardwareError
from hardware.notify import Notifier
from models.arrays import Image
from models.errors import ModelError
from models.pipeline import Pipeline, load_pipeline

_FRAME_WAIT_S: Final = 0.1
_MESSAGES_FOR_S: Final = 0.05
_ALIVE_EVERY_S: Final = 1.0
_CATCH_UP_S: Final = 0.03  # between two frames of ten a second, beside a face that is judged
_CATCH_UP_ALONE_S: Final = 0.1
_JUDGED_AT_ONCE: Final = 2
_STILL_S: Final = 60.0  # nobody alive holds still for so long
_PREVIEW_WIDTH_PX: Final = 640
_PREVIEW_QUALITY: Final = 70
_LOG = logging.getLogger("door-vision")


class Worker:
    """The one loop: messages, newest frame, faces, codes, preview, a sign of life."""

    def __init__(self, pipeline: Pipeline, camera: Camera, end: AgentEnd, networks: Networks | None = None) -> None:
        """`networks`: what else it could work with; None: nothing."""
        self._pipeline, self._camera, self._end, self._networks = pipeline, camera, end, networks
        self._people = People(pipeline)
        self._eyes = Eyes(pipeline.detector)
        self._codes = Codes()
        self._judge: Judge | None = None
        self._enrolment: EnrolmentRun | None = None
        self._preview = Preview(on=False, fps=1.0)
        self._preview_due_s = self._alive_due_s = 0.0
        self._camera_told: str | None = None
        self._frames = self._in_view = 0
        self._recent_s: deque[float] = deque(maxlen=100)

    def step(self) -> None:
        """One turn of the loop; at most about a tenth of a second without a frame.

        Raises:
            HardwareError: the camera's driver holds every reader; only a new process can help.
        """
        if self._end.connect(boottime_s()):
            self._introduce()
        people_changed = False
        for message in self._end.receive(_MESSAGES_FOR_S):
            people_changed |= self._obey(message)
        if people_changed and self._judge is not None:
            self._judge.people_changed(boottime_s())
        frame = self._camera.read(_FRAME_WAIT_S)
        now_s = boottime_s()
        state = self._camera.state
        if frame is not None:
            self._frames += 1
            self._recent_s.append(frame.at_s)
            if self._end.connected:
                self._look(frame, state, now_s)
        if self._judge is not None:
            self._judge.catch_up(_CATCH_UP_S if self._in_view else _CATCH_UP_ALONE_S, now_s)
        self._end_late_enrolment(now_s)
        self._tell_state(state, now_s)

    def _introduce(self) -> None:
        missing = [self._pipeline.missing] if self._pipeline.missing else []
        if not self._codes.available:
            missing.append("phone and visitor codes cannot be read: install zxing-cpp")
        pipeline = self._pipeline
        self._end.send(
            Hello(
                v=VERSION,
                engine=pipeline.engine[:300],
                model_id=pipeline.embedder.model_id,
                alignment_id=pipeline.embedder.alignment_id,
                liveness=pipeline.liveness is not None,
                missing="; ".join(missing)[:2000] or None,
                pid=os.getpid(),
                networks=self._networks.here() if self._networks is not None else (),
            )
        )
        self._camera_told = self._enrolment = None  # nobody waits for an enrolment any more

    def _obey(self, message: ToVision) -> bool:
        """Do what the agent says. True when the gallery in use changed."""
        match message:
            case GalleryBegin() | GalleryAdd() | GalleryCommit() | GalleryRemove():
                loaded = self._people.take(message)
                if loaded is not None:
                    self._end.send(loaded)
                return loaded is not None
            case Settings():
                if self._judge is None:
                    self._judge = Judge(self._pipeline, self._people, message)
                else:
                    self._judge.use(message)
            case Preview():
                self._preview = message
            case Enrol():
                self._begin_enrolment(message)
            case EnrolCancel():
                self._enrolment = None
            case UseNetwork():
                self._use((message.model_id, message.alignment_id))
        return False

    def _use(self, network: Network) -> None:
        """Begin anew with another network, and say which one it is now: it knows nobody yet."""
        if self._networks is not None:
            self._pipeline = self._networks.changed(self._pipeline, network)
            self._people, self._judge = People(self._pipeline), None
        self._introduce()

    def _begin_enrolment(self, order: Enrol) -> None:
        if self._judge is not None:
            bound = self._people.bound(self._judge.settings)
            self._enrolment = EnrolmentRun(
                self._pipeline, self._people, order.id, order.pictures_wanted, bound, boottime_s()
            )

    def _look(self, frame: Frame, state: CameraState, now_s: float) -> None:
        image = frame.image_bgr
        tracks = self._faces(image, state, frame.at_s)
        self._in_view = sum(frame.at_s - track.moved_at_s <= _STILL_S for track in tracks)
        moving = self._eyes.motion.recent(frame.at_s)
        for found in self._codes.read(image, frame.at_s, busy=bool(tracks), moving=moving):
            self._end.send(found)
        if self._preview.on and now_s >= self._preview_due_s:
            self._preview_due_s = now_s + 1.0 / self._preview.fps
            self._show(image, tracks)

    def _faces(self, image: Image, state: CameraState, at_s: float) -> list[Track]:
        """The faces in view, each judged; nobody's on pictures of a camera that does not see well.

        Codes are read all the same: a phone is its own lamp, and a code in a frozen picture must not seem taken away.
        """
        if state is not CameraState.OK:
            self._eyes.motion.observe(image, at_s)
            return []
        tracks = self._eyes.look(image, at_s)
        if self._enrolment is not None:
            self._enrol(self._enrolment, image, tracks, at_s)
        elif self._judge is not None and self._people.told:
            self._decide(self._judge, image, tracks, at_s)
        return tracks

    def _decide(self, judge: Judge, image: Image, tracks: list[Track], at_s: float) -> None:
        """The nearest faces first, and two at most in one frame; each is a decision of its own."""
        due = [track for track in tracks if judge.due(track, image, at_s, self._eyes.motion)]
        for track in due[:_JUDGED_AT_ONCE]:
            with suppress(ModelError):  # points of a face that fall together: no face, the next frame tells
                finding = judge.judge(track, image, at_s, self._eyes.motion)
                if finding is not None:
                    self._end.send(replace(finding, decided_at_s=boottime_s()))
        for finding in judge.forget_all_but(self._eyes.alive, at_s):
            self._end.send(finding)

    def _enrol(self, run: EnrolmentRun, image: Image, tracks: list[Track], at_s: float) -> None:
        news = run.offer(image, [track.detection for track in tracks], at_s)
        if news is not None:
            self._end.send(news)
        if run.over:
            self._enrolment = None

    def _end_late_enrolment(self, now_s: float) -> None:
        if self._enrolment is not None and (news := self._enrolment.given_up(now_s)) is not None:
            self._enrolment = None
            self._end.send(news)

    def _show(self, image: Image, tracks: list[Track]) -> None:
        height, width = image.shape[:2]
        judge = self._judge
        faces = tuple(judge.face(track, width, height) for track in tracks) if judge is not None else ()
        self._end.send(Faces(width, height, faces))
        size = (_PREVIEW_WIDTH_PX, max(1, round(height * _PREVIEW_WIDTH_PX / width)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) if width > _PREVIEW_WIDTH_PX else image
        done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY])
        if done:
            self._end.send_picture(jpeg.tobytes())

    def _tell_state(self, camera_state: CameraState, now_s: float) -> None:
        state = str(camera_state)
        if state != self._camera_told:
            self._camera_told = state
            self._end.send(CameraChanged(state, self._camera.detail[:500]))
        if now_s >= self._alive_due_s:
            self._alive_due_s = now_s + _ALIVE_EVERY_S
            if self._judge is not None:
                self._judge.forget_strangers(now_s)
            recent = [at_s for at_s in self._recent_s if now_s - at_s <= 5 * _ALIVE_EVERY_S]
            fps = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-3) if len(recent) > 1 else 0.0
            in_view = self._in_view if camera_state is CameraState.OK else 0
            self._end.send(Alive(self._frames, min(fps, 1000.0), state, now_s, in_view))


def run(settings: VisionSettings, stopping: threading.Event, notifier: Notifier) -> None:
    """Load, connect, and turn the loop until `stopping`. Raises ModelError or HardwareError."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    camera = open_camera(settings.camera)  # warms up while the models load
    end = AgentEnd(settings.socket)
    try:
        pipeline = load_pipeline(settings.pipeline)
        worker = Worker(pipeline, camera, end, Networks(settings.pipeline))
        _LOG.info("ready after %.1f s: %s", time.monotonic() - began_s, pipeline.engine)
        notifier.tell("READY=1")
        while not stopping.is_set():
            worker.step()
            notifier.tell("WATCHDOG=1")
    finally:
        notifier.tell("STOPPING=1")
        end.close()
        camera.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped; 3 configuration; 5 camera; 6 face models."""
    parser = argparse.ArgumentParser(
        prog="door-vision", description="Camera and faces of one door; started by systemd."
    )
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    stopping = stop_on_signal()
    try:
        settings = settings_of(arguments.config)
        (idle if settings.camera.source == "none" else run)(settings, stopping, Notifier())
    except (DoorAgentError, HardwareError) as error:
        _LOG.error("%s", error)
        return error.exit_code
    except ModelError as error:
        _LOG.error("%s", error)
        return 6
    return 0


def idle(_settings: VisionSettings, stopping: threading.Event, notifier: Notifier) -> None:
    """A door without a camera: nothing to see, but no unit either that systemd would start over and over."""
    notifier.tell("READY=1")
    while not stopping.wait(_ALIVE_EVERY_S):
        notifier.tell("WATCHDOG=1")


if __name__ == "__main__":
    sys.exit(main())
