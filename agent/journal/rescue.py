"""A damaged journal is replaced: what it still holds is built into a new file beside it, which then takes its place.

The new file carries the rows that the server lacks, a mark for each range that can't be believed any more, the facts,
and an epoch whose first rows say all that. Until its last byte is on the disk the old one stays where it is, so a cut
at any moment means doing it again, or finishing it; never half of it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agent.core.events import Kind, Priority, Record
from agent.core.journal import GENESIS, Row, Skipped
from agent.journal.facts import readable
from agent.journal.rows import NOT_AS_WRITTEN, last_of
from agent.journal.schema import EPOCH_SHIFT, Epoch, JournalDamagedError, Moment, key
from agent.journal.store import Store

_T = TypeVar("_T")
_CHUNK_ROWS = 200
_RANGES = 100  # of one declaring row
_KEPT_QUARANTINES = 3
_ASIDE, _READY, _NEW = ".quarantined-", ".ready-", ".new"
_SIDE_FILES = ("-wal", "-shm", "")


def build_replacement(
    path: Path, device: str, when: Moment, why: str, *, first_bad: int | None, spare_bytes: int
) -> str:
    """Build what is to take the journal's place; returns the damaged file's name to be.

    The damaged files kept beside it are three at most, and `spare_bytes` together.

    Raises:
        sqlite3.Error, OSError: the disk takes nothing; the damaged journal is still where it was.
    """
    stamp = _stamp(path, when.wall_ms)
    _drop_quarantines(path, spare_bytes - _size(path), _KEPT_QUARANTINES - 1)
    new = path.with_name(path.name + _NEW)
    _remove(new)
    body: dict[str, Any] = {"reason": "quarantined", "why": why[:500], "kept_as": f"{path.name}{_ASIDE}{stamp}"}
    if first_bad is not None:
        body["first_bad"] = first_bad
    try:
        with contextlib.closing(Store(new)) as store:
            store.db.execute("PRAGMA synchronous=OFF")  # it counts when it is complete, and is flushed as a whole then
            _fill(path, store, device, when, body)
            store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        _flush(new)
    except BaseException:
        _remove(new)
        raise
    new.rename(path.with_name(f"{path.name}{_READY}{stamp}"))
    _flush(path.parent)
    return str(body["kept_as"])


def finish_replacement(path: Path) -> None:
    """Put a complete new journal in the damaged one's place; does what is left of it after a cut."""
    for ready in path.parent.glob(f"{path.name}{_READY}*"):
        if ready.name.endswith(_SIDE_FILES[:2]):
            continue
        aside = path.with_name(path.name + _ASIDE + ready.name.rpartition(_READY)[2])
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        for side in ("-wal", ""):  # the database last: while it is there, so is its log
            old = path.with_name(path.name + side)
            if old.exists() and old.stat().st_size:
                old.rename(aside.with_name(aside.name + side))
            else:
                old.unlink(missing_ok=True)
        ready.rename(path)
        _flush(path.parent)


def _fill(path: Path, store: Store, device: str, when: Moment, body: dict[str, Any]) -> None:
    facts: Mapping[str, Any] = {}
    spoiled: list[str] = []
    lost: list[tuple[Epoch, Skipped]] = []
    old = _opened(path)
    with contextlib.ExitStack() as stack:
        if old is not None:
            stack.callback(old.close)
            facts, spoiled = _or((facts, spoiled), lambda: readable(old.db))
            if spoiled:
                body["facts_lost"] = spoiled
            store.floor_ms = old.floor_ms
            copies = [_copy(old, store, e, lost) for e in old.epochs if e.device == device]
            for copy in copies[-1:]:
                body |= {"previous_epoch": copy.name, "last_seq": copy.last_seq, "last_hash": copy.last_hash}
            body["rescued"] = [[c.name, c.base_seq, c.base_hash, c.last_seq] for c in copies if c in store.epochs]
    if lost:
        body["lost"] = sum(mark.last - mark.first + 1 for _, mark in lost)
    store.begin_epoch(device, when, body, facts)
    _declare(store, when, lost)


def _opened(path: Path) -> Store | None:
    return _or(None, lambda: Store(path, writable=False, strict=False))


def _or(otherwise: _T, read: Callable[[], _T]) -> _T:
    """What can be read of the damaged file; its errors, unlike those of the new one, are what this is about."""
    try:
        return read()
    except (JournalDamagedError, sqlite3.DatabaseError, FileNotFoundError, *NOT_AS_WRITTEN):
        return otherwise


def _copy(old: Store, store: Store, e: Epoch, lost: list[tuple[Epoch, Skipped]]) -> Epoch:
    """One epoch's rows after the acknowledged ones; a mark stands for each range that can't be read or believed."""
    base, before = e.acked, _hash(old, e, e.acked)
    while before is None and base > e.base_seq:
        base -= 1
        before = _hash(old, e, base)
    copy = Epoch(len(store.epochs) + 1, e.name, e.device, base, before or e.base_hash, e.closed or "quarantined")
    copy.last_seq, copy.last_hash = copy.base_seq, copy.base_hash
    for items in _salvaged(old, e, base + 1):
        lost += [(copy, item) for item in items if isinstance(item, Skipped) and not item.declared]
        store.adopt(copy, items)
    copy.acked = min(e.acked, copy.last_seq)
    return copy


def _salvaged(old: Store, e: Epoch, seq: int) -> Iterator[list[Row | Skipped]]:
    end, chunk = _end(old, e), _CHUNK_ROWS
    while seq <= end[0]:
        items = _readable(old, e, seq, chunk)
        while not items and chunk > 1:
            chunk //= 4
            items = _readable(old, e, seq, max(chunk, 1))
        chunk = min(max(chunk, 1) * 2, _CHUNK_ROWS)
        items = items or [_hole(old, e, seq, end)]
        yield items
        seq = last_of(items) + 1


def _end(old: Store, e: Epoch) -> tuple[int, str]:
    """Number and hash of the newest row that there ever was, as far as the file knows."""
    promised = _or(None, lambda: old.promised(e))
    found = (e.last_seq, e.last_hash)
    if promised is None or len(promised[1]) != len(GENESIS) or promised[0] >= 1 << (EPOCH_SHIFT - 1):
        return found
    return max(found, promised)


def _hole(old: Store, e: Epoch, first: int, end: tuple[int, str]) -> Skipped:
    """From a row that can't be believed to the one before the next that can: that one's hash vouches for the link."""
    for seq in range(first + 1, e.last_seq + 1):
        if _readable(old, e, seq, 1):
            return Skipped(first, seq - 1, _hash(old, e, seq - 1) or GENESIS, 0)
    return Skipped(first, *end, 0)


def _readable(old: Store, e: Epoch, seq: int, limit: int) -> list[Row | Skipped]:
    return _or([], lambda: old.read(e, seq, limit) if seq <= e.last_seq else [])


def _hash(old: Store, e: Epoch, seq: int) -> str | None:
    return _or(None, lambda: old.hash_at(e, seq))


def _declare(store: Store, when: Moment, lost: list[tuple[Epoch, Skipped]]) -> None:
    """Chained rows that say which rows are gone, in the form of any other dropped range."""
    for e in store.epochs:
        marks = [mark for epoch, mark in lost if epoch is e]
        for at in range(0, len(marks), _RANGES):
            some = marks[at : at + _RANGES]
            body: dict[str, Any] = {
                "epoch": e.name,
                "why": "damaged",
                "ranges": [[m.first, m.last, m.hash] for m in some],
                "count": sum(m.last - m.first + 1 for m in some),
            }
            row = store.append([(when, Record(Kind.TOMBSTONE, body, Priority.ALARM))])[0]
            for m in some:
                store.db.execute("UPDATE skipped SET declared = ? WHERE id = ?", (row.seq, key(e.no, m.first)))


# ---------------------------------------------------------------- files


def _stamp(path: Path, wall_ms: int) -> str:
    stamp, n = str(wall_ms), 0
    while path.with_name(f"{path.name}{_ASIDE}{stamp}").exists():
        n += 1
        stamp = f"{wall_ms}-{n}"
    return stamp


def _drop_quarantines(path: Path, room_bytes: int, count: int) -> None:
    """The oldest go until `count` are left, `room_bytes` at most; what the server lacked has been carried over."""
    kept = [p for p in path.parent.glob(f"{path.name}{_ASIDE}*") if not p.name.endswith(_SIDE_FILES[:2])]
    kept.sort(key=lambda p: p.stat().st_mtime)
    while kept and (len(kept) > count or sum(map(_size, kept)) > room_bytes):
        _remove(kept.pop(0))


def _size(path: Path) -> int:
    files = (path.with_name(path.name + side) for side in _SIDE_FILES)
    return sum(f.stat().st_size for f in files if f.exists())


def _remove(path: Path) -> None:
    for side in _SIDE_FILES:
        path.with_name(path.name + side).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
