"""The only file that opens a capture: V4L2, RTSP, a film file, a picture replaced in place (CSI: ribbon_camera.py).

A source is opened by `open_source` and then asked for pictures with `grab()`, which gives up within about two seconds:
the picture, or None for "nothing yet". Both raise CameraError with a message that says what to do. The caller is a
thread that may be abandoned (see camera.py), because a broken driver can hold any of these calls for ever.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")  # seconds; read when the library first captures

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.address import without_login
from hardware.errors import CameraError, SettingsError
from hardware.ribbon_camera import RibbonCamera

if TYPE_CHECKING:
    from hardware.camera import CameraSettings

Image = NDArray[np.uint8]

MAX_STILL_BYTES = 16 * 1024 * 1024
_OPEN_TIMEOUT_MS = 5000
_READ_TIMEOUT_MS = 2000
_EYES = "agent.vision_worker"  # the module that door-vision.service runs
_POLL_S = 0.01


class Source(Protocol):
    """One opened source of pictures (BGR, uint8, height x width x 3)."""

    def grab(self) -> Image | None:
        """The next picture, or None when none came for a moment. Raises CameraError when the source has failed."""

    def close(self) -> None:
        """Give the device back."""


def open_source(settings: CameraSettings) -> Source:
    """Open what `settings.source` names.

    Raises:
        SettingsError: the name is of no known kind.
        CameraError: it cannot be opened now; the message says what is there instead, or who has it.
    """
    kind, _, rest = settings.source.partition(":")
    if settings.source.startswith("/dev/"):
        return V4l2(settings, settings.source)
    match kind:
        case "v4l2":
            return V4l2(settings, rest)
        case "rtsp" | "rtsps":
            return Rtsp(settings.source)
        case "csi":
            return RibbonCamera(settings, rest or "0")
        case "file":
            return Film(rest)
        case "still":
            return Still(rest)
        case _:
            raise SettingsError(
                f"camera source {without_login(settings.source)!r} is of no known kind: use v4l2:/dev/v4l/by-id/..., "
                "rtsp://..., csi:0, file:/path or still:/path"
            )


def _opencv(name: str, backend: int, options: list[int]) -> cv2.VideoCapture:
    # A failed open is our message, not OpenCV's: its warnings name back-ends that no installer ever heard of.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2.VideoCapture(name, backend, options)


class V4l2:
    """A USB or loopback camera. `path`: a stable link below /dev/v4l/by-id, or /dev/videoN."""

    def __init__(self, settings: CameraSettings, path: str) -> None:
        if not Path(path).exists():
            raise CameraError(f"camera {path} is not there; {_cameras_here()}. Is it plugged in?")
        device = os.path.realpath(path)
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"camera {device} may not be opened by this user: add it to the group video")
        options = [cv2.CAP_PROP_FRAME_WIDTH, settings.width_px, cv2.CAP_PROP_FRAME_HEIGHT, settings.height_px]
        options += [cv2.CAP_PROP_FPS, settings.fps, cv2.CAP_PROP_BUFFERSIZE, 1]
        # Motion JPEG first: over USB 2, 1280x720 raw comes at 10 frames a second or less. Without it, raw has to do.
        mjpeg = cv2.VideoWriter.fourcc(*"MJPG")
        self._capture = _opencv(device, cv2.CAP_V4L2, [cv2.CAP_PROP_FOURCC, mjpeg, *options])
        if not self._capture.isOpened():
            self._capture = _opencv(device, cv2.CAP_V4L2, options)
        self._path = path
        if not self._capture.isOpened():
            raise CameraError(f"camera {path} does not open: {_who_has(device)}")

    def grab(self) -> Image | None:
        """The next picture; the library gives up after 2 s."""
        return _read(self._capture, f"camera {self._path} stopped giving pictures; {_cameras_here()}")

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


class Rtsp:
    """A network camera. The password in its address is never shown."""

    def __init__(self, url: str) -> None:
        self._shown = without_login(url)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_TIMEOUT_MS]
        self._capture = _opencv(url, cv2.CAP_FFMPEG, timeouts)
        if not self._capture.isOpened():
            raise CameraError(
                f"no stream from {self._shown} within {_OPEN_TIMEOUT_MS / 1000:.0f} s: check the address, the password "
                "and that this device reaches the camera"
            )

    def grab(self) -> Image | None:
        """The next picture; the library gives up after 2 s."""
        return _read(self._capture, f"the stream from {self._shown} ended")

    def close(self) -> None:
        """Hang up."""
        self._capture.release()


class Film:
    """A film played at its own pace, again and again; pictures that are late are skipped, as a live camera would."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._start()

    def grab(self) -> Image | None:
        """Wait for the next picture's time and give it; at the end, begin anew."""
        self._number += 1
        while self._number / self._fps < time.monotonic() - self._started_s - 1 / self._fps and self._capture.grab():
            self._number += 1
        time.sleep(max(0.0, self._started_s + self._number / self._fps - time.monotonic()))
        found, image = self._capture.read()
        if not found:
            if self._number <= 1:
                raise CameraError(f"{self._path} holds no picture: is it a film?")
            self._capture.release()
            self._start()
            return None
        return _own(image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _start(self) -> None:
        if not Path(self._path).is_file():
            raise CameraError(f"the film {self._path} is not there")
        self._capture = _opencv(self._path, cv2.CAP_FFMPEG, [])
        if not self._capture.isOpened():
            raise CameraError(f"{self._path} cannot be played: is it an .avi or .mp4?")
        self._fps = min(max(self._capture.get(cv2.CAP_PROP_FPS), 1.0), 60.0)
        self._started_s = time.monotonic()
        self._number = 0


class Still:
    """A picture file that somebody replaces (by rename) with a newer one; looked at every 10 ms by its stat."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        if not Path(path).exists():
            raise CameraError(f"the picture {path} is not there yet")

    def grab(self) -> Image | None:
        """The newer picture; None when it was not replaced for half a second."""
        deadline_s = time.monotonic() + 0.5
        while time.monotonic() < deadline_s:
            try:
                found = os.stat(self._path)  # noqa: PTH116  every 10 ms
            except OSError as error:
                raise CameraError(f"the picture {self._path} is gone: {error.strerror}") from error
            marks = (found.st_ino, found.st_mtime_ns, found.st_size)
            if marks != self._seen:
                self._seen = marks
                if (image := self._load(found.st_size)) is not None:
                    return image
            time.sleep(_POLL_S)
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _load(self, size: int) -> Image | None:
        if size > MAX_STILL_BYTES:
            raise CameraError(
                f"the picture {self._path} has {size} bytes, {MAX_STILL_BYTES} are allowed: make it smaller"
            )
        try:
            data = np.fromfile(self._path, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except (OSError, cv2.error):  # replaced under our hands, or half written: the next one will do
            return None
        return None if image is None else _own(image)


def _read(capture: cv2.VideoCapture, complaint: str) -> Image | None:
    found, image = capture.read()
    if not found:
        raise CameraError(complaint)
    return _own(image)


def _own(image: object) -> Image:
    picture: Image = np.asarray(image, np.uint8)
    picture.flags.writeable = False  # shared between threads from here on
    return picture


def _cameras_here() -> str:
    there = sorted(str(p) for p in Path("/dev/v4l/by-id").glob("*")) or sorted(map(str, Path("/dev").glob("video*")))
    return f"there are: {', '.join(there)}" if there else "no camera is there at all"


def _who_has(device: str) -> str:
    holders, hidden = [], []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # just gone
            continue
        words = f"process {folder.name} ({command[:120]})"
        try:
            if any(os.path.realpath(fd) == device for fd in (folder / "fd").iterdir()):
                holders.append(words)
        except PermissionError:  # another user's; the door's own eyes are recognised by their name
            hidden += [words] if _EYES in command else []
        except OSError:
            continue
    if holders:
        return f"in use by {', '.join(holders[:3])}; stop what should not have it"
    if hidden:
        return f"in use, it seems, by {', '.join(hidden[:3])}, which sees for the door"
    return "another process may have it (fuser -v names it), or it is no capture device"
