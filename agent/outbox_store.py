"""An open journal: rows that never change, several epochs of which the last one grows.

What a row shares with its neighbours (door, epoch, boot, previous hash) is stored once and put back when it is read,
and every row read is checked against its hash: a damaged row never leaves this file as if it were good.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.core.events import Kind, Priority, Record
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, canonical, fitting_body, row_hash, sealed
from agent.outbox_schema import Epoch, JournalDamagedError, Moment, connect, key, row_from, seq_of, transaction

_HEAD = ".head"
_NOT_SENT = ("fork", "restored")
_MARK_COLUMNS = 4
_NOT_AS_WRITTEN = (AttributeError, TypeError, ValueError, KeyError)  # what values of the wrong type lead to
_MARKS = """SELECT id, last, hash, declared FROM skipped
    WHERE id BETWEEN (SELECT coalesce(max(id), :first) FROM skipped WHERE id BETWEEN :low AND :first) AND :last
    ORDER BY id LIMIT :limit"""
_ROWS = """SELECT id, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, hash
    FROM rows JOIN boots ON no = boot WHERE id BETWEEN :first AND :last ORDER BY id LIMIT :limit"""


class Store:
    """An open journal. Not for two threads at once: the outbox's thread owns it."""

    def __init__(self, path: Path, *, writable: bool = True, strict: bool = True) -> None:
        """Open a journal, or make an empty one, still without an epoch, where there is no file.

        `strict` refuses one whose end was cut off; to rescue rows from it, open it without.

        Raises:
            JournalDamagedError: it is not a journal, of an unknown version, or contradicts itself.
            sqlite3.Error: SQLite's own refusal.
        """
        self.path = path
        self.db = connect(path, writable=writable)
        if not writable:
            self.db.execute("BEGIN")  # one view of it all, while the agent may be writing
        self.epochs: list[Epoch] = []
        self.floor_ms = 0
        self._boots: dict[str, int] = {}
        self._witness: Mapping[str, Any] = {}
        try:
            self._load(strict=strict)
        except _NOT_AS_WRITTEN as e:
            self.db.close()
            raise JournalDamagedError(f"its own notes are not as written ({type(e).__name__})") from e
        except BaseException:
            self.db.close()
            raise

    def _load(self, *, strict: bool) -> None:
        head = self._witness = self._fact(_HEAD) or {}
        self.floor_ms = int(head.get("floor_ms", 0))
        query = "SELECT no, epoch, device, base_seq, base_hash, closed FROM epochs ORDER BY no"
        for no, name, device, base_seq, base_hash, closed in self.db.execute(query).fetchall():
            e = Epoch(no, name, device, base_seq, base_hash, closed)
            ends = [(base_seq, base_hash)]
            span = (key(no, 0), key(no + 1, 0) - 1)
            for table, column in (("rows", "id"), ("skipped", "last")):
                query = f"SELECT {column}, hash FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"  # noqa: S608  fixed names
                ends += [(seq_of(end), h.hex()) for end, h in self.db.execute(query, span)]
            e.last_seq, e.last_hash = max(ends)
            e.acked = max(int(head.get("acked", {}).get(str(no), 0)), base_seq)
            self.epochs.append(e)
        for e in self.epochs if strict else ():
            promised = self.promised(e)
            if promised is not None and promised != (e.last_seq, e.last_hash):
                raise JournalDamagedError("the newest rows are missing or not the ones written", e.last_seq + 1)

    def promised(self, e: Epoch) -> tuple[int, str] | None:
        """Number and hash of the newest row as the file's second note of it has them, for the epoch it speaks of."""
        if self._witness.get("no") == e.no:
            return int(self._witness.get("seq", 0)), str(self._witness.get("hash"))
        return (e.acked, "") if e.acked > e.last_seq or e is self.epochs[-1] else None

    def close(self) -> None:
        """Close the connection; SQLite folds the write-ahead log back in."""
        self.db.close()

    @property
    def current(self) -> Epoch:
        """The epoch that grows."""
        return self.epochs[-1]

    def sending(self) -> Epoch:
        """The epoch to talk about with the server: the oldest with rows it lacks, else the current one."""
        waiting = (e for e in self.epochs if e.acked < e.last_seq and e.closed not in _NOT_SENT)
        return next(waiting, self.current)

    def depth(self) -> int:
        """Rows that the server lacks."""
        return sum(e.last_seq - e.acked for e in self.epochs if e.closed not in _NOT_SENT)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on the disk when it ends."""
        try:
            with transaction(self.db):
                yield
        except BaseException:
            self._boots.clear()
            raise

    def begin_epoch(
        self, device: str, when: Moment, body: Mapping[str, Any], facts: Mapping[str, Any] | None = None
    ) -> Row:
        """Start a new chain whose first row has `body`; the one before it is closed as body["reason"] says."""
        last = self.epochs[-1] if self.epochs else None
        new = Epoch(last.no + 1 if last else 1, secrets.token_hex(16), device)
        closes = last is not None and last.closed is None
        with self.transaction():
            if last is not None and closes:
                self.db.execute("UPDATE epochs SET closed = ? WHERE no = ?", (body["reason"], last.no))
            self._put_epoch(new)
            record = Record(Kind.EPOCH, body, Priority.HIGH)
            row = self._insert_row(new, self._floored(when), record, 1, GENESIS)
            self._put_facts(facts or {})
            self._write_head(replace(new, last_seq=1, last_hash=row.hash))
        if last is not None and closes:
            last.closed = str(body["reason"])
        new.last_seq, new.last_hash = 1, row.hash
        self.epochs.append(new)
        return row

    def append(self, records: Sequence[tuple[Moment, Record]]) -> list[Row]:
        """Store records and their facts in one transaction; on the disk when this returns."""
        floor_ms = self.floor_ms
        try:
            with self.transaction():
                rows = self.append_within(records)
        except BaseException:
            self.floor_ms = floor_ms
            raise
        self.current.last_seq, self.current.last_hash = rows[-1].seq, rows[-1].hash
        return rows

    def append_within(self, records: Sequence[tuple[Moment, Record]]) -> list[Row]:
        """Like `append`, inside a transaction of the caller's, who moves `current` on once it has committed."""
        e, rows = self.current, list[Row]()
        seq, prev = e.last_seq, e.last_hash
        for when, record in records:
            row = self._insert_row(e, self._floored(when), record, seq + 1, prev)
            rows.append(row)
            seq, prev = row.seq, row.hash
            self._put_facts({k: v for k, v in (record.facts or {}).items() if not k.startswith(".")})
        self._write_head(replace(e, last_seq=seq, last_hash=prev))
        return rows

    def _floored(self, m: Moment) -> Moment:
        """A clock that can't be believed is at least not allowed behind a time known to have passed."""
        if m.clock is ClockQuality.NTP:
            self.floor_ms = m.wall_ms
            return m
        return replace(m, wall_ms=self.floor_ms, clock=ClockQuality.FLOOR) if m.wall_ms < self.floor_ms else m

    def _put_epoch(self, e: Epoch) -> None:
        values = (e.no, e.name, e.device, e.base_seq, e.base_hash, e.closed)
        self.db.execute("INSERT INTO epochs VALUES (?,?,?,?,?,?)", values)

    def _insert_row(self, e: Epoch, when: Moment, record: Record, seq: int, prev: str) -> Row:
        row = sealed(Row(
            e.device, e.name, seq, when.boot_id, when.boottime_ms, when.wall_ms, when.clock, str(record.kind),
            int(record.priority), fitting_body(record.body), prev,
        ))  # fmt: skip
        self._put_row(e, row)
        return row

    def _put_row(self, e: Epoch, row: Row) -> None:
        values = (
            key(e.no, row.seq), self._boot_no(row.boot_id), row.boottime_ms, row.wall_ms, str(row.clock), row.kind,
            row.priority, canonical(row.body), bytes.fromhex(row.hash),
        )  # fmt: skip
        self.db.execute("INSERT INTO rows VALUES (?,?,?,?,?,?,?,?,?)", values)

    def _boot_no(self, boot_id: str) -> int:
        if boot_id not in self._boots:
            self.db.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
            self._boots.update(self.db.execute("SELECT boot_id, no FROM boots WHERE boot_id = ?", (boot_id,)))
        return self._boots[boot_id]

    def _put_facts(self, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            if value is None:
                self.db.execute("DELETE FROM facts WHERE key = ?", (name,))
            else:
                self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def _write_head(self, current: Epoch) -> None:
        acked = {str(e.no): e.acked for e in [*self.epochs, current]}
        head = {"no": current.no, "seq": current.last_seq, "hash": current.last_hash}
        self._put_facts({_HEAD: {**head, "acked": acked, "floor_ms": self.floor_ms}})

    def save_acked(self) -> None:
        """Write what the server has. Rarely needed: after a crash the next hello brings it back."""
        with self.transaction():
            self._write_head(self.current)

    def adopt(self, e: Epoch, items: Sequence[Row | Skipped]) -> None:
        """Add rows of an older epoch, rescued from another file, in order; `e` is or becomes the last epoch here."""
        with self.transaction():
            if e not in self.epochs:
                self._put_epoch(e)
                self.epochs.append(e)
            for item in items:
                if isinstance(item, Row):
                    self._put_row(e, item)
                    e.last_seq, e.last_hash = item.seq, item.hash
                else:
                    self.put_skipped(e, item)
                    e.last_seq, e.last_hash = item.last, item.hash
            self._write_head(e)

    def close_epoch(self, e: Epoch, why: str) -> None:
        """Say why an epoch no longer grows; 'fork' and 'restored' also end its sending."""
        with self.transaction():
            self.db.execute("UPDATE epochs SET closed = ? WHERE no = ?", (why, e.no))
        e.closed = why

    def put_skipped(self, e: Epoch, mark: Skipped) -> None:
        """Mark a range as folded or dropped, within a transaction."""
        values = (key(e.no, mark.first), mark.last, bytes.fromhex(mark.hash), mark.declared)
        self.db.execute("INSERT INTO skipped VALUES (?,?,?,?)", values)

    def _fact(self, name: str) -> Any:  # noqa: ANN401  whatever JSON was stored
        row = self.db.execute("SELECT value FROM facts WHERE key = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def facts(self) -> dict[str, Any]:
        """The door's facts."""
        return {k: json.loads(v) for k, v in self.db.execute("SELECT key, value FROM facts WHERE key NOT LIKE '.%'")}

    def epoch(self, name: str) -> Epoch | None:
        """The epoch of that name."""
        return next((e for e in self.epochs if e.name == name), None)

    def hash_at(self, e: Epoch, seq: int) -> str | None:
        """The hash of a row; None where it was folded away or never was."""
        if seq == e.base_seq:
            return e.base_hash
        for query in ("SELECT hash FROM rows WHERE id = :id",
                      "SELECT hash FROM skipped WHERE id BETWEEN :low AND :id AND last = :seq"):  # fmt: skip
            row = self.db.execute(query, {"id": key(e.no, seq), "low": key(e.no, 0), "seq": seq}).fetchone()
            if row is not None:
                return str(row[0].hex())
        return None

    def rows(self, e: Epoch, seqs: Sequence[int]) -> list[Row]:
        """Single rows, those that are there. Raises JournalDamagedError for a changed one."""
        return [i for seq in seqs for i in self.read(e, seq, 1) if isinstance(i, Row) and i.seq == seq]

    def read(self, e: Epoch, first: int, limit: int) -> list[Row | Skipped]:
        """At most `limit` rows and marks from `first` on, in order, each row checked.

        Raises:
            JournalDamagedError: a row is missing or was changed; `seq` says which.
        """
        try:
            return self._read(e, first, limit)
        except _NOT_AS_WRITTEN as error:
            raise JournalDamagedError("is not as written", first) from error

    def _read(self, e: Epoch, first: int, limit: int) -> list[Row | Skipped]:
        span = {"low": key(e.no, 0), "first": key(e.no, first), "last": key(e.no, e.last_seq), "limit": limit}
        marks = self.db.execute(_MARKS, span).fetchall()
        items = [(max(first, seq_of(m[0])), m) for m in marks if m[1] >= first]
        items += [(seq_of(found[0]), found) for found in self.db.execute(_ROWS, span)]
        items.sort(key=lambda item: item[0])
        return self._chained(e, first, items[:limit])

    def _chained(self, e: Epoch, first: int, items: list[tuple[int, Any]]) -> list[Row | Skipped]:
        out: list[Row | Skipped] = []
        seq, prev = first, self.hash_at(e, first - 1)
        if not items and first <= e.last_seq:
            raise JournalDamagedError("is missing", first)
        for at, found in items:
            if at != seq:
                raise JournalDamagedError("is missing", min(at, seq))
            if len(found) == _MARK_COLUMNS:
                mark = Skipped(at, found[1], found[2].hex(), found[3])
                out.append(mark)
                seq, prev = mark.last + 1, mark.hash
                continue
            if prev is None:
                raise JournalDamagedError("is missing", seq - 1)
            row = row_from(e, at, found, prev)
            if row_hash(row) != row.hash:
                raise JournalDamagedError("was changed after it was written", seq)
            out.append(row)
            seq, prev = seq + 1, row.hash
        return out
