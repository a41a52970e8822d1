"""A camera that never hangs its caller: one reader thread, the latest picture wins, its health always known.

The reader opens the source, publishes picture after picture and opens anew when the source fails. A reader that a
broken driver holds for ever is abandoned and replaced; after MAX_STUCK_READERS of them `read` raises, because only a
new process can free the device then.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware.address import without_login
from hardware.camera_sources import Source, open_source
from hardware.clock import boottime_s
from hardware.errors import CameraError, SettingsError
from hardware.picture_health import CameraState, PictureHealth

__all__ = ["Camera", "CameraSettings", "CameraState", "Frame", "open_camera", "take_picture"]

STALLED_AFTER_S = 3.0
ABANDONED_AFTER_S = 15.0  # longer than every time-out inside a source, so only a truly stuck call is meant
MAX_STUCK_READERS = 3
REOPEN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What to open. `source`: v4l2:/dev/v4l/by-id/..., /dev/videoN, rtsp://..., csi:0, file:/film.mp4, still:/now.jpg.

    Size and rate are wishes for V4L2 and CSI; the other kinds give what they have.
    """

    source: str
    width_px: int = 1280
    height_px: int = 720
    fps: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: BGR, uint8, height x width x 3, read-only. `at_s` CLOCK_BOOTTIME when it was complete here."""

    image_bgr: NDArray[np.uint8]
    at_s: float
    seq: int


class Camera:
    """See the module. Made by `open_camera`; one consumer thread calls `read`, `state`, `detail` and `close`."""

    def __init__(
        self, settings: CameraSettings, *, opener: Callable[[CameraSettings], Source], now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._opener = opener
        self._now = now
        self._news = threading.Condition()  # guards everything below
        self._frame: Frame | None = None
        self._given = 0
        self._health = PictureHealth()
        self._trouble = ""  # the last complaint
        self._absent = False  # whether it was about opening; else the device is there and gives nothing
        self._progress_s = now()
        self._readers = 0  # the current reader's number; any other reader is abandoned and leaves when it can
        self._stuck = 0
        self._start_reader()

    @property
    def state(self) -> CameraState:
        """What is known now; told within 10 s of the change in the world."""
        with self._news:
            silent_s = self._now() - (self._frame.at_s if self._frame else float("-inf"))
            if silent_s <= STALLED_AFTER_S:
                return self._health.state
            return CameraState.MISSING if self._absent else CameraState.STALLED

    @property
    def detail(self) -> str:
        """A sentence for the manager: what is wrong and what to do; empty when nothing is."""
        match self.state:
            case CameraState.MISSING:
                return self._trouble
            case CameraState.STALLED:
                return (
                    self._trouble
                    or f"no picture from {self._settings.source.split('@')[-1]}: unplugged, frozen or still starting"
                )
            case CameraState.OK:
                return ""
            case other:
                return f"the camera is {other}: look at its lens and the light"

    def read(self, timeout_s: float) -> Frame | None:
        """The newest picture that was not given before, or None when none came within `timeout_s`.

        Raises:
            CameraError: the driver has swallowed MAX_STUCK_READERS readers; end this process, a new one may succeed.
        """
        self._abandon_if_stuck()
        with self._news:
            self._news.wait_for(lambda: self._frame is not None and self._frame.seq > self._given, timeout_s)
            if self._frame is None or self._frame.seq <= self._given:
                return None
            self._given = self._frame.seq
            return self._frame

    def close(self) -> None:
        """Let the reader go; it gives the device back within about two seconds (a stuck one never does)."""
        with self._news:
            self._readers += 1
            self._news.notify_all()
        self._thread.join(2.5)

    def _abandon_if_stuck(self) -> None:
        with self._news:
            if self._now() - self._progress_s <= ABANDONED_AFTER_S:
                return
            self._stuck += 1
            if self._stuck >= MAX_STUCK_READERS:
                raise CameraError(
                    f"{self._stuck} attempts to read {without_login(self._settings.source)} never came back from the "
                    "driver"
                )
        self._start_reader()

    def _start_reader(self) -> None:
        with self._news:
            self._readers += 1
            self._progress_s = self._now()
            number = self._readers
        self._thread = threading.Thread(target=self._run, args=(number,), name=f"camera-{number}", daemon=True)
        self._thread.start()

    def _run(self, number: int) -> None:
        while self._is_current(number):
            try:
                source = self._opener(self._settings)
            except (CameraError, SettingsError) as error:
                self._failed(number, str(error), absent=True)
                continue
            try:
                self._follow(number, source)
            except CameraError as error:
                self._failed(number, str(error), absent=False)

    def _follow(self, number: int, source: Source) -> None:
        try:
            while self._is_current(number):
                image = source.grab()
                if image is not None:
                    self._publish(number, image)
        finally:
            source.close()

    def _is_current(self, number: int) -> bool:
        with self._news:
            if number != self._readers:
                return False
            self._progress_s = self._now()
            return True

    def _publish(self, number: int, image: NDArray[np.uint8]) -> None:
        with self._news:
            if number != self._readers:
                return
            at_s = self._now()
            self._frame = Frame(image, at_s, self._frame.seq + 1 if self._frame else 1)
            self._trouble, self._absent = "", False
            self._stuck = 0
            self._health.observe(image, at_s)
            self._news.notify_all()

    def _failed(self, number: int, complaint: str, *, absent: bool) -> None:
        with self._news:
            if number == self._readers:
                self._trouble, self._absent = complaint, absent
                self._news.wait_for(lambda: number != self._readers, REOPEN_AFTER_S)


def open_camera(
    settings: CameraSettings,
    *,
    opener: Callable[[CameraSettings], Source] = open_source,
    now: Callable[[], float] = boottime_s,
) -> Camera:
    """Start reading. A camera that is not there (yet) is no error here: `state` says missing and it is tried again.

    Raises:
        SettingsError: `settings.source` is of no known kind (told by its first word, nothing is opened).
    """
    known = ("v4l2:", "/dev/", "rtsp://", "rtsps://", "csi:", "file:", "still:")
    if opener is open_source and not settings.source.startswith(known):
        open_source(settings)
    return Camera(settings, opener=opener, now=now)


def take_picture(settings: CameraSettings, timeout_s: float = 10.0) -> Frame:
    """One picture, for checks and enrolment.

    Raises:
        CameraError: the camera does not open, or gives nothing within `timeout_s`; the message says what to do.
    """
    with contextlib.closing(open_camera(settings)) as camera:
        deadline_s = boottime_s() + timeout_s
        while camera.state is not CameraState.MISSING and boottime_s() < deadline_s:
            if (frame := camera.read(0.1)) is not None:
                return frame
        raise CameraError(camera.detail)
