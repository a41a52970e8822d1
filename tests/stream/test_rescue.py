"""A damaged journal: what is good in it reaches the server, what is not is declared, and no cut leaves half of that."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.core.events import Kind
from agent.core.journal import Row, Skipped
from agent.journal import rescue as outbox_rescue
from agent.journal.opening import open_journal
from agent.journal.rows import last_of
from agent.journal.schema import Moment, key
from agent.journal.store import Store
from agent.journal.verify import verify
from agent.wire import batch_json, parse_batch
from deploy.community.database import SqliteConnection
from deploy.community.ingest import Chain, take_rows
from deploy.community.ledger import Ledger
from tests.stream.conftest import record

pytestmark = pytest.mark.slow

DEVICE, ROWS, BAD = "s1/d1", 600, 452
FACTS = {"mode": "LockedDown", "commands": {"office": 9}}


def moment(n: int = 0) -> Moment:
    return Moment("boot", n, 1_790_000_000_000 + n, "ntp")


def build(path: Path, rows: int = ROWS, acked: int = 0) -> str:
    """A journal whose row `seq` has n = seq - 1; returns its epoch."""
    store = open_journal(path, DEVICE, moment()).store
    store.append([(moment(n), record(n, **(FACTS if n == 1 else {}))) for n in range(1, rows)])
    store.current.acked = acked
    store.save_acked()
    store.close()
    return store.current.name


def spoil(path: Path, *statements: tuple) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name in ("rows_never_change", "rows_stay"):
            db.execute(f"DROP TRIGGER {name}")
        for statement, *values in statements:
            db.execute(statement, values)


def spoil_row(path: Path, *seqs: int) -> None:
    spoil(path, *(("UPDATE rows SET body = '{\"n\":0}' WHERE id = ?", key(1, seq)) for seq in seqs))


def contents(store: Store) -> tuple[list[int], list[tuple[int, int]]]:
    """Every n that is still there, and every range that is declared as gone, of all epochs in order."""
    there, gone = [], []
    for e in store.epochs:
        seq = e.base_seq + 1
        while seq <= e.last_seq:
            items = store.read(e, seq, 500)
            there += [i.body["n"] for i in items if isinstance(i, Row) and "n" in i.body]
            gone += [(i.first, i.last) for i in items if isinstance(i, Skipped)]
            seq = last_of(items) + 1
    return there, gone


def at_the_server(store: Store, folder: Path) -> tuple[int, list[str]]:
    """Events and alarms of a server that takes everything the door has to send."""
    ledger, alarms = Ledger(SqliteConnection(folder / "community.db")), []
    for e in store.epochs:
        seq = e.base_seq + 1
        while seq <= e.last_seq:
            items = store.read(e, seq, 50)
            sent = parse_batch(batch_json(DEVICE, items, epoch=e.name, now_ms=1))
            got = [i if isinstance(i, Row) else i[2] for i in sent]
            taken = take_rows(ledger.chain(DEVICE, e.name) or Chain(e.name), got, lambda _: None)
            with ledger.transaction():
                alarms += [a.word for a in ledger.apply(DEVICE, taken, 1).alarms]
            seq = last_of(items) + 1
    count = ledger.db.execute("SELECT count(*) FROM events WHERE kind = ?", (str(Kind.DOOR_PHYSICAL),))[0][0]
    ledger.close()
    return count, alarms


SPOILS = {
    "one row": ([("UPDATE rows SET body = '{}' WHERE id = ?", key(1, BAD))], [(BAD, BAD)]),
    "a missing row, and so the next, which nothing vouches for": (
        [("DELETE FROM rows WHERE id = ?", key(1, BAD))],
        [(BAD, BAD + 1)],
    ),
    "two places": (
        [("UPDATE rows SET kind = 'x' WHERE id IN (?, ?)", key(1, BAD), key(1, 17))],
        [(17, 17), (BAD, BAD)],
    ),
    "a hash, and so the row after it": (
        [("UPDATE rows SET hash = zeroblob(32) WHERE id = ?", key(1, BAD))],
        [(BAD, BAD + 1)],
    ),
    "a range": (
        [("DELETE FROM rows WHERE id BETWEEN ? AND ?", key(1, 300), key(1, 399))],
        [(300, 400)],
    ),
    "the end": ([("DELETE FROM rows WHERE id >= ?", key(1, 590))], [(590, ROWS)]),
    "the newest row": ([("UPDATE rows SET body = '{}' WHERE id = ?", key(1, ROWS))], [(ROWS, ROWS)]),
    "its own notes": ([("UPDATE facts SET value = '{' WHERE key = '.head'",)], []),
}


@pytest.mark.parametrize("how", SPOILS)
def test_all_rows_but_the_spoiled_ones_are_carried_over_and_the_rest_is_declared_to_the_server(tmp_path, how):
    path = tmp_path / "journal.db"
    build(path)
    statements, gone = SPOILS[how]
    spoil(path, *statements)
    opened = open_journal(path, DEVICE, moment(5000))
    assert opened.word == "quarantined"
    store = opened.store
    missing = {seq for first, last in gone for seq in range(first, last + 1)}
    assert contents(store) == ([n for n in range(1, ROWS) if n + 1 not in missing], gone)
    assert store.facts() == FACTS
    count, alarms = at_the_server(store, tmp_path)
    assert (count, alarms) == (ROWS - 1 - len(missing), ["rows-lost"] if gone else [])
    store.close()
    assert verify(path).ok


def test_a_journal_is_rescued_twice_before_anything_could_be_sent(tmp_path):
    path = tmp_path / "journal.db"
    build(path)
    spoil_row(path, 100)
    store = open_journal(path, DEVICE, moment(5000)).store
    store.append([(moment(n), record(n)) for n in range(ROWS, ROWS + 50)])
    store.close()
    spoil_row(path, 200)
    store = open_journal(path, DEVICE, moment(6000)).store
    assert contents(store) == ([n for n in range(1, ROWS + 50) if n not in (99, 199)], [(100, 100), (200, 200)])
    assert at_the_server(store, tmp_path)[1] == ["rows-lost", "rows-lost"]
    store.close()
    assert verify(path).ok


def test_rows_that_the_server_has_are_neither_carried_over_nor_missed(tmp_path):
    path = tmp_path / "journal.db"
    epoch = build(path, acked=400)
    spoil_row(path, 300, 500)
    store = open_journal(path, DEVICE, moment(5000)).store
    assert contents(store) == ([n for n in range(400, ROWS) if n != 499], [(500, 500)])
    assert (store.sending().name, store.sending().acked, store.depth()) == (epoch, 400, 202)
    store.close()
    assert verify(path).ok


class Cut(BaseException):
    """Nobody handles it: everything written before it is on the disk, nothing after it is."""


_STEPS = (
    (outbox_rescue, "_remove"),
    (outbox_rescue, "_flush"),
    (Store, "adopt"),
    (Store, "begin_epoch"),
    (Store, "append"),
    (Path, "rename"),
)


def died_at(step: int, path: Path, monkeypatch) -> bool:
    """Start on the journal in a child that dies at that step of the replacement; False when there are fewer."""
    count = 0
    for owner, name in _STEPS:
        real = getattr(owner, name)

        def counted(*args, real=real, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                os._exit(77)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            open_journal(path, DEVICE, moment(5000)).store.close()
            os._exit(0)
        os._exit(1)
    monkeypatch.undo()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 77)
    return status == 77


def test_a_cut_at_any_step_of_the_rescue_loses_nothing_and_reuses_no_number(tmp_path, monkeypatch):
    original = tmp_path / "damaged" / "journal.db"
    original.parent.mkdir()
    build(original, 60)
    spoil_row(original, 41)
    step = 1
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(original.parent, folder)
        path = folder / "journal.db"
        died = died_at(step, path, monkeypatch)
        store = open_journal(path, DEVICE, moment(6000)).store
        there, gone = contents(store)
        assert (there, gone) == ([n for n in range(1, 60) if n != 40], [(41, 41)]), step
        assert store.facts() == FACTS
        row = store.append([(moment(6001), record(ROWS))])[0]
        assert (row.seq, row.epoch) == (store.current.last_seq, store.epochs[-1].name)
        assert len(store.epochs) == 2
        store.close()
        assert verify(path).ok
        assert [p.name for p in folder.iterdir() if ".new" in p.name or ".ready" in p.name] == []
        assert len([p for p in folder.iterdir() if ".quarantined-" in p.name]) == 1
        if not died:
            break
        step += 1
    assert step > 10


def test_a_disk_that_runs_full_during_the_rescue_leaves_the_damaged_journal_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    build(path)
    spoil_row(path, BAD)
    before = path.read_bytes()

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "adopt", full)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        open_journal(path, DEVICE, moment(5000))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if ".new" in p.name] == []
    monkeypatch.undo()
    store = open_journal(path, DEVICE, moment(5000)).store
    assert len(contents(store)[0]) == ROWS - 2
    store.close()


def test_damaged_journals_take_a_bounded_share_of_the_disk(tmp_path):
    """Three at most, and together no more than is spared for them; the newest goes last."""
    path = tmp_path / "journal.db"
    kept = []
    for n in range(6):
        if path.exists():
            path.unlink()
        build(path)
        spoil_row(path, BAD)
        size = path.stat().st_size
        open_journal(path, DEVICE, moment(5000 + n), spare_bytes=int(size * 2.5)).store.close()
        kept.append(sorted(p.name for p in tmp_path.iterdir() if ".quarantined-" in p.name))
    assert [len(k) for k in kept] == [1, 2, 2, 2, 2, 2]
    assert kept[-1][-1].endswith(str(moment(5005).wall_ms))


def test_the_epoch_row_says_what_the_old_journal_was_and_what_is_gone(tmp_path):
    path = tmp_path / "journal.db"
    epoch = build(path)
    spoil_row(path, BAD, 12)
    store = open_journal(path, DEVICE, moment(5000)).store
    body = store.read(store.current, 1, 1)[0].body
    assert (body["previous_epoch"], body["last_seq"], body["lost"], body["first_bad"]) == (epoch, ROWS, 2, 12)
    declared = store.read(store.current, 2, 1)[0]
    assert (declared.kind, declared.priority, declared.body["why"]) == (str(Kind.TOMBSTONE), 3, "damaged")
    assert [r[:2] for r in declared.body["ranges"]] == [[12, 12], [BAD, BAD]]
    assert json.dumps(declared.body["ranges"])
    store.close()
