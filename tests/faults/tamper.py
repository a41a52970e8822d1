"""Somebody edits a door's journal: every edit is noticed, by `verify` with the first bad row, or by the server.

python -m tests.faults.tamper --n 200
The last line printed is one JSON object: tried, noticed, by_verify, by_server, wrong_row.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from agent.core.events import Kind, Priority, Record
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, canonical, row_hash
from agent.core.sync import Ack, Verdict, judge
from agent.errors import StoreError
from agent.outbox_open import open_journal
from agent.outbox_report import verify
from agent.outbox_schema import Moment, key
from agent.outbox_store import Store
from agent.wire import Hello
from deploy.community.ingest import Chain, Taken, take_hello, take_rows
from deploy.community.ledger import Ledger, SqliteConnection

_ROWS, _ACKED = 120, 80
_DEVICE = "s1/d1"


def _moment(n: int) -> Moment:
    return Moment("boot-1", n * 1000, 1_790_000_000_000 + n * 1000, ClockQuality.NTP)


def _record(n: int) -> Record:
    return Record(Kind.ACCESS_GRANTED, {"n": n, "person_id": f"p-{n % 7}"}, Priority.NORMAL)


class Server:
    """The real server's ledger; it has the rows it has acknowledged, and has heard how many more there are."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(SqliteConnection(path))

    def hello(self, store: Store) -> tuple[list[str], Ack]:
        h = store.sending().head()
        hello = Hello(device=_DEVICE, nonce="0" * 16, epoch=h.epoch, first=h.first, before_first=h.before_first,
                      last=h.last, last_hash=h.last_hash, acked=h.acked, clock="ntp", utc_ms=0, version="")  # fmt: skip
        return self._apply(take_hello(self.ledger.chain(_DEVICE, h.epoch), hello))

    def rows(self, items: list[Row | Skipped], epoch: str) -> tuple[list[str], Ack]:
        chain = self.ledger.chain(_DEVICE, epoch) or Chain(epoch)
        return self._apply(take_rows(chain, items, lambda seq: self.ledger.hash_of(_DEVICE, epoch, seq)))

    def _apply(self, taken: Taken) -> tuple[list[str], Ack]:
        with self.ledger.transaction():
            alarms = self.ledger.apply(_DEVICE, taken, 0).alarms
        assert taken.ack is not None
        return [a.word for a in alarms], taken.ack


def complaint(path: Path, server: Server) -> str | None:
    """The door starts on the journal as it now is, goes on living, and connects. Who complains, and of what?"""
    opened = open_journal(path, _DEVICE, _moment(_ROWS + 1))
    store = opened.store
    try:
        if opened.word == "quarantined":
            return f"door: {opened.detail}"
        store.append([(_moment(_ROWS + 1), _record(0))] * 45)
        alarms, ack = server.hello(store)
        e = store.sending()
        verdict = judge(
            e.head(), ack, store.hash_at(e, ack.next - 1) if ack.next - 1 <= e.last_seq else None, fresh=True
        )
        if not alarms and verdict is not Verdict.HOLDS:
            return f"door: {verdict}"
        alarms = alarms or server.rows(store.read(e, ack.next, 500), e.name)[0]
        return f"server: {alarms[0]}" if alarms else None
    finally:
        store.close()


def _build(path: Path, older: Path, server: Server, rng: random.Random) -> None:
    """A journal of _ROWS rows: the server has _ACKED of them and has heard of all. `older` is an early copy of it."""
    early = rng.randint(30, _ROWS - 20)
    for first, last in ((1, early), (early, _ROWS)):
        store = open_journal(path, _DEVICE, _moment(0)).store
        store.append([(_moment(n), _record(n)) for n in range(first, last)])
        if last == _ROWS:
            server.hello(store)
            server.rows(store.read(store.current, 1, _ACKED), store.current.name)
            store.current.acked = _ACKED
            store.save_acked()
        store.close()
        if last == early:
            shutil.copy(path, older)


# ---------------------------------------------------------------- the edits; each returns the first row it touched


class Edit:
    """An open journal with its guards taken off, as somebody with a root shell would have it."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.rng = rng
        self.db = sqlite3.connect(path, isolation_level=None)
        for name in ("rows_never_change", "rows_stay"):
            self.db.execute(f"DROP TRIGGER IF EXISTS {name}")
        self.seq = rng.randint(2, _ROWS - 2)

    def run(self, sql: str, *params: object) -> None:
        self.db.execute(sql, params)

    def witness(self, seq: int) -> None:
        """Make the file's note of its newest row agree with the edit."""
        head = json.loads(self.db.execute("SELECT value FROM facts WHERE key = '.head'").fetchone()[0])
        digest = self.db.execute("SELECT hash FROM rows WHERE id = ?", (key(1, seq),)).fetchone()[0]
        head |= {"seq": seq, "hash": digest.hex(), "acked": {"1": min(seq, head["acked"]["1"])}}
        self.run("UPDATE facts SET value = ? WHERE key = '.head'", json.dumps(head))

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
    for seq in range(e.seq + 1, _ROWS + 1):
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
    for seq in range(_ROWS, e.seq - 1, -1):
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
    e.run("UPDATE rows SET kind = ?, body = ? WHERE id = ?", str(Kind.CHECKPOINT), body, key(1, _ROWS))
    e.reseal(_ROWS)
    return 0


IN_PLACE: tuple[Callable[[Edit], int], ...] = (
    edit_body, edit_column, delete_row, delete_and_close_up, swap_rows, truncate, truncate_and_hide, edit_and_reseal,
    delete_and_reseal, insert_and_reseal, fold_away, prune_away, fake_checkpoint,
)  # fmt: skip
WHOLE_FILE = ("roll back", "clone", "remove", "overwrite bytes")


def _whole_file(how: str, path: Path, older: Path, rng: random.Random, server: Server) -> None:
    if how == "roll back":
        shutil.copy(older, path)
    elif how == "remove":
        path.unlink()
    elif how == "clone":  # the original lives on and talks to the server; then its twin does
        twin = path.with_name("twin.db")
        shutil.copy(path, twin)
        store = Store(twin)
        store.append([(_moment(_ROWS + 2), _record(1))] * 10)
        server.hello(store)
        server.rows(store.read(store.current, _ACKED + 1, 500), store.current.name)
        store.close()
    else:
        content = bytearray(path.read_bytes())
        places = [m.start() for m in re.finditer(rb'"person_id":"p-', bytes(content))]
        at = rng.choice(places)  # in a row's text: elsewhere lies space that nobody reads
        content[at : at + 12] = rng.randbytes(12)
        path.write_bytes(content)


def attempt(n: int, folder: Path) -> dict[str, object]:
    """One edit of a fresh journal, and who noticed."""
    rng = random.Random(n)  # noqa: S311  repeatable
    path, older = folder / "journal.db", folder / "older.db"
    server = Server(folder / "community.db")
    _build(path, older, server, rng)
    ways = (*IN_PLACE, *WHOLE_FILE)
    way = ways[n % len(ways)]
    expected = 0
    if callable(way):
        edit = Edit(path, rng)
        expected = way(edit)
        edit.db.close()
    else:
        _whole_file(way, path, older, rng, server)
    bad = _verified(path)
    complains = complaint(path, server)
    server.ledger.close()
    return {
        "way": way.__name__ if callable(way) else way,
        "verify": bad[0] if bad else None,
        "wrong_row": bool(expected and bad and bad[1] != expected),
        "complaint": complains,
    }


def _verified(path: Path) -> tuple[str, int] | None:
    try:
        report = verify(path)
    except StoreError as e:
        return str(e), 0
    return (report.bad[0].why, report.bad[0].seq) if report.bad else None


def run(n: int) -> tuple[dict[str, int], list[dict[str, object]]]:
    """All attempts; the second value lists those that nobody noticed."""
    results = []
    for i in range(n):
        with tempfile.TemporaryDirectory() as folder:
            results.append(attempt(i, Path(folder)))
    unnoticed = [r for r in results if not r["verify"] and not r["complaint"]]
    counts = {
        "tried": n,
        "noticed": n - len(unnoticed),
        "by_verify": sum(bool(r["verify"]) for r in results),
        "by_server_or_door": sum(bool(r["complaint"]) for r in results),
        "wrong_row": sum(bool(r["wrong_row"]) for r in results),
    }
    return counts, unnoticed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    counts, unnoticed = run(parser.parse_args().n)
    for one in unnoticed:
        print(json.dumps(one))  # noqa: T201
    print(json.dumps(counts))  # noqa: T201
    return int(counts["noticed"] != counts["tried"])


if __name__ == "__main__":
    sys.exit(main())
