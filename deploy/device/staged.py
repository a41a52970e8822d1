"""A release that the agent fetched, put in place by root: `door-update.path` saw its request and started this.

Nothing that the agent says is believed. The configuration, which is root's, has to want it; the file is copied, without
following a link, to where the agent cannot reach; that copy is judged by root's own release key before anything of it
is unpacked. What follows is the update of SSH (update.py), with a wait that nobody overrules. How it went stands in
`rollout.json`, which the agent reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.device import deadman, health, update
from deploy.device.commands import InstallError
from deploy.device.files import replace
from deploy.device.install import CONFIG, RELEASE_KEY, ROOT, serial_of
from deploy.device.offered import NotTakenError, judge
from deploy.device.steps import Talk

FOLDER = Path(update.STATE_DIR) / "update"
REQUEST: Final = "request.json"
ANSWER = ROOT / "rollout.json"
COPY = ROOT / ".offered.tar"
QUIET_WAIT_S: Final = 1800.0
_LOOK_EVERY_S: Final = 3.0
_REQUEST_BYTES: Final = 4096
_MAX_MIB: Final = 512  # a door's default
_NEEDED_FACTOR: Final = 3  # beside the copy: unpacked, installed, and room to breathe
_CHUNK_BYTES: Final = 1 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[0-9a-f]{1,64}")
_FAULTS: Final = (InstallError, OSError, subprocess.SubprocessError, tarfile.TarError, ValueError, KeyError)
_NO_LINK: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotQuietError(InstallError):
    """Somebody was at the door for all of the time that is waited."""


class CalledOffError(InstallError):
    """The agent took its file away again."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the agent asks for. `order` comes back with the answer."""

    order: str
    sha256: str
    size_bytes: int


class Answer:
    """Says how it goes, in a file that everybody may read and root alone writes."""

    def __init__(self, order: str) -> None:
        self._order, self.state = order, ""

    def tell(self, state: str, why: str = "", detail: str = "") -> None:
        """`state`: installing, switching, well, waiting (not quiet), refused, failed, rolled-back, cancelled."""
        said = {"order": self._order, "state": state, "why": why, "detail": detail[-300:]}
        replace(ANSWER, json.dumps(said).encode(), 0o644)
        self.state = state


def take(talk: Talk) -> None:
    """One request, if there is one. What becomes of it is told; raises OSError when not even that can be written."""
    with _folder() as folder:
        request = None if folder is None else _request(folder)
        if folder is None or request is None:
            return
        answer = Answer(request.order)
        try:
            answer.tell("installing")
            _take(request, folder, answer, talk)
        except NotTakenError as error:
            answer.tell("refused", error.reason, str(error))
        except NotQuietError as error:
            answer.tell("waiting", "", str(error))
        except CalledOffError as error:
            answer.tell("cancelled", "called-off", str(error))
        except deadman.NoTimerError as error:  # before the switch: the release is not to blame
            answer.tell("failed", "not-installed", str(error))
        except _FAULTS as error:
            if update.TRIAL.exists():
                raise  # the next boot judges it; until then nobody knows
            switched = answer.state == "switching"
            answer.tell(*(("rolled-back", "not-well") if switched else ("failed", "not-installed")), str(error))
        finally:
            COPY.unlink(missing_ok=True)


def _take(request: Request, folder: int, answer: Answer, talk: Talk) -> None:
    wanted = _wanted()
    if request.size_bytes > wanted << 20:
        raise NotTakenError(f"the bundle is larger than {wanted} MiB (updates.max_mib)", "too-large")
    _copy(request, folder)
    judge(COPY, RELEASE_KEY, newest=serial_of(ROOT / "current"))

    def wait(talk: Talk) -> None:
        _wait(request, folder, talk)
        answer.tell("switching")

    update.update(COPY, talk, wait=wait)
    _renew_runner()
    answer.tell("well")


def _wanted() -> int:
    """The largest bundle that this door takes from afar, in MiB.

    Raises:
        NotTakenError: it takes none.
    """
    updates = tomllib.loads(CONFIG.read_text(encoding="utf-8-sig")).get("updates")
    if not isinstance(updates, dict):
        raise NotTakenError(
            "this door takes no release from afar: there is no [updates] in its configuration", "updates-off"
        )
    most = updates.get("max_mib", _MAX_MIB)
    return most if isinstance(most, int) else _MAX_MIB


@contextlib.contextmanager
def _folder() -> Iterator[int | None]:
    """The agent's folder, held open: whatever it is exchanged for meanwhile, this one is meant."""
    try:
        fd = os.open(FOLDER, _NO_LINK | os.O_DIRECTORY)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _request(folder: int) -> Request | None:
    """Read, and removed whatever it is: what is no request is not asked about again."""
    try:
        said = json.loads(_read(folder, REQUEST))
    except (OSError, ValueError):
        said = None
    with contextlib.suppress(OSError):  # gone: taken back by the agent
        os.unlink(REQUEST, dir_fd=folder)
    if not isinstance(said, dict):
        return None
    order, digest, size = said.get("order"), said.get("sha256"), said.get("bytes")
    if not isinstance(order, str) or not isinstance(digest, str) or type(size) is not int or size <= 0:
        return None
    return Request(order, digest, size) if _NAME.fullmatch(order) and _DIGEST.fullmatch(digest) else None


def _read(folder: int, name: str) -> bytes:
    with os.fdopen(_regular(folder, name), "rb") as file:
        return file.read(_REQUEST_BYTES)


def _regular(folder: int, name: str) -> int:
    """A regular file of the agent's folder, opened. Raises OSError for a link, a pipe, a device."""
    fd = os.open(name, _NO_LINK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{name} is not a plain file")
    return fd


def _copy(request: Request, folder: int) -> None:
    """To where the agent cannot reach. Raises NotTakenError when it is not the file that was announced."""
    COPY.unlink(missing_ok=True)
    if (left := shutil.disk_usage(ROOT).free) < (1 + _NEEDED_FACTOR) * request.size_bytes:
        raise NotTakenError(f"the disk has {left >> 20} MiB free, too little to install it", "no-room")
    digest, most = hashlib.sha256(), request.size_bytes
    with os.fdopen(_regular(folder, f"{request.sha256}.tar"), "rb") as source, COPY.open("xb") as out:
        os.fchmod(out.fileno(), 0o600)
        while most >= 0 and (chunk := source.read(_CHUNK_BYTES)):
            most -= len(chunk)
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if most != 0 or digest.hexdigest() != request.sha256:
        raise NotTakenError("the file is not the one that was announced")


def _wait(request: Request, folder: int, talk: Talk) -> None:
    """Until nobody is at the door and nothing stands there, by guard and agent both.

    Raises:
        CalledOffError, NotQuietError.
    """
    end_s = time.monotonic() + QUIET_WAIT_S
    while True:
        try:
            os.stat(f"{request.sha256}.tar", dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError as error:
            raise CalledOffError("called off before anything was switched") from error
        if not (why := health.not_left_alone()):
            return
        if time.monotonic() > end_s:
            raise NotQuietError(f"it was not quiet for {QUIET_WAIT_S / 60:.0f} minutes: {why}")
        talk.tell("progress", what=f"waiting: {why}")
        time.sleep(_LOOK_EVERY_S)


def _renew_runner() -> None:
    """The runner of a release that has proved well judges the next one; the bundle was found whole before."""
    with contextlib.suppress(KeyError), tarfile.open(COPY, "r:") as tar:
        source: Any = tar.extractfile("runner.pyz")
        replace(deadman.RUNNER, source.read(), 0o644)
