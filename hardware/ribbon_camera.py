"""A camera on the ribbon cable (CSI), through rpicam-vid in a process of its own: raw YUV 4:2:0 on a pipe.

What the program says is read along with its pictures, whatever its verbosity: a pipe that nobody reads stops it. A
program that gives no picture for SILENT_S has failed, and its end gives the camera back.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from typing import IO, TYPE_CHECKING, NoReturn, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.errors import CameraError, SettingsError

if TYPE_CHECKING:
    from hardware.camera import CameraSettings

SILENT_S = 10.0  # a start takes 1 to 3 s, a long exposure in the dark less
PIPE_WAIT_S = 2.0
_WIDTH_STEP_PX = 64  # rpicam-vid pads rows to this, and then a frame's size on the pipe is not width x height
_PROGRAM = "rpicam-vid"
_WORDS_KEPT_BYTES = 4096


class RibbonCamera:
    """See camera_sources.Source. `number` is the camera's, as text."""

    def __init__(self, settings: CameraSettings, number: str) -> None:
        if not number.isdigit():
            raise SettingsError(f"camera source csi:{number}: write the camera's number, csi:0")
        if settings.width_px % _WIDTH_STEP_PX or settings.height_px % 2:
            raise SettingsError(
                f"csi: width {settings.width_px} must be a multiple of {_WIDTH_STEP_PX} and height "
                f"{settings.height_px} even, e.g. 1280 x 720"
            )
        program = shutil.which(_PROGRAM)
        if program is None:
            raise CameraError(f"{_PROGRAM} is not installed: apt-get install rpicam-apps-lite")
        self._shape = (settings.height_px * 3 // 2, settings.width_px)
        self._frame = bytearray(self._shape[0] * self._shape[1])
        self._have = 0
        self._words = b""
        self._picture_s = time.monotonic()
        command = [program, "--camera", number, "--codec", "yuv420", "--width", str(settings.width_px), "--height"]
        command += [str(settings.height_px), "--framerate", str(settings.fps), "--timeout", "0", "--nopreview"]
        command += ["--verbose=0", "--flush", "--output", "-"]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603  fixed words
        self._pictures, self._said = cast(IO[bytes], self._child.stdout), cast(IO[bytes], self._child.stderr)

    def grab(self) -> NDArray[np.uint8] | None:
        """The next picture; None when the pipe was silent for a moment. Raises CameraError: ended, or silent."""
        view = memoryview(self._frame)
        while self._have < len(self._frame):
            if not self._wait():
                return None
            count = os.readv(self._pictures.fileno(), [view[self._have :]])
            if count == 0:
                self._fail("ended")
            self._have += count
        self._have = 0
        self._picture_s = time.monotonic()
        planes = np.frombuffer(self._frame, np.uint8).reshape(self._shape)
        picture = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)
        picture.flags.writeable = False  # shared between threads from here on
        return picture

    def close(self) -> None:
        """End the child, and collect it."""
        self._child.kill()
        self._child.communicate()

    def _wait(self) -> bool:
        """Until there is something of a picture to read; its words are taken meanwhile."""
        pipes: list[IO[bytes]] = [self._pictures, self._said]
        while True:
            ready = select.select(pipes, [], [], PIPE_WAIT_S)[0]
            if self._said in ready:
                words = os.read(self._said.fileno(), _WORDS_KEPT_BYTES)
                self._words = (self._words + words)[-_WORDS_KEPT_BYTES:]
                if not words:
                    pipes.remove(self._said)
            if self._pictures in ready:
                return True
            if time.monotonic() - self._picture_s >= SILENT_S:
                self._fail(f"gave no picture for {SILENT_S:g} s")
            if not ready:
                return False

    def _fail(self, what: str) -> NoReturn:
        self._child.kill()
        words = (self._words + self._child.communicate()[1]).decode(errors="replace").strip().splitlines()
        last = words[-1] if words else "without a word"
        raise CameraError(f"{_PROGRAM} {what}: {last}. Try: {_PROGRAM} --list-cameras")
