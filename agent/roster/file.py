"""Opening the roster's file, for writing where the disk lets it, and changing it all or nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.errors import StoreError
from agent.read_only import connect_read_only

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DISK: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
_WAIT_MS: Final = 5000
_AGAIN_S: Final = 0.01


class StoreBusyError(StoreError):
    """Somebody else is writing to the file, for longer than one waits."""


def open_roster(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it may write: on a disk that takes nothing the roster is read all the same.

    `prepare` checks the version and brings the tables up to date.

    Raises:
        StoreBusyError: another process holds it up.
        StoreError: it is no roster, or can't be read.
    """
    try:
        try:
            return _opened(sqlite3.connect(path, isolation_level=None), path, prepare), True
        except sqlite3.OperationalError as e:
            if not path.exists() or _busy(e):
                raise
        return _checked(connect_read_only(path), prepare), False
    except (sqlite3.DatabaseError, OSError) as e:
        if isinstance(e, StoreError):
            raise
        raise _unusable(path, e) from e


def _opened(db: sqlite3.Connection, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        _to_wal(db)
        for pragma in ("synchronous=FULL", "mmap_size=0", "secure_delete=ON", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA busy_timeout=0")
        _try_to_write(db)
        db.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
        path.chmod(0o600)
    except BaseException:
        db.close()
        raise
    return _checked(db, prepare)


def _to_wal(db: sqlite3.Connection) -> None:
    """SQLite waits for no one here when two turn the same new file at once: each holds what the other needs."""
    end_s = time.monotonic() + _WAIT_MS / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as e:
            if not _busy(e) or time.monotonic() > end_s:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _try_to_write(db: sqlite3.Connection) -> None:
    """A disk that takes nothing says so now; one to which somebody else is writing takes something."""
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.OperationalError as e:
        if not _busy(e):
            raise


def _busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


def _checked(db: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _disk(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK


def _held_up(path: Path, error: BaseException) -> StoreBusyError:
    return StoreBusyError(f"{path}: another process is writing to it ({error}); try again in a moment")


def _unusable(path: Path, error: BaseException) -> StoreError:
    """A file that is only held up, or whose place cannot be written, is not to be moved away."""
    if _busy(error):
        return _held_up(path, error)
    if _disk(error):
        return StoreError(f"{path}: cannot be opened or written ({error}); look at the card, its space and the owner")
    return StoreError(f"{path}: not a usable roster ({error}); move it away, then enrol again")


class Transaction:
    """Everything within or nothing; `verify` has the last word before it is kept, by raising.

    Raises:
        StoreBusyError: somebody else is writing.
        StoreError: it could not be written; nothing was changed.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, verify: Callable[[], None] = lambda: None) -> None:
        self._db, self._path, self._verify = db, path, verify

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as e:
            raise (_held_up(self._path, e) if _busy(e) else self._unwritten(e)) from e

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._verify()
                self._db.execute("COMMIT")
        except sqlite3.Error as e:
            raise self._unwritten(e) from e
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise self._unwritten(error) from error

    def _unwritten(self, error: sqlite3.Error) -> StoreError:
        if not _disk(error):
            return _unusable(self._path, error)
        return StoreError(
            f"{self._path}: could not be written ({error}); free some space on the card, or mount it for writing again"
        )
