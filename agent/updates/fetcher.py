"""Fetches a bundle from the site's server, slowly and however often the line breaks; its own thread, which only posts.

TLS 1.3 with the door's certificate, the site's authority alone is believed, and the address is the configuration's.
What was fetched before a cut is kept and gone on with (`Range`). Bytes a second, size and room on the disk are bounded,
and what lies there is fsynced in small pieces, so that the journal never waits behind a hundred megabytes.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

from agent.core.updates import Bundle, Why
from agent.errors import LinkError
from agent.link.settings import tls_context
from agent.updates.files import UpdateFiles

_CHUNK_BYTES: Final = 16 << 10
_SYNC_BYTES: Final = 1 << 20
_SHOWN_PERCENT: Final = 5
_ROOM_GONE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for, how long between two tries (doubling, with jitter), and when it is given up."""

    silent_s: float = 30.0
    first_s: float = 5.0
    cap_s: float = 300.0
    give_up_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Where from, who this door is (PEM files), how fast at most."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    bytes_per_s: int
    patience: Patience = Patience()


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """So much of it is here."""

    order_id: str
    percent: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """It is here, its hash is right, and it is a bundle that may be installed on this device."""

    order_id: str


@dataclass(frozen=True, slots=True)
class NotFetched:
    """It will not be: why in one word, and in words."""

    order_id: str
    why: str
    detail: str


@dataclass(slots=True)
class _Job:
    order_id: str
    bundle: Bundle
    off: threading.Event
    shown: int = -1
    damaged: int = 0


class _EndError(Exception):
    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why, self.detail = why, detail


class _AgainError(Exception):
    """This try brought nothing; another may."""


class UpdateFetcher:
    """`begin` and `call_off` from the controller's thread; what comes of it is posted."""

    def __init__(self, settings: FetchSettings, files: UpdateFiles, post: Callable[[object], None]) -> None:
        self._settings, self._files, self._post = settings, files, post
        self._asked = threading.Condition()
        self._job: _Job | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="update-fetch", daemon=True)

    def start(self) -> None:
        """Begin to wait for work."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread; what was fetched stays. Idempotent."""
        with self._asked:
            self._stopping = True
            self._call_off()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def begin(self, order_id: str, bundle: Bundle) -> None:
        """Fetch this one, instead of another one."""
        with self._asked:
            self._call_off()
            self._job = _Job(order_id, bundle, threading.Event())
            self._asked.notify_all()

    def call_off(self) -> None:
        """Nothing is fetched any more."""
        with self._asked:
            self._call_off()

    def _call_off(self) -> None:
        if self._job is not None:
            self._job.off.set()
        self._job = None
        self._asked.notify_all()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                said = self._done(job)
            except Exception as error:  # noqa: BLE001  what a stranger's bytes come to ends one fetching, not the thread
                said = NotFetched(job.order_id, str(Why.NOT_FETCHED), f"{type(error).__name__}: {error}"[:300])
            with self._asked:
                if self._job is not job:
                    continue  # called off meanwhile
                self._job = None
            self._post(said)

    def _next(self) -> _Job | None:
        with self._asked:
            self._asked.wait_for(lambda: self._stopping or self._job is not None)
            return None if self._stopping else self._job

    def _done(self, job: _Job) -> Fetched | NotFetched:
        patience, tries = self._settings.patience, 0
        end_s = _now_s() + patience.give_up_s
        self._files.keep_only(job.bundle)
        while not job.off.is_set():
            try:
                self._fetch(job)
                self._judge(job)
                return Fetched(job.order_id)
            except _EndError as error:
                return self._ended(job, error)
            except (_AgainError, http.client.HTTPException, LinkError, OSError) as error:
                if isinstance(error, OSError) and error.errno in _ROOM_GONE:
                    return self._ended(job, _EndError(str(Why.NO_ROOM), "the disk ran full while it was fetched"))
                why, tries = f"{error}"[:300] or type(error).__name__, tries + 1
                if _now_s() >= end_s:
                    return self._ended(job, _EndError(str(Why.NOT_FETCHED), why))
                longest_s = min(patience.cap_s, patience.first_s * 2.0 ** min(tries - 1, 20))
                job.off.wait(longest_s * (0.5 + random.random() / 2))  # noqa: S311  spread, not secrecy
        return NotFetched(job.order_id, str(Why.CALLED_OFF), "")

    def _ended(self, job: _Job, end: _EndError) -> NotFetched:
        self._files.keep_only(None)
        return NotFetched(job.order_id, end.why, end.detail)

    def _fetch(self, job: _Job) -> None:
        """From where it stands to its end. Raises _EndError, _AgainError, OSError, HTTPException, LinkError."""
        part, size = self._files.part(job.bundle), job.bundle.size_bytes
        if self._files.whole(job.bundle).exists():
            return
        part.touch(0o600)
        with part.open("r+b") as file:
            if file.seek(0, os.SEEK_END) > size:
                _empty(file)
            if not self._files.room(job.bundle):
                raise _EndError(str(Why.NO_ROOM), "too little room on the disk")
            if file.tell() < size:
                self._transfer(job, file)
            file.flush()
            os.fsync(file.fileno())
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != job.bundle.sha256:
            part.unlink()
            job.damaged += 1
            if job.damaged > 1:
                raise _EndError(str(Why.DAMAGED), "twice it was not the file that was announced")
            raise _AgainError("it is not the file that was announced")
        part.rename(self._files.whole(job.bundle))

    def _transfer(self, job: _Job, file: BinaryIO) -> None:
        s, size, have = self._settings, job.bundle.size_bytes, file.tell()
        context: ssl.SSLContext = tls_context(s.ca, s.cert, s.key)
        line = http.client.HTTPSConnection(s.host, s.port, timeout=s.patience.silent_s, context=context)
        try:
            line.request(
                "GET", f"/bundles/{job.bundle.sha256}.tar", headers={"Range": f"bytes={have}-"} if have else {}
            )
            answer = line.getresponse()
            if answer.status == HTTPStatus.PARTIAL_CONTENT and have:
                if answer.getheader("Content-Range") != f"bytes {have}-{size - 1}/{size}":
                    raise _AgainError(
                        f"the server sends another part than asked: {answer.getheader('Content-Range')!r}"
                    )
            elif answer.status == HTTPStatus.OK:
                _empty(file)
            else:
                raise _AgainError(f"the server answers {answer.status} {answer.reason}"[:200])
            self._take(job, answer, file)
        finally:
            line.close()

    def _take(self, job: _Job, answer: http.client.HTTPResponse, file: BinaryIO) -> None:
        size, began_s, taken, unsynced = job.bundle.size_bytes, _now_s(), 0, 0
        while chunk := answer.read(_CHUNK_BYTES):
            if file.tell() + len(chunk) > size:
                _empty(file)
                raise _AgainError("the server sends more than was announced")
            file.write(chunk)
            taken, unsynced = taken + len(chunk), unsynced + len(chunk)
            if unsynced >= _SYNC_BYTES:
                file.flush()
                os.fsync(file.fileno())
                unsynced = 0
            self._show(job, file.tell())
            early_s = taken / self._settings.bytes_per_s - (_now_s() - began_s)
            if job.off.wait(max(0.0, early_s)):
                raise _AgainError("called off")
        if file.tell() < size:
            raise _AgainError(f"the line broke at {file.tell()} of {size} bytes")

    def _judge(self, job: _Job) -> None:
        why, detail = self._files.judged(job.bundle)
        if why:
            raise _EndError(why, detail)

    def _show(self, job: _Job, have: int) -> None:
        percent = have * 100 // job.bundle.size_bytes // _SHOWN_PERCENT * _SHOWN_PERCENT
        if percent != job.shown:
            job.shown = percent
            self._post(FetchProgress(job.order_id, percent))


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
