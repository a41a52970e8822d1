"""What the server needs of a database, and SQLite as one; the other is in postgres.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from agent.errors import StoreError

_ITS_OWN: Final = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
)  # fmt: skip


class Connection(Protocol):
    """What is needed of a database: statements with `?`, each committed by itself unless between BEGIN and COMMIT."""

    serial: str

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, return its rows."""

    def hold(self, devices: Sequence[str]) -> None:
        """Within a transaction, before anything is read: nobody else works on these doors until it ends."""

    def away(self, e: Exception) -> bool:
        """Whether what failed is the database (gone, full, locked), not what was asked of it."""

    def close(self) -> None:
        """Let go."""


class SqliteConnection:
    """A file. WAL and FULL: what was acknowledged survives a power cut."""

    serial = "INTEGER PRIMARY KEY"

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"{path}: cannot be opened as the server's database ({e})") from e

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See Connection."""
        return self._db.execute(sql, params).fetchall()

    def hold(self, devices: Sequence[str]) -> None:
        """See Connection: a file has one server process, so there is nobody else."""

    def away(self, e: Exception) -> bool:
        """See Connection."""
        return isinstance(e, sqlite3.Error) and getattr(e, "sqlite_errorcode", 0) & 0xFF in _ITS_OWN

    def close(self) -> None:
        """See Connection."""
        self._db.close()
