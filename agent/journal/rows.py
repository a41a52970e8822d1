"""Reading rows: what a row shares with its neighbours is put back, and every row read is checked against its hash."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from agent.core.events import Priority
from agent.core.journal import GENESIS, Row, Skipped, row_hash
from agent.journal.schema import Epoch, JournalDamagedError, key, row_from, seq_of

NOT_AS_WRITTEN = (AttributeError, TypeError, ValueError, KeyError)  # what values of the wrong type lead to
MAX_EPOCHS = 16  # kept at once: each commit notes where every one of them stands
_MARK_COLUMNS = 4
_HASH_BYTES = 32
_MARKS = """SELECT id, last, hash, declared FROM skipped
    WHERE id BETWEEN (SELECT coalesce(max(id), :first) FROM skipped WHERE id BETWEEN :low AND :first) AND :last
    ORDER BY id LIMIT :limit"""
_ROWS = """SELECT id, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, hash
    FROM rows JOIN boots ON no = boot WHERE id BETWEEN :first AND :last ORDER BY id LIMIT :limit"""

_ALARMS = "SELECT id FROM rows WHERE id BETWEEN ? AND ? AND priority = ? ORDER BY id DESC LIMIT ?"


class PrunedError(LookupError):
    """Asked for a row from before the oldest one here."""


class RowReader:
    """The reading half of Store."""

    db: sqlite3.Connection
    epochs: list[Epoch]

    def unsent_alarms(self, count: int) -> tuple[tuple[str, int], ...]:
        """Epoch and number of the newest alarm rows that the server lacks, oldest first, at most `count`."""
        found: list[tuple[str, int]] = []
        for e in reversed(self.epochs):
            span = (key(e.no, e.acked + 1), key(e.no, e.last_seq), int(Priority.ALARM), count - len(found))
            found += [(e.name, seq_of(row_id)) for (row_id,) in self.db.execute(_ALARMS, span)]
        return tuple(reversed(found))

    def hash_at(self, e: Epoch, seq: int) -> str | None:
        """The hash of a row; None where it was folded away or never was."""
        if seq == e.base_seq:
            return e.base_hash
        for query in ("SELECT hash FROM rows WHERE id = :id",
                      "SELECT hash FROM skipped WHERE id BETWEEN :low AND :id AND last = :seq"):  # fmt: skip
            row = self.db.execute(query, {"id": key(e.no, seq), "low": key(e.no, 0), "seq": seq}).fetchone()
            if row is not None:
                return hexed(row[0])
        return None

    def surplus(self) -> list[Epoch]:
        """The oldest chains beyond MAX_EPOCHS whose rows the server has all, or has under another name."""
        return [e for e in self.epochs[:-MAX_EPOCHS] if e.acked >= e.last_seq]

    def rows(self, e: Epoch, seqs: Sequence[int]) -> list[Row]:
        """Single rows, those that are there. Raises JournalDamagedError for a changed one."""
        here = [seq for seq in seqs if e.base_seq < seq <= e.last_seq]
        return [i for seq in here for i in self.read(e, seq, 1) if isinstance(i, Row) and i.seq == seq]

    def read(self, e: Epoch, first: int, limit: int) -> list[Row | Skipped]:
        """At most `limit` rows and marks from `first` on, in order, each row checked.

        Raises:
            JournalDamagedError: a row is missing or was changed; `seq` says which.
            PrunedError: `first` was deleted after it had been kept as long as it had to be; nothing is wrong with it.
        """
        if first <= e.base_seq:
            raise PrunedError(f"rows 1 to {e.base_seq} of {e.name} are not kept any more; {first} is one of them")
        try:
            return self._read(e, first, limit)
        except NOT_AS_WRITTEN as error:
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


def hexed(digest: object) -> str:
    """A stored hash as 64 hex digits; what is none never equals a row's."""
    return digest.hex() if isinstance(digest, bytes) and len(digest) == _HASH_BYTES else GENESIS


def last_of(items: Sequence[Row | Skipped]) -> int:
    """The number of the last row of what `read` returned."""
    newest = items[-1]
    return newest.last if isinstance(newest, Skipped) else newest.seq
