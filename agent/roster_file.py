"""Opening the roster's file, for writing where the disk lets it, and changing it all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from agent.errors import StoreError
from agent.read_only import connect_read_only


def open_roster(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it may write: on a disk that takes nothing the roster is read all the same.

    `prepare` checks the version and brings the tables up to date.

    Raises:
        StoreError: it is no roster, or can't be read.
    """
    try:
        try:
            return _opened(sqlite3.connect(path, isolation_level=None), path, prepare), True
        except sqlite3.OperationalError:
            if not path.exists():
                raise
        return _checked(connect_read_only(path), prepare), False
    except (sqlite3.DatabaseError, OSError) as e:
        if isinstance(e, StoreError):
            raise
        raise StoreError(f"{path}: not a usable roster ({e}); move it away, then enrol again") from e


def _opened(db: sqlite3.Connection, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "mmap_size=0", "secure_delete=ON", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN IMMEDIATE")  # a disk that takes nothing says so now
        db.execute("ROLLBACK")
        path.chmod(0o600)
    except BaseException:
        db.close()
        raise
    return _checked(db, prepare)


def _checked(db: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    try:
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


class Transaction:
    """All or nothing. Raises StoreError where it can't be written; nothing was changed then."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as e:
            raise self._not_written(e) from e

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.OperationalError as e:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._not_written(e) from e

    def _not_written(self, e: sqlite3.Error) -> StoreError:
        return StoreError(
            f"{self._path}: could not be written ({e}); free some space on the card, or mount it for writing again"
        )
