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
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, canonical, copied_body, fitting_body, sealed
from agent.journal import facts as outbox_facts
from agent.journal.rows import NOT_AS_WRITTEN, RowReader, hexed, last_of
from agent.journal.schema import Epoch, JournalDamagedError, Moment, connect, key, seq_of, transaction

_HEAD, _WAITED = ".head", ".waited"
NOT_SENT = ("fork", "restored")


class Store(RowReader):
    """An open journal. Not for two threads at once: the outbox's thread owns it."""

    def __init__(self, path: Path, *, writable: bool = True, strict: bool = True) -> None:
        """Open a journal, or make an empty one, still without an epoch, where there is no file.

        `strict` refuses one whose end was cut off or whose facts are not the ones written; to rescue what is left,
        open it without.

        Raises:
            JournalDamagedError: it is not a journal, of an unknown version, or contradicts itself.
            sqlite3.Error: SQLite's own refusal.
        """
        self.path = path
        self.db = connect(path, writable=writable)
        if not writable:
            self.db.execute("BEGIN")  # one view of it all, while the agent may be writing
        self.epochs = []
        self.floor_ms = 0
        self._boots: dict[str, int] = {}
        self._facts = outbox_facts.Facts(self.db)
        self._witness: Mapping[str, Any] = {}
        try:
            self._load(strict=strict)
        except NOT_AS_WRITTEN as e:
            self.db.close()
            raise JournalDamagedError(f"its own notes are not as written ({type(e).__name__})") from e
        except BaseException:
            self.db.close()
            raise

    def _load(self, *, strict: bool) -> None:
        head = self._witness = self._read_head(strict=strict)
        self.floor_ms = int(head.get("floor_ms", 0))
        acked = head.get("acked", {})
        query = "SELECT no, epoch, device, base_seq, base_hash, closed FROM epochs ORDER BY no"
        for no, name, device, base_seq, base_hash, closed in self.db.execute(query).fetchall():
            e = Epoch(no, name, device, base_seq, base_hash, closed)
            ends = [(base_seq, base_hash)]
            span = (key(no, 0), key(no + 1, 0) - 1)
            for table, column in (("rows", "id"), ("skipped", "last")):
                query = f"SELECT {column}, hash FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"  # noqa: S608  fixed names
                ends += [(seq_of(end), hexed(h)) for end, h in self.db.execute(query, span)]
            e.last_seq, e.last_hash = max(ends)
            e.acked = max(int(acked.get(str(no), 0)), base_seq)
            self.epochs.append(e)
        if strict:
            self._look_for_damage()

    def _read_head(self, *, strict: bool) -> Mapping[str, Any]:
        try:
            head = outbox_facts.one(self.db, _HEAD) or {}
            return {**head, "acked": {str(no): int(n) for no, n in head.get("acked", {}).items()}}
        except NOT_AS_WRITTEN:
            if strict:
                raise
            return {}

    def _look_for_damage(self) -> None:
        if any((e.closed is None) is not (e is self.epochs[-1]) for e in self.epochs):
            raise JournalDamagedError("which epoch grows is not as written")
        for e in self.epochs:
            promised = self.promised(e)
            if promised is not None and promised != (e.last_seq, e.last_hash):
                raise JournalDamagedError("the newest rows are missing or not the ones written", e.last_seq + 1)
        spoiled = outbox_facts.readable(self.db)[1]
        if spoiled:
            raise JournalDamagedError(f"the door's facts can't be read: {', '.join(spoiled)}")
        if self._witness.get("facts", self.facts_digest()) != self.facts_digest():
            raise JournalDamagedError("the door's facts are not the ones written")

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
        waiting = (e for e in self.epochs if e.acked < e.last_seq and e.closed not in NOT_SENT)
        return next(waiting, self.current)

    def refused(self) -> Epoch | None:
        """An epoch that the server takes no longer, with rows that it lacks."""
        return next((e for e in self.epochs[:-1] if e.acked < e.last_seq and e.closed in NOT_SENT), None)

    def depth(self) -> int:
        """Rows that the server lacks."""
        return sum(e.last_seq - e.acked for e in self.epochs)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on the disk when it ends."""
        try:
            with transaction(self.db):
                yield
        except BaseException:
            self._boots.clear()
            self._facts.read_again()
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
            self._facts.put(facts or {})
            row = self._insert_record(new, when, Record(Kind.EPOCH, body, Priority.HIGH), 1, GENESIS)
            self._write_head(replace(new, last_seq=1, last_hash=row.hash))
        if last is not None and closes:
            last.closed = str(body["reason"])
        new.last_seq, new.last_hash = 1, row.hash
        self.epochs.append(new)
        return row

    def append(self, records: Sequence[tuple[Moment, Record]], *, waited: tuple[str, int] | None = None) -> list[Row]:
        """Store records and their facts in one transaction; on the disk when this returns.

        `waited` is remembered with them: name of an outage and number of the newest of these that waited for its end.
        """
        floor_ms = self.floor_ms
        try:
            with self.transaction():
                rows = self.append_within(records)
                if waited is not None:
                    outbox_facts.put_one(self.db, _WAITED, json.dumps(waited))
        except BaseException:
            self.floor_ms = floor_ms
            raise
        self.current.last_seq, self.current.last_hash = rows[-1].seq, rows[-1].hash
        return rows

    def append_copies(self, e: Epoch, items: Sequence[Row | Skipped]) -> None:
        """Rows of a chain that the server does not take, once more in the epoch that grows, each with its old name.

        They keep their own times. Marks are not copied, the rows that declare them are.
        """
        current, acked = self.current, e.acked
        seq, prev = current.last_seq, current.last_hash
        try:
            with self.transaction():
                for row in (i for i in items if isinstance(i, Row)):
                    when = Moment(row.boot_id, row.boottime_ms, row.wall_ms, row.clock)
                    copy = self._insert_row(current, when, row.kind, row.priority, copied_body(row), seq + 1, prev)
                    seq, prev = copy.seq, copy.hash
                e.acked = last_of(items)
                self._write_head(replace(current, last_seq=seq, last_hash=prev))
        except BaseException:
            e.acked = acked
            raise
        current.last_seq, current.last_hash = seq, prev

    def append_within(self, records: Sequence[tuple[Moment, Record]]) -> list[Row]:
        """Like `append`, inside a transaction of the caller's, who moves `current` on once it has committed."""
        e, rows = self.current, list[Row]()
        seq, prev = e.last_seq, e.last_hash
        for when, record in records:
            self._facts.put({k: v for k, v in (record.facts or {}).items() if not k.startswith(".")})
            row = self._insert_record(e, when, record, seq + 1, prev)
            rows.append(row)
            seq, prev = row.seq, row.hash
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

    def _insert_record(self, e: Epoch, when: Moment, record: Record, seq: int, prev: str) -> Row:
        body = fitting_body(record.body)
        if outbox_facts.concerns(record.kind, record.facts or {}):
            body = {**body, outbox_facts.DIGEST: self.facts_digest()}
        return self._insert_row(e, self._floored(when), str(record.kind), int(record.priority), body, seq, prev)

    def _insert_row(
        self, e: Epoch, when: Moment, kind: str, priority: int, body: Mapping[str, Any], seq: int, prev: str
    ) -> Row:
        row = sealed(Row(
            e.device, e.name, seq, when.boot_id, when.boottime_ms, when.wall_ms, when.clock, kind, priority, body, prev,
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

    def facts_digest(self) -> str:
        """Names the door's facts as they stand."""
        return self._facts.digest()

    def _write_head(self, current: Epoch) -> None:
        acked = {str(e.no): e.acked for e in [*self.epochs, current]}
        head = {"no": current.no, "seq": current.last_seq, "hash": current.last_hash, "facts": self.facts_digest()}
        outbox_facts.put_one(self.db, _HEAD, json.dumps({**head, "acked": acked, "floor_ms": self.floor_ms}))

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
        """Say why an epoch no longer grows; of 'fork' and 'restored' the rest goes on under another name."""
        with self.transaction():
            self.db.execute("UPDATE epochs SET closed = ? WHERE no = ?", (why, e.no))
        e.closed = why

    def put_skipped(self, e: Epoch, mark: Skipped) -> None:
        """Mark a range as folded or dropped, within a transaction."""
        values = (key(e.no, mark.first), mark.last, bytes.fromhex(mark.hash), mark.declared)
        self.db.execute("INSERT INTO skipped VALUES (?,?,?,?)", values)

    def waited(self) -> tuple[str, int] | None:
        """What `append` was last told to remember."""
        try:
            name, number = outbox_facts.one(self.db, _WAITED) or ("", 0)
            return str(name), int(number)
        except NOT_AS_WRITTEN:
            return None

    def facts(self) -> dict[str, Any]:
        """The door's facts; a spoiled one is left out."""
        return outbox_facts.readable(self.db)[0]

    def epoch(self, name: str) -> Epoch | None:
        """The epoch of that name."""
        return next((e for e in self.epochs if e.name == name), None)
