"""Retention and quota: what is forgotten, in which order; every loss is declared, the chain still closes."""

from __future__ import annotations

import pytest

from agent.core.events import Kind, Priority, Record
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, check_chain
from agent.core.sync import WINDOW_ROWS
from agent.journal.quota import Limits, fold, level, live_bytes, prune, tidy
from agent.journal.rows import PrunedError, last_of
from agent.journal.schema import Moment
from agent.journal.store import Store
from agent.journal.verify import verify
from agent.journal.work import Fetch, fetched

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000


def at(days_ago: float = 0.0) -> Moment:
    return Moment("boot", 1, int(NOW_MS - days_ago * DAY_MS), ClockQuality.NTP)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "journal.db")
    store.begin_epoch("s1/d1", at(100), {"reason": "created"})
    yield store
    store.close()


def fill(store, count: int, priority: Priority = Priority.NORMAL, days_ago: float = 0.0) -> None:
    record = Record(Kind.DOOR_PHYSICAL, {"state": "Open", "filler": "x" * 150}, priority)
    for _ in range(count // 100):
        store.append([(at(days_ago), record)] * 100)


def everything(store) -> list[Row | Skipped]:
    e, items = store.current, []
    seq = e.base_seq + 1
    while seq <= e.last_seq:
        found = store.read(e, seq, 500)
        items += found
        seq = (found[-1].last if isinstance(found[-1], Skipped) else found[-1].seq) + 1
    return items


def closes(store) -> bool:
    e = store.current
    return list(check_chain(everything(store), e.base_seq + 1, e.base_hash)) == []


def test_only_acknowledged_rows_past_their_days_are_pruned(store):
    fill(store, 300, days_ago=40)
    fill(store, 300, days_ago=31)
    fill(store, 300, days_ago=1)
    e = store.current
    e.acked = 401
    limits = Limits(1 << 30, 30)
    while tidy(store, limits, at()):
        pass
    assert (e.base_seq, everything(store)[0].seq) == (401, 402)
    e.acked = e.last_seq
    while tidy(store, limits, at()):
        pass
    assert everything(store)[0].seq == 602
    assert closes(store)


@pytest.mark.parametrize("clock", [ClockQuality.NONE, ClockQuality.FLOOR, ClockQuality.RTC])
def test_a_clock_that_nothing_vouches_for_deletes_nothing(store, clock):
    """A clock chip that woke up in 2099 would have emptied the journal; what NTP once said is what has passed."""
    fill(store, 300, days_ago=20)  # the first row is 100 days old; the newest word of NTP is of day 80
    store.current.acked = store.current.last_seq
    limits, doubtful = Limits(1 << 30, 90), Moment("boot", 1, 4_070_908_800_000, clock)
    assert not tidy(store, limits, doubtful)
    store.append([(at(), Record(Kind.DOORBELL, {}))])
    while tidy(store, limits, doubtful):
        pass
    assert everything(store)[0].seq == 2


def test_a_read_below_the_oldest_row_here_says_so_and_is_no_damage(store):
    fill(store, 300, days_ago=40)
    store.current.acked = 250
    prune(store, at(), None)
    with pytest.raises(PrunedError, match=r"rows 1 to 250 of .* are not kept any more; 250 is one of them"):
        store.read(store.current, 250, 10)
    assert fetched(store, Fetch(store.current.name, 100, 10)).items == ()
    assert store.read(store.current, 251, 1)[0].seq == 251


def test_a_pruned_journal_opens_again_and_goes_on(store):
    fill(store, 300, days_ago=40)
    store.current.acked = 250
    assert prune(store, at(), NOW_MS)
    store.save_acked()
    path, e = store.path, store.current
    again = Store(path)
    assert (again.current.base_seq, again.current.acked, again.current.last_hash) == (250, 250, e.last_hash)
    again.close()


def test_under_pressure_acknowledged_rows_go_before_any_row_the_server_lacks(store):
    fill(store, 1000, Priority.LOW)
    store.current.acked = 600
    limits = Limits(int(live_bytes(store) / 0.85), 30)
    for _ in range(2):  # the epoch's first row is past its days and goes by itself
        tidy(store, limits, at())
    assert store.current.base_seq == 501
    assert not [i for i in everything(store) if isinstance(i, Skipped)]


def test_low_priority_rows_are_folded_into_counters_behind_marks(store):
    for _ in range(6):
        fill(store, 200, Priority.LOW)
        fill(store, 100, Priority.NORMAL)
    before = live_bytes(store)
    while fold(store, at(), Priority.LOW, Kind.FOLDED):
        pass
    items = everything(store)
    assert closes(store)
    assert live_bytes(store) < before * 0.7
    declared = [i for i in items if isinstance(i, Row) and i.kind == Kind.FOLDED]
    marks = [i for i in items if isinstance(i, Skipped)]
    folded = sum(m.last - m.first + 1 for m in marks)
    assert folded == sum(d.body["count"] for d in declared) > 700
    assert all(d.body["kinds"] == {str(Kind.DOOR_PHYSICAL): d.body["count"]} for d in declared)
    ranges = {tuple(r) for d in declared for r in d.body["ranges"]}
    assert {(m.first, m.last, m.hash) for m in marks} == ranges
    assert sum(isinstance(i, Row) and i.priority == Priority.NORMAL for i in items) == 600


def test_rows_that_may_be_on_their_way_are_not_folded(store):
    fill(store, 600, Priority.LOW)
    fold(store, at(), Priority.LOW, Kind.FOLDED)
    assert min(i.first for i in everything(store) if isinstance(i, Skipped)) == WINDOW_ROWS + 1


def test_at_95_percent_the_lowest_priority_goes_first_and_alarms_last(store):
    fill(store, 500, Priority.ALARM)
    fill(store, 500, Priority.NORMAL)
    fill(store, 500, Priority.HIGH)
    fill(store, 500, Priority.ALARM)
    limits = Limits(int(live_bytes(store) / 0.96), 30)
    for _ in range(50):
        if not tidy(store, limits, at()):
            break
    kinds = [i.priority for i in everything(store) if isinstance(i, Row) and i.kind == Kind.DOOR_PHYSICAL]
    assert kinds.count(Priority.ALARM) == 1000
    assert kinds.count(Priority.HIGH) == 500
    assert kinds.count(Priority.NORMAL) < 500
    assert live_bytes(store) < limits.quota_bytes * 0.95
    assert any(isinstance(i, Row) and i.kind == Kind.TOMBSTONE for i in everything(store))
    assert closes(store)


def test_a_journal_of_alarms_alone_stays_inside_its_quota_too(store):
    fill(store, 2000, Priority.ALARM)
    limits = Limits(int(live_bytes(store) / 0.99), 30)
    for _ in range(50):
        if not tidy(store, limits, at()):
            break
    assert live_bytes(store) < limits.quota_bytes * 0.95
    assert closes(store)


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.NORMAL])
def test_an_older_chain_that_cannot_be_sent_stays_inside_the_quota_too(store, tmp_path, priority):
    """Nothing was folded in a journal that was replaced before a long time offline: the file grew with the disk."""
    fill(store, 2000, priority)
    old = store.current
    named = {"previous_epoch": old.name, "last_seq": old.last_seq, "last_hash": old.last_hash}
    store.begin_epoch("s1/d1", at(), {"reason": "quarantined", **named})
    limits = Limits(int(live_bytes(store) / 0.99), 30)
    for _ in range(50):
        if not tidy(store, limits, at()):
            break
    assert live_bytes(store) < limits.quota_bytes * 0.95
    items, seq = [], 1
    while seq <= old.last_seq:
        items += store.read(old, seq, 500)
        seq = last_of(items) + 1
    assert list(check_chain(items, 1, GENESIS)) == []
    marks = [i for i in items if isinstance(i, Skipped)]
    assert marks
    assert min(mark.first for mark in marks) > WINDOW_ROWS
    assert sum(i.body["count"] for i in everything(store) if "count" in i.body) == sum(
        mark.last - mark.first + 1 for mark in marks
    )
    store.close()
    assert verify(tmp_path / "journal.db").ok


def test_the_server_is_told_of_a_hole_with_the_hash_after_it(store):
    fill(store, 900, Priority.LOW)
    fold(store, at(), Priority.LOW, Kind.FOLDED)
    e = store.current
    inside = store.read(e, 450, 10)
    assert isinstance(inside[0], Skipped)
    assert (inside[0].first, inside[0].hash) == (450, next(i for i in everything(store) if isinstance(i, Skipped)).hash)
    assert e.base_hash == GENESIS


def test_quota_words():
    assert [level(u) for u in (0.1, 0.7, 0.8, 0.96)] == ["quota-ok", "quota-70", "quota-80", "quota-95"]
