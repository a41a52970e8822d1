"""The journal's file format: tables, version, and what opening one takes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.acknowledgement import Head
from agent.core.journal import GENESIS, ClockQuality, Row
from agent.read_only import connect_read_only

APPLICATION_ID = 0x444F4F52  # "DOOR"
SCHEMA_VERSION = 1
MIGRATIONS: Mapping[int, tuple[str, ...]] = {}  # from version -> the statements that lead to the next one
# from version -> the statements that lead back to the one before. No release may change the format without them: an
# update that fails its health gate could not be taken back without losing rows
WAY_BACK: Mapping[int, tuple[str, ...]] = {}
EPOCH_SHIFT = 40

SCHEMA = (
    """CREATE TABLE epochs (
        no INTEGER PRIMARY KEY,
        epoch TEXT NOT NULL UNIQUE,
        device TEXT NOT NULL,
        base_seq INTEGER NOT NULL,   -- rows up to here were acknowledged and have been pruned
        base_hash TEXT NOT NULL,
        closed TEXT                  -- why it no longer grows; 'fork' and 'restored': the rest goes on in a later one
    )""",
    "CREATE TABLE boots (no INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE)",
    """CREATE TABLE rows (
        id INTEGER PRIMARY KEY,      -- number of the epoch * 2**40 + seq
        boot INTEGER NOT NULL,
        boottime_ms INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        clock TEXT NOT NULL,
        kind TEXT NOT NULL,
        priority INTEGER NOT NULL,
        body TEXT NOT NULL,
        hash BLOB NOT NULL
    )""",
    """CREATE TABLE skipped (
        id INTEGER PRIMARY KEY,      -- of the first row folded or dropped
        last INTEGER NOT NULL,       -- seq
        hash BLOB NOT NULL,
        declared INTEGER NOT NULL    -- seq of the row that says so
    )""",
    # the door's facts; under .head the newest row, what the server has, and a time known to have passed
    "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER rows_never_change BEFORE UPDATE ON rows
        BEGIN SELECT RAISE(ABORT, 'journal rows never change'); END""",
    """CREATE TRIGGER rows_stay BEFORE DELETE ON rows WHEN NOT EXISTS (SELECT 1 FROM facts WHERE key = '.pruning')
        BEGIN SELECT RAISE(ABORT, 'journal rows are only pruned by the outbox'); END""",
)


class JournalDamagedError(Exception):
    """The file is not what was written. `seq` is the first bad row where that is known."""

    def __init__(self, why: str, seq: int | None = None) -> None:
        super().__init__(why if seq is None else f"row {seq}: {why}")
        self.seq = seq


def connect(path: Path, *, writable: bool = True) -> sqlite3.Connection:
    """A connection to a journal of this version; without a file, to a new empty one.

    Not `writable`: also where nothing can be written.

    Raises:
        JournalDamagedError: not a journal, or of a version that this release can't read.
        sqlite3.Error: SQLite's own refusal.
    """
    if writable:
        # opened by one thread and handed to another: never used by two
        uri = f"{path.absolute().as_uri()}?mode=rwc"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    else:
        db = connect_read_only(path)
    db.text_factory = lambda raw: raw.decode(errors="replace")  # spoiled text must end in a wrong hash, not in an error
    try:
        db.execute("PRAGMA mmap_size=0")
        db.execute("PRAGMA cache_size=-2048")
        if writable:
            _prepare(db)
        _check_version(db, writable=writable)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    empty = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if empty:
        db.execute("PRAGMA page_size=2048")  # a commit touches two pages: 9 KB reach the card, with 4096 it is 13 KB
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA journal_size_limit=4194304")
    if empty:
        with transaction(db):
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _check_version(db: sqlite3.Connection, *, writable: bool) -> None:
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise JournalDamagedError("not a door's journal")
    version = _pragma(db, "user_version")
    if version > SCHEMA_VERSION:
        raise JournalDamagedError(f"written by a newer release (version {version}, this one reads {SCHEMA_VERSION})")
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS or not writable:
            raise JournalDamagedError(f"written by an older release (version {version}) that this one can't read")
        with transaction(db):
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            version += 1
            db.execute(f"PRAGMA user_version={version}")


def downgrade(path: Path, to_version: int) -> None:
    """Lead a journal back to an older version; nobody else may have it open. Rows stay as they are.

    Raises:
        JournalDamagedError: there is no way back to that version.
        sqlite3.Error: SQLite's own refusal.
    """
    with contextlib.closing(connect(path)) as db, transaction(db):
        for version in range(_pragma(db, "user_version"), to_version, -1):
            if version not in WAY_BACK:
                raise JournalDamagedError(f"version {version} has no way back")
            for statement in WAY_BACK[version]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version={version - 1}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, on the disk when it ends."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk may have rolled back by itself
            db.execute("ROLLBACK")
        raise


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def key(no: int, seq: int) -> int:
    """The primary key of a row."""
    return (no << EPOCH_SHIFT) + seq


def epoch_of(row_id: int) -> int:
    """The number of the epoch in a primary key."""
    return row_id >> EPOCH_SHIFT


def seq_of(row_id: int) -> int:
    """The sequence number in a primary key."""
    return row_id & ((1 << EPOCH_SHIFT) - 1)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was recorded, as the clocks of that moment had it."""

    boot_id: str
    boottime_ms: int
    wall_ms: int
    clock: ClockQuality


@dataclass(slots=True)
class Epoch:
    """One chain. Rows base_seq + 1 to last_seq are in the file, or marked as skipped."""

    no: int
    name: str
    device: str
    base_seq: int = 0
    base_hash: str = GENESIS
    closed: str | None = None
    last_seq: int = 0
    last_hash: str = GENESIS
    acked: int = 0
    unsure_to: int = 0  # up to here no row has a trustworthy clock: not looked at again

    def head(self) -> Head:
        """What the conversation with the server is about."""
        return Head(self.name, self.base_seq + 1, self.last_seq, self.acked, self.base_hash, self.last_hash)


def row_from(e: Epoch, seq: int, found: tuple[Any, ...], prev: str) -> Row:
    """Put a row back together from its columns. Raises JournalDamagedError where they make no row."""
    _, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, digest = found
    try:
        return Row(
            e.device, e.name, seq, boot_id, boottime_ms, wall_ms, ClockQuality(clock), kind, priority,
            json.loads(body), prev, digest.hex(),
        )  # fmt: skip
    except (ValueError, AttributeError, TypeError) as error:
        raise JournalDamagedError("was changed after it was written", seq) from error
