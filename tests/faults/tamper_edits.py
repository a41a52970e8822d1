"""Edits of a journal, as somebody with a root shell makes them; each returns the first row it touched, 0: none."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.events import Kind
from agent.core.journal import GENESIS, Row, canonical, row_hash
from agent.journal.facts import Facts
from agent.journal.schema import key, seq_of

ROWS = 120  # of the epoch that is edited


class Edit:
    """An open journal with its guards taken off, as somebody with a root shell would have it."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.rng = rng
        self.db = sqlite3.connect(path, isolation_level=None)
        for name in ("rows_never_change", "rows_stay"):
            self.db.execute(f"DROP TRIGGER IF EXISTS {name}")
        self.seq = rng.randint(2, ROWS - 2)

    def run(self, sql: str, *params: object) -> None:
        self.db.execute(sql, params)

    def witness(self, seq: int) -> None:
        """Make the file's note of its newest row agree with the edit."""
        head = json.loads(self.db.execute("SELECT value FROM facts WHERE key = '.head'").fetchone()[0])
        digest = self.db.execute("SELECT hash FROM rows WHERE id = ?", (key(1, seq),)).fetchone()[0]
        head |= {"seq": seq, "hash": digest.hex(), "acked": {"1": min(seq, head["acked"]["1"])}}
        self.run("UPDATE facts SET value = ? WHERE key = '.head'", json.dumps(head))

    def head(self, **changes: object) -> dict[str, Any]:
        """The file's own note, with changes."""
        head = json.loads(self.db.execute("SELECT value FROM facts WHERE key = '.head'").fetchone()[0]) | changes
        self.run("UPDATE facts SET value = ? WHERE key = '.head'", json.dumps(head))
        return dict(head)

    def reseal(self, first: int) -> None:
        """Recompute every hash from row `first` on: a forger who knows the format."""
        device, epoch = self.db.execute("SELECT device, epoch FROM epochs").fetchone()
        prev = GENESIS
        if first > 1:
            prev = self.db.execute("SELECT hash FROM rows WHERE id = ?", (key(1, first - 1),)).fetchone()[0].hex()
        found = self.db.execute(
            "SELECT id, boot_id, boottime_ms, wall_ms, clock, kind, priority, body FROM rows JOIN boots ON no = boot"
            " WHERE id >= ? ORDER BY id", (key(1, first),)).fetchall()  # fmt: skip
        for n, (row_id, boot_id, boottime_ms, wall_ms, clock, kind, priority, body) in enumerate(found):
            row = Row(
                device, epoch, first + n, boot_id, boottime_ms, wall_ms, clock, kind, priority, json.loads(body), prev
            )
            prev = row_hash(row)
            self.run("UPDATE rows SET id = ?, hash = ? WHERE id = ?", key(1, first + n), bytes.fromhex(prev), row_id)
        self.witness(first + len(found) - 1)


def edit_body(e: Edit) -> int:
    e.run("UPDATE rows SET body = ? WHERE id = ?", canonical({"n": e.seq, "person_id": "p-x"}), key(1, e.seq))
    return e.seq


def edit_column(e: Edit) -> int:
    name, value = e.rng.choice([("wall_ms", 5), ("kind", "Door/Doorbell"), ("priority", 0), ("clock", "none"),
                                ("boottime_ms", 7), ("hash", bytes(32)), ("body", "{"), ("boot", 99)])  # fmt: skip
    e.run(f"UPDATE rows SET {name} = ? WHERE id = ?", value, key(1, e.seq))  # noqa: S608  fixed names
    return e.seq


def delete_row(e: Edit) -> int:
    e.run("DELETE FROM rows WHERE id = ?", key(1, e.seq))
    return e.seq


def delete_and_close_up(e: Edit) -> int:
    delete_row(e)
    for seq in range(e.seq + 1, ROWS + 1):
        e.run("UPDATE rows SET id = ? WHERE id = ?", key(1, seq - 1), key(1, seq))
    return e.seq


def swap_rows(e: Edit) -> int:
    for a, b in ((e.seq, 0), (e.seq + 1, e.seq), (0, e.seq + 1)):
        e.run("UPDATE rows SET id = ? WHERE id = ?", key(1, b), key(1, a))
    return e.seq


def truncate(e: Edit) -> int:
    e.run("DELETE FROM rows WHERE id >= ?", key(1, e.seq))
    return e.seq


def truncate_and_hide(e: Edit) -> int:
    truncate(e)
    e.witness(e.seq - 1)
    return 0


def edit_and_reseal(e: Edit) -> int:
    edit_body(e)
    e.reseal(e.seq)
    return 0


def delete_and_reseal(e: Edit) -> int:
    delete_row(e)
    e.reseal(e.seq)
    return 0


def insert_and_reseal(e: Edit) -> int:
    for seq in range(ROWS, e.seq - 1, -1):
        e.run("UPDATE rows SET id = ? WHERE id = ?", key(1, seq + 1), key(1, seq))
    columns = "boot, boottime_ms, wall_ms, clock, kind, priority, body, hash"
    e.run(f"INSERT INTO rows SELECT ?, {columns} FROM rows WHERE id = ?", key(1, e.seq), key(1, e.seq - 1))  # noqa: S608
    e.reseal(e.seq)
    return 0


def fold_away(e: Edit) -> int:
    """Pretend that the quota took them."""
    digest = e.db.execute("SELECT hash FROM rows WHERE id = ?", (key(1, e.seq),)).fetchone()[0]
    e.run("DELETE FROM rows WHERE id = ?", key(1, e.seq))
    e.run("INSERT INTO skipped VALUES (?, ?, ?, ?)", key(1, e.seq), e.seq, digest, e.seq + 1)
    return e.seq


def prune_away(e: Edit) -> int:
    """Pretend that the rows were acknowledged and pruned."""
    digest = e.db.execute("SELECT hash FROM rows WHERE id = ?", (key(1, e.seq),)).fetchone()[0]
    e.run("DELETE FROM rows WHERE id <= ?", key(1, e.seq))
    e.run("UPDATE epochs SET base_seq = ?, base_hash = ?", e.seq, digest.hex())
    return 0


def fake_checkpoint(e: Edit) -> int:
    """Prune with a made-up checkpoint row at the end, every hash recomputed."""
    prune_away(e)
    digest = e.db.execute("SELECT base_hash FROM epochs").fetchone()[0]
    name = e.db.execute("SELECT epoch FROM epochs").fetchone()[0]
    body = canonical({"epoch": name, "pruned_to": e.seq, "hash": digest})
    e.run("UPDATE rows SET kind = ?, body = ? WHERE id = ?", str(Kind.CHECKPOINT), body, key(1, ROWS))
    e.reseal(ROWS)
    return 0


def edit_fact(e: Edit) -> int:
    """The lock-down is lifted, the counter of an order's key goes back."""
    name, value = e.rng.choice([("mode", '"Locked-"'), ("counter", '{"office": 1}'), ("mode", "{")])
    e.run("UPDATE facts SET value = ? WHERE key = ?", value, name)
    return 0


def edit_fact_and_hide(e: Edit) -> int:
    """And the file's own note of the facts is made to agree."""
    edit_fact(e)
    e.head(facts=Facts(e.db).digest())
    return 0


def edit_fact_and_reseal(e: Edit) -> int:
    """And so is the row that says what the facts are, and every hash after it."""
    edit_fact_and_hide(e)
    seq, body = e.db.execute(
        'SELECT id, body FROM rows WHERE body LIKE \'%"facts":"%\' ORDER BY id DESC LIMIT 1'
    ).fetchone()
    changed = canonical({**json.loads(body), "facts": Facts(e.db).digest()})
    e.run("UPDATE rows SET body = ? WHERE id = ?", changed, seq)
    e.reseal(seq_of(seq))
    return 0


def delete_fact(e: Edit) -> int:
    e.run("DELETE FROM facts WHERE key = ?", e.rng.choice(["mode", "counter"]))
    return 0


def claim_delivered(e: Edit) -> int:
    """The unsent rows are noted as acknowledged, so that they are never sent."""
    head = e.head()
    e.head(acked={**head["acked"], "1": max(ROWS, head["acked"]["1"])})
    return 0


def reopen_epoch(e: Edit) -> int:
    e.run("UPDATE epochs SET closed = NULL WHERE no = 1")
    return 0


def close_epoch(e: Edit) -> int:
    e.run("UPDATE epochs SET closed = ? WHERE no = (SELECT max(no) FROM epochs)", e.rng.choice(["fork", "quarantined"]))
    return 0


def rename_epoch(e: Edit) -> int:
    e.run("UPDATE epochs SET epoch = ? WHERE no = 1", "f" * 32)
    return 0


def move_base(e: Edit) -> int:
    """The epoch begins later than it does, as if rows had been pruned."""
    seq = e.db.execute("SELECT min(id) + 10 FROM rows").fetchone()[0]
    digest = e.db.execute("SELECT hash FROM rows WHERE id = ?", (seq,)).fetchone()[0].hex()
    e.run("DELETE FROM rows WHERE id <= ?", seq)
    e.run("UPDATE epochs SET base_seq = ?, base_hash = ? WHERE no = 1", seq_of(seq), digest)
    return 0


def drop_epoch(e: Edit) -> int:
    """The older epoch is taken out whole."""
    for table in ("rows", "skipped"):
        e.run(f"DELETE FROM {table} WHERE id < ?", key(2, 0))  # noqa: S608  fixed names
    e.run("DELETE FROM epochs WHERE no = 1")
    return 0


def edit_older_epoch(e: Edit) -> int:
    seq = e.db.execute("SELECT max(id) - 2 FROM rows WHERE id < ?", (key(2, 0),)).fetchone()[0]
    e.run("UPDATE rows SET body = ? WHERE id = ?", canonical({"n": 1, "person_id": "p-x"}), seq)
    return seq_of(seq)


def cut_older_epoch(e: Edit) -> int:
    """The end of an epoch that no longer grows is taken off."""
    last = e.db.execute("SELECT max(id) FROM rows WHERE id < ?", (key(2, 0),)).fetchone()[0]
    e.run("DELETE FROM rows WHERE id BETWEEN ? AND ?", last - 4, last)
    head = e.head()
    e.head(acked={**head["acked"], "1": min(head["acked"]["1"], seq_of(last) - 5)})
    return 0


def uncarry(e: Edit) -> int:
    """Copies of carried rows are taken out, the rest is sealed anew, the originals count as carried."""
    last = e.db.execute("SELECT max(id) FROM rows").fetchone()[0]
    e.run("DELETE FROM rows WHERE id > ?", last - 10)
    digest = e.db.execute("SELECT hash FROM rows WHERE id = ?", (last - 10,)).fetchone()[0].hex()
    e.head(seq=seq_of(last) - 10, hash=digest)
    return 0


def widen_mark(e: Edit) -> int:
    """A folded range takes a neighbour with it."""
    at = e.db.execute("SELECT max(id) FROM skipped").fetchone()[0]
    e.run("DELETE FROM rows WHERE id = ?", at - 1)
    e.run("UPDATE skipped SET id = id - 1 WHERE id = ?", at)
    return seq_of(at) - 1


def shorten_mark(e: Edit) -> int:
    at = e.db.execute("SELECT max(id) FROM skipped").fetchone()[0]
    e.run("UPDATE skipped SET id = id + 1 WHERE id = ?", at)
    return seq_of(at)


def edit_mark(e: Edit) -> int:
    column, value = e.rng.choice([("hash", bytes(32)), ("declared", 3), ("last", 999_999)])
    e.run(f"UPDATE skipped SET {column} = ?", value)  # noqa: S608  fixed names
    return 0


def drop_mark(e: Edit) -> int:
    at = e.db.execute("SELECT min(id) FROM skipped").fetchone()[0]
    e.run("DELETE FROM skipped WHERE id = ?", at)
    return seq_of(at)


Way = Callable[[Edit], int]


Way = Callable[[Edit], int]
IN_PLACE: tuple[Way, ...] = (
    edit_body, edit_column, delete_row, delete_and_close_up, swap_rows, truncate, truncate_and_hide, edit_and_reseal,
    delete_and_reseal, insert_and_reseal, fold_away, prune_away, fake_checkpoint, edit_fact, edit_fact_and_hide,
    edit_fact_and_reseal, delete_fact, close_epoch, rename_epoch, move_base,
)  # fmt: skip
MARKS: tuple[Way, ...] = (widen_mark, shorten_mark, edit_mark, drop_mark)
EPOCHS: tuple[Way, ...] = (
    drop_epoch, edit_older_epoch, cut_older_epoch, reopen_epoch, rename_epoch, close_epoch, edit_fact,
)  # fmt: skip
