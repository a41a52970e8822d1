"""Events of a door whose clock was not right: placed by how long it had been up, once the boot's clock is known."""

from __future__ import annotations

import contextlib

import pytest

from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, sealed
from deploy.community import ledger as ledger_module
from deploy.community.boot_times import RECKONED
from deploy.community.database import SqliteConnection
from deploy.community.gaps import LONG_S, Gaps
from deploy.community.history import History
from deploy.community.ingest import Chain, Taken
from deploy.community.ledger import Ledger
from deploy.community.postgres import PostgresConnection

DEVICE, NOON_MS = "s1/d1", 1_795_406_400_000


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request, tmp_path):
    if request.param == "sqlite":
        return lambda: SqliteConnection(tmp_path / "community.db")
    url = request.getfixturevalue("postgres")()
    return lambda: PostgresConnection(url)


class Door:
    """Rows of one door: each with its boot, seconds since it, and the clock as it was."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._seq, self._epoch = ledger, 0, "e" * 32

    def anew(self, epoch: str):
        self._seq, self._epoch = 0, epoch

    def rows(self, *said: tuple[str, int, ClockQuality, int]):
        rows = []
        for boot, up_s, clock, wall_ms in said:
            self._seq += 1
            row = Row(
                DEVICE, self._epoch, self._seq, boot, up_s * 1000, wall_ms, clock, "Door/Doorbell", 1, {}, GENESIS
            )
            rows.append(sealed(row))
        with self._ledger.transaction():
            return [at for _, at in self._ledger.apply(DEVICE, Taken(Chain(self._epoch), tuple(rows)), 1).rows]


def test_rows_from_before_the_clock_was_right_are_placed_as_soon_as_it_is(connect):
    """A door without a clock battery boots in 1970; its events stood there on the page, or on no day at all."""
    ledger = Ledger(connect())
    door, none, ntp = Door(ledger), ClockQuality.NONE, ClockQuality.NTP
    assert door.rows(("a", 10, none, 5_000), ("a", 20, none, 15_000)) == [(5_000, "none"), (15_000, "none")]
    door.anew("f" * 32)
    assert door.rows(("a", 30, none, 25_000)) == [(25_000, "none")]
    told = door.rows(("a", 40, none, 9), ("a", 60, ntp, NOON_MS), ("a", 70, ClockQuality.FLOOR, 8), ("b", 5, none, 7))
    assert told == [(NOON_MS - 20_000, RECKONED), (NOON_MS, "ntp"), (NOON_MS + 10_000, RECKONED), (7, "none")]
    assert door.rows(("a", 80, none, 6)) == [(NOON_MS + 20_000, RECKONED)]
    history = History(connect)
    found = [
        (e["at_ms"] - NOON_MS, e["at_clock"], e["wall_ms"]) for e in history.between(NOON_MS - 60_000, NOON_MS + 60_000)
    ]
    assert found == [
        (-50_000, RECKONED, 5_000), (-40_000, RECKONED, 15_000), (-30_000, RECKONED, 25_000), (-20_000, RECKONED, 9),
        (0, "ntp", NOON_MS), (10_000, RECKONED, 8), (20_000, RECKONED, 6),
    ]  # fmt: skip
    assert [e["at_clock"] for e in history.between(0, 1000)] == ["none"]
    line = list(history.as_csv(NOON_MS - 55_000, NOON_MS - 45_000))[1].split(",")
    assert line[:2] == ["2026-11-23T03:59:10.000Z", RECKONED]
    assert line[10] == "1970-01-01T00:00:05.000Z"
    history.close()
    ledger.close()


def test_a_transaction_that_fails_leaves_nothing_remembered(connect):
    ledger = Ledger(connect())
    door = Door(ledger)
    with contextlib.suppress(RuntimeError), ledger.transaction():
        ledger._boots.place([Row(DEVICE, "e" * 32, 1, "a", 0, NOON_MS, ClockQuality.NTP, "k", 1, {}, GENESIS)], 1)
        raise RuntimeError
    assert door.rows(("a", 10, ClockQuality.NONE, 5_000)) == [(5_000, "none")]
    ledger.close()


def test_a_ledger_of_the_release_before_is_brought_up_to_date(connect):
    """Version 1: without places in time, without the starts of agents, states of any shape."""
    db = connect()
    serial = db.serial
    for statement in (
        "CREATE TABLE meta (version INTEGER NOT NULL)", "INSERT INTO meta VALUES (1)",
        """CREATE TABLE doors (device TEXT PRIMARY KEY, heard_ms BIGINT NOT NULL, online INTEGER NOT NULL,
            state TEXT NOT NULL)""",
        """CREATE TABLE chains (device TEXT NOT NULL, epoch TEXT NOT NULL, next BIGINT NOT NULL, hash TEXT NOT NULL,
            heard BIGINT NOT NULL, claimed BIGINT NOT NULL, claimed_hash TEXT NOT NULL, re TEXT NOT NULL,
            fork BIGINT NOT NULL, PRIMARY KEY (device, epoch))""",
        f"""CREATE TABLE events (id {serial}, device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL,
            kind TEXT NOT NULL, priority INTEGER NOT NULL, wall_ms BIGINT NOT NULL, clock TEXT NOT NULL,
            boot_id TEXT NOT NULL, boottime_ms BIGINT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
            received_ms BIGINT NOT NULL, UNIQUE (device, epoch, seq))""",
        """CREATE TABLE previews (device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL,
            kind TEXT NOT NULL, wall_ms BIGINT NOT NULL, body TEXT NOT NULL, received_ms BIGINT NOT NULL,
            confirmed INTEGER NOT NULL, PRIMARY KEY (device, epoch, seq, hash))""",
        """CREATE TABLE missed (device TEXT NOT NULL, epoch TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
            hash TEXT NOT NULL, declared BIGINT NOT NULL, PRIMARY KEY (device, epoch, first))""",
        f"""CREATE TABLE alarms (id {serial}, device TEXT NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL,
            at_ms BIGINT NOT NULL)""",
        "CREATE INDEX events_by_time ON events (wall_ms)",
        "INSERT INTO doors VALUES ('s1/d1', 7, 1, '{\"online\":true,\"queue\":NaN}')",
        "INSERT INTO chains VALUES ('s1/d1', 'e', 3, 'h', 2, 0, 'h', 'n', 0)",
        "INSERT INTO events VALUES (1, 's1/d1', 'e', 1, 'k', 1, 5000, 'none', 'a', 10000, '{}', 'h', 9)",
        "INSERT INTO events VALUES (2, 's1/d1', 'e', 2, 'k', 1, 1795406400000, 'ntp', 'a', 60000, '{}', 'h', 9)",
        "INSERT INTO events VALUES (3, 's1/d1', 'e', 3, 'k', 1, 77, 'none', 'b', 60000, '{}', 'h', 9)",
    ):  # fmt: skip
        db.execute(statement)
    db.close()
    for _ in range(2):
        ledger = Ledger(connect())
        placed = [(e["at_ms"], e["at_clock"]) for e in ledger.newest(9)]
        assert placed == [(NOON_MS - 50_000, RECKONED), (NOON_MS, "ntp"), (77, "none")]
        assert ledger.doors() == [("s1/d1", 7, True, {})]
        assert ledger.chain("s1/d1", "e") == Chain("e", 3, "h", 2, 0, "h", "n", 0, "")
        ledger.close()


# ---------------------------------------------------------------- alarms that ran ahead, gaps, what is forgotten


def rows_from(first: int, count: int, body: dict) -> list[Row]:
    made = [
        Row(DEVICE, "e" * 32, n, "a", n, NOON_MS, ClockQuality.NTP, "Door/Fire", 3, body, GENESIS)
        for n in range(first, first + count)
    ]
    return [sealed(row) for row in made]


@pytest.mark.parametrize("late", [False, True])
def test_an_alarm_that_ran_ahead_and_is_not_in_the_chain_is_an_alarm_itself(connect, late):
    """Decision 6: a preview is believed as far as its own hash goes; who sends another in its place has lied once."""
    ledger = Ledger(connect())
    right, wrong = rows_from(1, 9, {}), rows_from(1, 9, {"state": "Alarm"})
    ahead = Taken(Chain("e" * 32), previews=(right[2], wrong[4], right[6]))
    chain = Taken(Chain("e" * 32), tuple(right[:6]), missed=(Skipped(7, 9, "b" * 64, 12),))
    words = []
    for taken in (chain, ahead) if late else (ahead, chain):
        with ledger.transaction():
            words += [(a.word, a.detail.split(" ")[1]) for a in ledger.apply(DEVICE, taken, 1).alarms]
    assert words == [("contradicted", "5"), *([] if late else [("contradicted", "7")])]
    ledger.close()


def test_a_gap_that_is_asked_for_without_end_is_told_once():
    gaps, chain = Gaps(), Chain("e" * 32, next=5)
    asked = [gaps.asked(DEVICE, chain.ack(gap=9), now_s) for now_s in (0, 1, LONG_S - 1, LONG_S, LONG_S + 1)]
    assert [a and a.word for a in asked] == [None, None, None, "gap", None]
    assert gaps.asked(DEVICE, chain.ack(), 100) is None
    assert gaps.asked(DEVICE, chain.ack(gap=9), 101) is None


def test_what_is_old_goes_piece_by_piece_and_the_chain_goes_on(connect, monkeypatch):
    """One statement that deletes a month would hold up every door for as long."""
    monkeypatch.setattr(ledger_module, "_FORGET_AT_ONCE", 50)
    ledger = Ledger(connect())
    rows = rows_from(1, 120, {})
    for n in (0, 60):
        with ledger.transaction():
            ledger.apply(DEVICE, Taken(Chain("e" * 32, next=n + 61), tuple(rows[n : n + 60])), 100 + n * 100)
    more = []
    for _ in range(3):
        with ledger.transaction():
            more.append(ledger.forget(200))
    assert more == [True, False, False]
    assert [e["seq"] for e in ledger.newest(200)] == list(range(61, 121))
    assert ledger.chain(DEVICE, "e" * 32).next == 121
    ledger.close()
