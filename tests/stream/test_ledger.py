"""The server's memory on SQLite and on a real PostgreSQL: the same rules, the same answers."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from agent.core.events import Kind
from agent.core.journal import GENESIS, ClockQuality, Row, sealed
from agent.errors import StoreError
from agent.wire import Hello
from deploy.broker import free_port
from deploy.community.database import SqliteConnection
from deploy.community.ingest import Chain, take_hello, take_previews, take_rows
from deploy.community.ledger import Ledger
from deploy.community.postgres import PostgresConnection

DEVICE, EPOCH = "s1/d1", "e" * 32


def chain(count: int, epoch: str = EPOCH, first_body: dict | None = None) -> list[Row]:
    rows, prev = [], GENESIS
    for seq in range(1, count + 1):
        body = (first_body or {"reason": "created"}) if seq == 1 else {"n": seq}
        kind = Kind.EPOCH if seq == 1 else Kind.DOOR_PHYSICAL
        row = Row(DEVICE, epoch, seq, "boot", seq, 1_790_000_000_000 + seq, ClockQuality.NTP, str(kind), 1, body, prev)
        rows.append(sealed(row))
        prev = rows[-1].hash
    return rows


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request, tmp_path):
    """Opens a connection to one and the same database each time."""
    if request.param == "sqlite":
        return lambda: SqliteConnection(tmp_path / "community.db")
    url = request.getfixturevalue("postgres")()
    return lambda: PostgresConnection(url)


def apply(ledger: Ledger, taken) -> list[str]:
    with ledger.transaction():
        alarms = ledger.apply(DEVICE, taken, 1).alarms
        for alarm in alarms:
            ledger.alarm(DEVICE, alarm, 1)
    return [a.word for a in alarms]


def take(ledger: Ledger, rows: list[Row]) -> list[str]:
    epoch = rows[0].epoch
    held = ledger.chain(DEVICE, epoch) or Chain(epoch)
    return apply(ledger, take_rows(held, rows, lambda seq: ledger.hash_of(DEVICE, epoch, seq)))


def test_rows_are_stored_once_however_often_they_come(connect):
    ledger = Ledger(connect())
    rows = chain(30)
    for part in (rows[:20], rows[:20], rows[10:], rows[5:25], rows):
        assert take(ledger, part) == []
    assert [e["seq"] for e in ledger.newest(100)] == list(range(1, 31))
    ledger.close()
    ledger = Ledger(connect())
    held = ledger.chain(DEVICE, EPOCH)
    assert (held.next, held.hash, held.heard) == (31, rows[-1].hash, 30)
    ledger.close()


def test_a_message_is_applied_whole_or_not_at_all(connect):
    ledger = Ledger(connect())
    rows = chain(10)
    taken = take_rows(Chain(EPOCH), rows, lambda _: None)
    with contextlib.suppress(RuntimeError), ledger.transaction():
        ledger.apply(DEVICE, taken, 1)
        raise RuntimeError
    assert (ledger.newest(10), ledger.chain(DEVICE, EPOCH)) == ([], None)
    with pytest.raises(Exception, match=r"(?i)unique"):  # even a wrong caller can't store a row twice
        apply(ledger, replace(taken, rows=rows[:1] * 2))
    assert ledger.usable()
    assert ledger.newest(10) == []
    ledger.close()


def test_an_alarm_ahead_of_its_row_is_confirmed_by_it(connect):
    ledger = Ledger(connect())
    rows = chain(5)
    apply(ledger, take_previews(Chain(EPOCH), rows[4:]))
    confirmed = "SELECT confirmed FROM previews"
    assert ledger.db.execute(confirmed) == [(0,)]
    take(ledger, rows)
    apply(ledger, take_previews(ledger.chain(DEVICE, EPOCH), rows[4:]))
    assert ledger.db.execute(confirmed) == [(1,)]
    ledger.close()


def replace_model(model: Hello, **more) -> Hello:
    return Hello(**{**model.model_dump(), **more})


def hello(last: int, last_hash: str, *, epoch: str = EPOCH, first: int = 1, before: str = GENESIS) -> Hello:
    return Hello(device=DEVICE, nonce="0" * 16, epoch=epoch, first=first, before_first=before, last=last,
                 last_hash=last_hash, acked=0, clock="ntp", utc_ms=0, version="")  # fmt: skip


def test_what_a_door_lost_or_rolled_back_is_an_alarm(connect):
    ledger = Ledger(connect())
    rows, other = chain(30), chain(30, first_body={"reason": "other"})
    greet = lambda h: apply(ledger, take_hello(ledger.chain(DEVICE, h.epoch), h))  # noqa: E731
    assert greet(hello(25, rows[24].hash)) == []
    take(ledger, rows[:20])
    assert greet(hello(22, rows[21].hash)) == ["restored"]
    assert greet(hello(30, rows[29].hash, first=26, before=rows[24].hash)) == ["rows-lost"]
    assert ledger.db.execute("SELECT first, last FROM missed") == [(21, 25)]
    assert take(ledger, [replace(other[25], prev=rows[24].hash)]) == ["damaged"]
    assert take(ledger, [sealed(replace(other[25], prev="b" * 64))]) == ["fork"]
    assert ledger.chain(DEVICE, EPOCH).fork == 26
    assert take(ledger, rows[25:]) == []  # nothing of a forked epoch is taken any more
    assert [a[0] for a in ledger.db.execute("SELECT word FROM alarms ORDER BY id")] == [
        "restored", "rows-lost", "damaged", "fork",
    ]  # fmt: skip
    ledger.close()


def test_a_hello_that_was_overtaken_on_its_way_is_no_rolled_back_store(connect):
    """A shared subscription or a resent packet brings an older hello after a newer one; the door has lost nothing."""
    ledger = Ledger(connect())
    rows = chain(30)
    said = lambda last, run, nonce: replace_model(hello(last, rows[last - 1].hash), run=run, nonce=nonce)  # noqa: E731
    greet = lambda h, **more: apply(ledger, take_hello(ledger.chain(DEVICE, h.epoch), h, **more))  # noqa: E731
    assert greet(said(25, "aaaaaaaa", "0" * 16)) == []
    take(ledger, rows[:20])
    held = ledger.chain(DEVICE, EPOCH)
    assert greet(said(22, "aaaaaaaa", "1" * 16)) == []
    assert greet(said(22, "00000000", "2" * 16), late=True) == []
    assert ledger.chain(DEVICE, EPOCH) == held
    assert greet(said(22, "bbbbbbbb", "3" * 16)) == ["restored"]
    ledger.close()


def test_a_new_epoch_accounts_for_the_one_before(connect):
    ledger = Ledger(connect())
    take(ledger, chain(10))
    named = {"reason": "quarantined", "previous_epoch": EPOCH, "last_seq": 10}
    assert take(ledger, chain(1, "a" * 32, named)) == []
    assert take(ledger, chain(1, "b" * 32, {**named, "last_seq": 12})) == ["rows-lost"]
    assert take(ledger, chain(1, "c" * 32)) == ["rows-lost"]
    ledger.close()


def test_doors_are_remembered_with_their_last_state(connect):
    ledger = Ledger(connect())
    with ledger.transaction():
        ledger.heard(DEVICE, 5)
        ledger.state(DEVICE, {"online": True, "door": {"lock": "secured"}})
        ledger.heard(DEVICE, 7)
        ledger.heard(DEVICE, 8, kept=True)
    assert ledger.doors() == [(DEVICE, 7, True, {"online": True, "door": {"lock": "secured"}})]
    ledger.close()


def test_a_postgresql_that_restarts_is_found_again(postgres):
    ledger = Ledger(PostgresConnection(postgres()))
    take(ledger, chain(3))
    postgres.restart()
    assert ledger.usable()
    take(ledger, chain(6))
    assert len(ledger.newest(10)) == 6
    ledger.close()


def test_a_database_that_cannot_be_used_says_what_to_check(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteConnection(tmp_path / "file" / "db")
    pytest.importorskip("pg8000", reason="the PostgreSQL driver is not installed (extra: postgres)")
    with pytest.raises(StoreError, match="check the URL"):
        PostgresConnection(f"postgresql://x@127.0.0.1:{free_port()}/x")
