"""Opening the journal whatever state it is in: a good one as it is, a bad one moved aside, its good rows rescued."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.journal import Row, Skipped
from agent.outbox_schema import Epoch, JournalDamagedError, Moment
from agent.outbox_store import Store

_TAIL_ROWS = 2000  # checked at every start; older rows are checked when they are read
_QUICK_CHECK_BYTES = 64 * 1024 * 1024
_KEPT_QUARANTINES = 3
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR)
_SIDE_FILES = ("", "-wal", "-shm")


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


def open_journal(path: Path, device: str, when: Moment) -> Opened:
    """Open the journal of `device`, or start a new epoch where there is none that can be trusted.

    Raises:
        sqlite3.Error, OSError: the disk or the permissions are at fault, not the content.
    """
    existed = path.exists()
    try:
        store = Store(path)
        try:
            _check(store, device)
        except BaseException:
            store.close()
            raise
    except (JournalDamagedError, sqlite3.Error) as e:
        if not is_damage(e):
            raise
        return replace_journal(path, device, when, str(e), first_bad=getattr(e, "seq", None))
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
            seq = _after(store.read(e, seq, 500)[-1])


def _after(item: Row | Skipped) -> int:
    return (item.seq if isinstance(item, Row) else item.last) + 1


def replace_journal(path: Path, device: str, when: Moment, why: str, *, first_bad: int | None) -> Opened:
    """Move a journal aside and go on in a new one, with the good rows that the server lacks and the facts.

    The new epoch's first row names the last row known of the old one, why, and the file's new name.
    """
    aside = _move_aside(path, when.wall_ms)
    store = Store(path)
    last: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
    with contextlib.suppress(sqlite3.Error, JournalDamagedError, FileNotFoundError):
        last, facts = _rescue(aside, store, device)
    body: dict[str, Any] = {"reason": "quarantined", "why": why[:500], "kept_as": aside.name, **last}
    if first_bad is not None:
        body["first_bad"] = first_bad
    store.begin_epoch(device, when, body, facts)
    return Opened(store, "quarantined", f"{why}; kept as {aside.name}")


def _move_aside(path: Path, wall_ms: int) -> Path:
    aside, n = path.with_name(f"{path.name}.quarantined-{wall_ms}"), 0
    while aside.exists():
        n += 1
        aside = path.with_name(f"{path.name}.quarantined-{wall_ms}-{n}")
    for side in _SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + side).rename(aside.with_name(aside.name + side))
    older = [p for p in path.parent.glob(f"{path.name}.quarantined-*") if not p.name.endswith(("-wal", "-shm"))]
    for extra in sorted(older, key=lambda p: p.stat().st_mtime)[:-_KEPT_QUARANTINES]:
        for side in _SIDE_FILES:
            extra.with_name(extra.name + side).unlink(missing_ok=True)
    return aside


def _rescue(aside: Path, store: Store, device: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Copy what the server lacks, up to the first bad row of each epoch; returns the last good row and the facts."""
    aside.stat()  # opening what is not there would make it
    with contextlib.closing(Store(aside, strict=False)) as old:
        last: dict[str, Any] = {}
        for e in old.epochs:
            if e.device != device:
                continue
            good = _copy(old, store, e)
            if good is not None:
                last = {"previous_epoch": e.name, "last_seq": good[0], "last_hash": good[1]}
        return last, old.facts() if last else {}


def _copy(old: Store, store: Store, e: Epoch) -> tuple[int, str] | None:
    """Copy one epoch's rows after the acknowledged ones; returns the last good row's number and hash."""
    seq = e.acked + 1
    before = old.hash_at(e, e.acked)
    if before is None:
        return None
    copy = Epoch(len(store.epochs) + 1, e.name, e.device, e.acked, before, e.closed or "quarantined",
                 e.acked, before, e.acked)  # fmt: skip
    while seq <= e.last_seq:
        try:
            items = old.read(e, seq, 100)
        except (JournalDamagedError, sqlite3.Error):
            items = _one_by_one(old, e, seq)
            store.adopt(copy, items)
            break
        store.adopt(copy, items)
        seq = _after(items[-1])
    return copy.last_seq, copy.last_hash


def _one_by_one(old: Store, e: Epoch, seq: int) -> list[Row | Skipped]:
    items: list[Row | Skipped] = []
    with contextlib.suppress(JournalDamagedError, sqlite3.Error):
        while seq <= e.last_seq:
            items += old.read(e, seq, 1)
            seq = _after(items[-1])
    return items
