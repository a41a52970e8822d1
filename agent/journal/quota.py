"""Keeping the journal inside its quota: what may be forgotten, in which order, and how each loss is accounted for.

Acknowledged rows older than the retention time, by a time that has passed for sure, go first; a checkpoint row says up
to where, and the server has them. So do the oldest chains, once there are many of them.
From 80 % on, acknowledged rows go whatever their age; after them low-priority rows that the server lacks are folded
into counters. From 95 % on the oldest rows of the lowest priority are dropped, alarms last. Folded and dropped rows
leave marks (range and hash) so that the chain still closes, and one chained row declares them, counted by kind.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.events import Json, Kind, Priority, Record
from agent.core.journal import COPY_OF, ClockQuality, Skipped
from agent.core.sync import WINDOW_ROWS
from agent.journal.schema import Epoch, Moment, key, seq_of
from agent.journal.store import NOT_SENT, Store

WARN, FOLD, DROP = 0.70, 0.80, 0.95
_FOLD_TO, _DROP_TO = 0.75, 0.90
_CHUNK_ROWS = 500  # rows a transaction deletes at most, so that a commit of new rows never waits long
_RANGES = 100  # of one declaring row: 100 ranges make a body of about 10 KB
_DAY_MS = 86_400_000
_TRUSTED = (ClockQuality.NTP, ClockQuality.RTC)
_LOOK_ROWS = 5000  # at a time, for one with a trustworthy clock
_SURE = f"""SELECT id, wall_ms FROM rows WHERE id BETWEEN ? AND ? AND clock IN (?, ?) AND wall_ms <= ?
    AND body NOT LIKE '%"{COPY_OF}":%' ORDER BY id LIMIT ?"""  # noqa: S608  a fixed name; copies are older than their place
_ROOM_BYTES = 512 * 1024  # some 2,000 rows
_WORTHWHILE_ROWS = 20  # replacing fewer would cost more than it frees
_KEEP_KINDS = (Kind.EPOCH, Kind.CHECKPOINT, Kind.FOLDED, Kind.TOMBSTONE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be kept for how long."""

    quota_bytes: int
    keep_days: float


def live_bytes(store: Store) -> int:
    """Bytes in use inside the database file."""
    pages, free, size = (
        int(store.db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def level(used: float) -> str:
    """The word for a share of the quota."""
    return next(
        (word for at, word in ((DROP, "quota-95"), (FOLD, "quota-80"), (WARN, "quota-70")) if used >= at), "quota-ok"
    )


def tidy(store: Store, limits: Limits, now: Moment) -> bool:
    """One bounded piece of work towards the rules above; True when there is more to do."""
    used = live_bytes(store) / limits.quota_bytes
    sure_ms = now.wall_ms if now.clock is ClockQuality.NTP else store.floor_ms  # a clock chip's 2099 would empty it
    old = prune(store, now, sure_ms - int(limits.keep_days * _DAY_MS), sure_ms=sure_ms)
    if old or (store.surplus() and prune(store, now, None, among=store.surplus())):
        return True
    if used < FOLD:
        return False
    if prune(store, now, None):
        return True
    if fold(store, now, Priority.LOW, Kind.FOLDED):
        return used > _FOLD_TO
    if used >= DROP:
        return any(fold(store, now, p, Kind.TOMBSTONE) for p in Priority) and used > _DROP_TO
    return False


def prune(
    store: Store,
    now: Moment,
    before_wall_ms: int | None,
    *,
    sure_ms: int | None = None,
    among: Sequence[Epoch] | None = None,
    shrink: bool = True,
) -> bool:
    """Delete the oldest acknowledged rows, those from before `before_wall_ms` or all; True when it deleted some.

    `sure_ms` is a wall time that has passed for sure (default: now), `among` the chains that it is about (default:
    all). With `shrink` the space is given back to the disk, else it is kept for new rows.
    """
    for e in store.epochs if among is None else among:
        top = min(e.acked, e.base_seq + _CHUNK_ROWS)
        if before_wall_ms is not None:
            top = min(top, _surely_before(store, e, before_wall_ms, now.wall_ms if sure_ms is None else sure_ms))
        last = _outside_marks(store, e, top)
        if last > e.base_seq:
            return _forget(store, now, e, last, shrink=shrink)
    return False


def _surely_before(store: Store, e: Epoch, before_wall_ms: int, now_wall_ms: int) -> int:
    """The newest of the oldest rows that a trustworthy clock says to be old enough; so is every row before it.

    Where the oldest ones have no such time, the first that has one speaks for them; how far was looked is remembered.
    """
    low = max(e.base_seq, e.unsure_to)
    span = (key(e.no, low + 1), key(e.no, min(e.acked, low + _LOOK_ROWS)))
    sure = store.db.execute(_SURE, (*span, *_TRUSTED, now_wall_ms, _CHUNK_ROWS)).fetchall()
    if not sure:
        e.unsure_to = min(e.acked, low + _LOOK_ROWS)
    return max((seq_of(row_id) for row_id, wall_ms in sure if wall_ms < before_wall_ms), default=0)


def _outside_marks(store: Store, e: Epoch, top: int) -> int:
    """Never within a skipped range: its last hash is all that is known of it."""
    mark = store.db.execute(
        "SELECT last FROM skipped WHERE id BETWEEN ? AND ? AND last > ?", (key(e.no, 0), key(e.no, top), top)
    ).fetchone()
    return top if mark is None else int(mark[0]) if mark[0] <= e.acked else e.base_seq


def _forget(store: Store, now: Moment, e: Epoch, last: int, *, shrink: bool) -> bool:
    """Delete a prefix; a chained row says up to where, so that nobody else can without being noticed."""
    base_hash = store.hash_at(e, last)
    if base_hash is None:  # within a skipped range after all: wait until the whole range is acknowledged
        return False
    span = (key(e.no, 0), key(e.no, last))
    body: dict[str, Json] = {"epoch": e.name, "pruned_to": last, "hash": base_hash}
    current = store.current
    whole = e is not current and last == e.last_seq
    with store.transaction(), _pruning(store):
        store.db.execute("DELETE FROM rows WHERE id BETWEEN ? AND ?", span)
        store.db.execute("DELETE FROM skipped WHERE id BETWEEN ? AND ?", span)
        if whole:
            store.db.execute("DELETE FROM epochs WHERE no = ?", (e.no,))
        else:
            store.db.execute("UPDATE epochs SET base_seq = ?, base_hash = ? WHERE no = ?", (last, base_hash, e.no))
        row = store.append_within([(now, Record(Kind.CHECKPOINT, body, Priority.LOW))])[-1]
    e.base_seq, e.base_hash = last, base_hash
    if whole:
        store.epochs.remove(e)
    current.last_seq, current.last_hash = row.seq, row.hash
    if shrink:
        store.db.execute("PRAGMA incremental_vacuum(256)").fetchall()
    return True


def make_room(store: Store, now: Moment) -> bool:
    """Room inside the file, on a disk that has none: the log starts anew, rows that the server has make way.

    True when there is more to do.

    Raises:
        sqlite3.Error: not even that can be written.
    """
    store.db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    free, size = (int(store.db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("freelist_count", "page_size"))
    return free * size < _ROOM_BYTES and prune(store, now, None, shrink=False)


def fold(store: Store, now: Moment, highest: Priority, kind: Kind) -> bool:
    """Replace the oldest rows up to priority `highest` that the server lacks by marks and one declaring row.

    Rows that may be on their way to the server stay. True when rows were replaced.
    """
    return any(_folded(store, e, now, highest, kind) for e in store.epochs if e.closed not in NOT_SENT)


def _folded(store: Store, e: Epoch, now: Moment, highest: Priority, kind: Kind) -> bool:
    """The same in one chain."""
    span = (key(e.no, e.acked + WINDOW_ROWS + 1), key(e.no, e.last_seq))
    found = store.db.execute(
        "SELECT id, kind, wall_ms, hash FROM rows WHERE id BETWEEN ? AND ? AND priority <= ?"
        " AND kind NOT IN (?, ?, ?, ?) ORDER BY id LIMIT ?",
        (*span, int(highest), *map(str, _KEEP_KINDS), _CHUNK_ROWS),
    ).fetchall()
    ranges = list[tuple[int, int, str]]()
    taken = 0
    for row_id, _, _, digest in found:
        seq = seq_of(row_id)
        joins = bool(ranges) and ranges[-1][1] == seq - 1
        if not joins and len(ranges) == _RANGES:
            break
        first = ranges.pop()[0] if joins else seq
        ranges.append((first, seq, digest.hex()))
        taken += 1
    if taken < _WORTHWHILE_ROWS:
        return False
    _replace(store, e, now, kind, ranges, found[:taken])
    return True


def _replace(
    store: Store, e: Epoch, now: Moment, kind: Kind, ranges: list[tuple[int, int, str]], found: list[Any]
) -> None:
    current = store.current
    body = {
        **({} if e is current else {"epoch": e.name}),
        "ranges": [list(r) for r in ranges],
        "count": len(found),
        "kinds": dict(Counter(str(f[1]) for f in found)),
        "from_ms": min(f[2] for f in found),
        "to_ms": max(f[2] for f in found),
    }
    with store.transaction(), _pruning(store):
        row = store.append_within([(now, Record(kind, body, Priority.HIGH))])[-1]
        for first, last, digest in ranges:
            store.db.execute("DELETE FROM rows WHERE id BETWEEN ? AND ?", (key(e.no, first), key(e.no, last)))
            store.put_skipped(e, Skipped(first, last, digest, row.seq))
    current.last_seq, current.last_hash = row.seq, row.hash
    store.db.execute("PRAGMA incremental_vacuum(256)").fetchall()


@contextlib.contextmanager
def _pruning(store: Store) -> Iterator[None]:
    """Opens the trigger that otherwise forbids deletion; only ever visible inside one transaction."""
    store.db.execute("INSERT INTO facts VALUES ('.pruning', '1')")
    yield
    store.db.execute("DELETE FROM facts WHERE key = '.pruning'")
