"""Whoever looks on gets every row of the journal once and in order, those among them that the store writes itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.core.acknowledgement import Ack
from agent.core.events import Kind, Priority
from agent.core.stream import Committed, StoreRecovered, StoreReported
from agent.journal.report import listed
from agent.journal.store import Store
from tests.stream.conftest import record, until
from tests.stream.test_rescue import build, spoil_row


class Watcher:
    def __init__(self, outbox):
        self.rows = []
        outbox.watch(lambda shown: self.rows.extend(shown.rows))
        outbox.start()
        self._before = outbox.newest().rows

    def all(self) -> list[tuple]:
        """What somebody has seen who was there from the start: kind and body."""
        return [(row.kind, row.body) for row in (*self._before, *self.rows)]


def rows(path: Path) -> list[tuple]:
    """Kind and body of the journal's rows, oldest first, without the copies and the store's own notes."""
    found = [(r["kind"], {k: v for k, v in r["body"].items() if k != "facts"}) for r in listed(path)]
    return [(kind, body) for kind, body in found if "copy_of" not in body]


def fill(outbox, posts, first: int, last: int) -> None:
    for n in range(first, last + 1):
        outbox.append(record(n), token=str(n))
    posts.wait(lambda: [c.token for c in posts.of(Committed)][-1:] == [str(last)], f"row {last}")


def test_rows_that_the_store_writes_of_its_own_stand_between_the_others(make):
    """A server that has another history: the epoch that begins, the alarm, and no row twice by being carried over."""
    outbox, posts = make(start=False)
    watcher = Watcher(outbox)
    fill(outbox, posts, 1, 300)
    outbox.acknowledge(Ack(outbox.status().epoch, 101, "b" * 64, "n"), fresh=True)
    posts.wait_for(StoreReported)
    fill(outbox, posts, 301, 320)
    outbox.stop()
    assert watcher.all() == rows(outbox._settings.path)
    kinds = [kind for kind, _ in watcher.all()]
    assert [k for k in kinds if k != Kind.DOOR_PHYSICAL] == [Kind.EPOCH, Kind.EPOCH, Kind.STORE]
    assert [body["n"] for kind, body in watcher.all() if kind == Kind.DOOR_PHYSICAL] == list(range(1, 321))


def test_a_journal_that_is_replaced_at_the_start_shows_what_became_of_it_and_no_old_row_again(make, tmp_path):
    build(tmp_path / "journal.db", 100)
    spoil_row(tmp_path / "journal.db", 50)
    outbox, posts = make(start=False)
    watcher = Watcher(outbox)
    fill(outbox, posts, 500, 501)
    outbox.stop()
    shown = watcher.all()
    assert shown == rows(tmp_path / "journal.db")[-len(shown) :]
    assert [body["n"] for kind, body in shown if kind == Kind.DOOR_PHYSICAL] == [500, 501]
    assert Kind.EPOCH in [kind for kind, _ in shown]


@pytest.mark.parametrize("waited", [3, 700])
def test_rows_that_wait_for_a_failing_disk_are_shown_at_once_and_not_again(make, monkeypatch, waited):
    outbox, posts = make(start=False)
    watcher = Watcher(outbox)
    fill(outbox, posts, 1, 2)
    failing, real = True, Store.append

    def append(self, records, **more):
        if failing:
            raise sqlite3.OperationalError("disk I/O error")
        return real(self, records, **more)

    monkeypatch.setattr(Store, "append", append)
    for n in range(3, 3 + waited):
        outbox.append(record(n, priority=Priority.LOW), token=str(n))
    numbers = lambda: [row.body["n"] for row in watcher.rows if row.kind == Kind.DOOR_PHYSICAL]  # noqa: E731
    until(lambda: numbers() == list(range(1, 3 + waited)), "the rows that wait")
    failing = False
    posts.wait_for(StoreRecovered)
    fill(outbox, posts, 3 + waited, 4 + waited)
    outbox.stop()
    assert numbers() == list(range(1, 5 + waited))
    assert sorted(map(repr, watcher.all())) == sorted(map(repr, rows(outbox._settings.path)))
