"""What lies beside the journal: the lock that keeps a second agent out, and the ballast to give back on a full disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from agent.errors import StoreError

_NO_ROOM_BYTES = 2 * 1024 * 1024
_TAKES_NOTHING = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)


class FolderLock:
    """Held from start to stop; the kernel lets go of it when the process dies."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._fd: int | None = None

    def take(self) -> None:
        """Raises StoreError when the folder can't be used or another process holds the lock."""
        path = self._journal
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = _opened(path.with_name(path.name + ".lock"))
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StoreError(f"{path}: another door-agent is using it; stop that one first") from e
        except OSError as e:
            raise StoreError(f"{path.parent}: cannot be written ({e.strerror}); check its owner and mode") from e

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _opened(path: Path) -> int:
    """The lock's file; on a disk that takes nothing the one that is there, or else its folder."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        if e.errno not in _TAKES_NOTHING:
            raise
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)


class Ballast:
    """At 100 % of a disk even DELETE and checkpoint fail: a spare megabyte is kept to be given back then."""

    def __init__(self, journal: Path, size_bytes: int) -> None:
        self._path = journal.with_name(journal.name + ".ballast")
        self._size_bytes = size_bytes

    def keep(self) -> None:
        """Have it on the disk whenever the disk has room for it several times over."""
        try:
            space = os.statvfs(self._path.parent)
            if self._path.exists() or space.f_bavail * space.f_frsize < 4 * self._size_bytes:
                return
            with self._path.open("wb") as f:
                os.posix_fallocate(f.fileno(), 0, self._size_bytes)
        except OSError:  # no room: nothing to give back, nothing lost
            self.give_back()

    def give_back(self) -> None:
        """Free its space."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_full(journal: Path) -> bool:
    """Whether the disk has no room to speak of."""
    try:
        space = os.statvfs(journal.parent)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < _NO_ROOM_BYTES


def bytes_on_disk(journal: Path) -> int:
    """The database file and its write-ahead log."""
    size = 0
    for side in ("", "-wal"):
        with contextlib.suppress(OSError):
            size += journal.with_name(journal.name + side).stat().st_size
    return size
