"""Opening the journal whatever state it is in: a good one as it is, a bad one moved aside, its good rows rescued."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.journal import Row, Skipped
from agent.journal.rescue import build_replacement, finish_replacement
from agent.journal.rows import last_of
from agent.journal.schema import JournalDamagedError, Moment
from agent.journal.store import Store

_TAIL_ROWS = 2000  # checked at every start; older rows are checked when they are read
_QUICK_CHECK_BYTES = 64 * 1024 * 1024
SPARE_BYTES = 256 * 1024 * 1024  # for damaged journals, which lie outside the quota
_REMEMBERED_ROWS = 60
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open journal, and what had to be done for it: `word` is ok, created or quarantined."""

    store: Store
    word: str
    detail: str = ""


def is_damage(e: Exception) -> bool:
    """True when the file's content is at fault, not the disk's space or the permissions."""
    if isinstance(e, JournalDamagedError):
        return True
    code = getattr(e, "sqlite_errorcode", None)
    return isinstance(e, sqlite3.DatabaseError) and code is not None and code & 0xFF in _CORRUPT


def open_journal(
    path: Path, device: str, when: Moment, *, spare_bytes: int = SPARE_BYTES, replacing: bool = True
) -> Opened:
    """Open the journal of `device`, or start a new epoch where there is none that can be trusted.

    `spare_bytes` bounds what damaged journals may take beside it. Without `replacing` a damaged one is left as it is,
    and its error raised.

    Raises:
        sqlite3.Error, OSError: the disk or the permissions are at fault, not the content.
    """
    finish_replacement(path)
    existed = path.exists()
    try:
        store = Store(path)
        try:
            _check(store, device)
        except BaseException:
            store.close()
            raise
    except (JournalDamagedError, sqlite3.Error) as e:
        if not (is_damage(e) and replacing):
            raise
        return replace_journal(path, device, when, str(e), first_bad=getattr(e, "seq", None), spare_bytes=spare_bytes)
    if store.epochs:
        return Opened(store, "ok")
    store.begin_epoch(device, when, {"reason": "created"})
    return Opened(store, "created", "the journal's file was missing" if not existed else "")


def _check(store: Store, device: str) -> None:
    if store.path.stat().st_size <= _QUICK_CHECK_BYTES:
        verdict = store.db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise JournalDamagedError(f"SQLite's check says: {verdict}")
    for e in store.epochs:
        if e.device != device:
            raise JournalDamagedError(f"belongs to {e.device}, this door is {device}")
        seq = max(e.base_seq + 1, e.last_seq - _TAIL_ROWS)
        while seq <= e.last_seq:
            seq = last_of(store.read(e, seq, 500)) + 1


def replace_journal(
    path: Path, device: str, when: Moment, why: str, *, first_bad: int | None, spare_bytes: int = SPARE_BYTES
) -> Opened:
    """Put a damaged journal aside and go on in a new one, with the rows that the server lacks and the facts.

    The new epoch's first row names the last row known of the old one, why, and the file's new name.

    Raises:
        sqlite3.Error, OSError: the disk takes nothing; nothing is lost, and this can be done again.
    """
    kept_as = build_replacement(path, device, when, why, first_bad=first_bad, spare_bytes=spare_bytes)
    finish_replacement(path)
    return Opened(Store(path), "quarantined", f"{why}; kept as {kept_as}")


@dataclass(frozen=True, slots=True)
class Stored:
    """How the door stood when its journal was last written.

    `newest` rows are oldest first, `floor_ms` is a time that has passed, `waited` says what of an outage is in it.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    newest: tuple[Row, ...] = ()
    floor_ms: int = 0
    waited: tuple[str, int] | None = None


def stored(store: Store) -> Stored:
    """What an open journal says of the door; rows that can't be believed are left out."""
    rows: list[Row | Skipped] = []
    with contextlib.suppress(JournalDamagedError, sqlite3.Error, IndexError):
        e = store.current
        rows = store.read(e, max(e.last_seq - _REMEMBERED_ROWS, e.base_seq) + 1, _REMEMBERED_ROWS)
    return Stored(store.facts(), tuple(i for i in rows if isinstance(i, Row)), store.floor_ms, store.waited())


def peek(path: Path) -> Stored | None:
    """The same of a journal that is damaged or lies on a disk that takes nothing; None: nothing of it can be read."""
    try:
        with contextlib.closing(Store(path, writable=False, strict=False)) as store:
            return stored(store)
    except (JournalDamagedError, sqlite3.Error, OSError):
        return None
