"""Reading an SQLite file (WAL) on a disk that takes nothing: mounted read-only, or full to the last byte.

SQLite itself needs to write beside such a file before it can read it. What it has not folded in yet (the write-ahead
log) belongs to the content all the same: it may hold the very row that locked the door down.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

_COPIED_BYTES = 64 * 1024 * 1024  # the copy lies in memory on most devices


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that reads what is there, its write-ahead log included, and writes nothing beside the file.

    For a file that nobody can be writing at the moment; one in use is read in the ordinary way, which is tried first.

    Raises:
        sqlite3.Error, OSError: it can't be read this way either.
    """
    try:
        return _connected(f"{path.absolute().as_uri()}?mode=ro")
    except sqlite3.OperationalError:
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            return _copied(path, log)
        return _connected(f"{path.absolute().as_uri()}?mode=ro&immutable=1")


def _copied(path: Path, log: Path) -> sqlite3.Connection:
    """From a copy elsewhere, which has no name any more once it is open."""
    if path.stat().st_size + log.stat().st_size > _COPIED_BYTES:
        raise sqlite3.OperationalError(f"{path} is too large to be read from a copy")
    with tempfile.TemporaryDirectory(dir=os.environ.get("RUNTIME_DIRECTORY")) as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        db = _connected(copy.as_uri())
        db.execute("PRAGMA query_only=ON")
        return db


def _connected(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        db.execute("PRAGMA mmap_size=0")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # fails here and now or not at all
    except BaseException:
        db.close()
        raise
    return db
