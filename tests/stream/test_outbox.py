"""The outbox on real files: commits, facts, epochs, damage, a disk that fails."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys

import pytest

from agent.core.acknowledgement import Ack, Verdict
from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality, Row, Skipped, check_chain
from agent.core.stream import Committed, StoreFailed, StoreRecovered, StoreReported
from agent.core.sync import AckJudged, Batch, HeadMoved
from agent.errors import StoreError
from agent.journal.report import listed
from agent.journal.store import Store
from agent.journal.verify import verify
from tests.stream.conftest import Posts, record, until


def commit(outbox, posts, count: int, first: int = 1, **more) -> list[Committed]:
    for n in range(first, first + count):
        outbox.append(record(n, **more), token=str(n))
    posts.wait(lambda: [c.token for c in posts.of(Committed)][-1:] == [str(first + count - 1)], "the last commit")
    return posts.of(Committed)


def journal(outbox):
    return outbox._settings.path


def test_rows_are_committed_in_order_from_1_with_the_epoch_row_first(make):
    outbox, posts = make()
    done = commit(outbox, posts, 50)
    assert [c.seq for c in done] == list(range(2, 52))
    outbox.stop()
    rows = list(listed(journal(outbox)))
    assert [r["seq"] for r in rows] == list(range(1, 52))
    assert (rows[0]["kind"], rows[0]["body"]["reason"]) == (Kind.EPOCH, "created")
    assert verify(journal(outbox)).ok


def test_facts_are_stored_with_their_row_and_come_back(make):
    outbox, posts = make()
    outbox.append(Record(Kind.DOORBELL, {}, facts={"refusals": 3, "gone": 1, ".head": "mine"}))
    outbox.append(Record(Kind.DOORBELL, {}, facts={"gone": None}), token="x")  # noqa: S106  a name, not a secret
    posts.wait_for(Committed)
    outbox.stop()
    assert make()[0].facts() == {"refusals": 3}


def test_an_epoch_goes_on_after_a_stop_and_after_a_kill(make, tmp_path):
    outbox, posts = make()
    epoch = commit(outbox, posts, 3)[0].epoch
    outbox.stop()
    code = (
        "import os,sys;from tests.stream.conftest import *;from agent.core.stream import Committed\n"
        f"o=Outbox(OutboxSettings(Path({str(journal(outbox))!r}),'s1','d1'),p:=Posts(),SetClock());o.start()\n"
        "o.append(record(4),token='t');p.wait_for(Committed);os.kill(os.getpid(),9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    outbox, posts = make()
    assert (outbox.status().epoch, outbox.status().head_seq) == (epoch, 5)
    assert posts.of(StoreReported) == []


def test_rows_can_neither_be_changed_nor_deleted_by_hand(make):
    outbox, posts = make()
    commit(outbox, posts, 3)
    outbox.stop()
    with contextlib.closing(sqlite3.connect(journal(outbox))) as db:
        for statement in ("UPDATE rows SET body = '{}'", "DELETE FROM rows"):
            with pytest.raises(sqlite3.IntegrityError, match="journal rows"):
                db.execute(statement)


@pytest.mark.parametrize("how", ["garbage", "changed row", "cut tail", "newer version", "not ours", "other door"])
def test_a_store_that_cannot_be_trusted_is_moved_aside_and_the_door_goes_on(make, how):
    outbox, posts = make()
    old = commit(outbox, posts, 20)[0].epoch
    outbox.stop()
    path = journal(outbox)
    damage(path, how)
    outbox, posts = make()
    report = posts.wait_for(StoreReported)[0]
    assert report.word == "quarantined"
    assert outbox.status().epoch != old
    commit(outbox, posts, 1, first=21)
    outbox.stop()
    first = next(r for r in listed(path) if r["epoch"] == outbox.status().epoch)
    assert (first["kind"], first["body"]["reason"]) == (Kind.EPOCH, "quarantined")
    assert (path.parent / first["body"]["kept_as"]).exists()
    if how in ("changed row", "cut tail"):
        lost = {"changed row": 1, "cut tail": 3}[how]
        body = first["body"]
        assert (body["previous_epoch"], body["last_seq"], body["lost"]) == (old, 21, lost)


def damage(path, how: str) -> None:
    if how == "garbage":
        path.write_bytes(os.urandom(20_000))
        return
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DROP TRIGGER rows_never_change")
    db.execute("DROP TRIGGER rows_stay")
    last = db.execute("SELECT max(id) FROM rows").fetchone()[0]
    statements = {
        "changed row": ("UPDATE rows SET body = '{\"n\":0}' WHERE id = ?", (last - 9,)),
        "cut tail": ("DELETE FROM rows WHERE id > ?", (last - 3,)),
        "newer version": ("PRAGMA user_version = 99",),
        "not ours": ("PRAGMA application_id = 7",),
        "other door": ("UPDATE epochs SET device = 's1/d2'",),
    }
    db.execute(*statements[how])
    db.close()


def test_rows_the_server_lacks_are_rescued_from_a_damaged_store_and_sent_first(make):
    """All but the spoiled one, which a mark stands for."""
    outbox, posts = make()
    old = commit(outbox, posts, 20)[0].epoch
    outbox.stop()
    damage(journal(outbox), "changed row")
    outbox, posts = make()
    posts.wait_for(StoreReported)
    heard = Posts()
    outbox.attach(heard)
    head = heard.wait_for(HeadMoved)[-1].head
    assert (head.epoch, head.first, head.last) == (old, 1, 21)
    outbox.fetch(old, 1, 50)
    batch = heard.wait_for(Batch)[-1]
    assert [r.body.get("n") for r in batch.items if isinstance(r, Row)] == [None, *range(1, 11), *range(12, 21)]
    assert [(m.first, m.last) for m in batch.items if isinstance(m, Skipped)] == [(12, 12)]
    assert list(check_chain(batch.items, 1, head.before_first)) == []
    outbox.acknowledge(Ack(old, 22, head.last_hash, "n"), fresh=True)
    heard.wait(lambda: heard.of(HeadMoved)[-1].head.epoch == outbox.status().epoch, "the new epoch's turn")
    outbox.stop()
    assert verify(journal(outbox)).ok


def test_damage_found_while_running_quarantines_without_stopping(make):
    outbox, posts = make()
    old = commit(outbox, posts, 30)[0].epoch
    damage(journal(outbox), "changed row")
    heard = Posts()
    outbox.attach(heard)
    outbox.fetch(old, 1, 50)
    posts.wait(lambda: [r.word for r in posts.of(StoreReported)][-1:] == ["quarantined"], "the quarantine")
    assert commit(outbox, posts, 1, first=31)[-1].epoch != old


def test_a_second_agent_on_the_same_journal_is_told_so(make):
    make()
    with pytest.raises(StoreError, match="another door-agent is using it"):
        make()


def test_a_folder_that_cannot_be_written_says_who_must_mend_it(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check its owner and mode"):
        make(path=tmp_path / "file" / "journal.db")


@pytest.mark.parametrize(
    ("next_", "right", "fresh", "verdict", "acked"),
    [
        (6, True, False, Verdict.HOLDS, 5),
        (6, False, False, Verdict.FORK, 0),
        (50, True, False, Verdict.RESTORED, 0),
    ],
)
def test_acknowledgements_move_on_only_where_the_hash_is_ours(make, next_, right, fresh, verdict, acked):
    outbox, posts = make()
    epoch = commit(outbox, posts, 10)[0].epoch
    heard = Posts()
    outbox.attach(heard)
    outbox.fetch(epoch, 1, 50)
    rows = {r.seq: r.hash for r in heard.wait_for(Batch)[0].items}
    outbox.acknowledge(Ack(epoch, next_, rows.get(next_ - 1, "") if right else "b" * 64, "n"), fresh=fresh)
    judged = heard.wait_for(AckJudged)[-1]
    assert (judged.verdict, judged.head.acked) == (verdict, acked)
    if verdict is not Verdict.HOLDS:
        until(lambda: outbox.status().epoch != epoch, "a new epoch")
        outbox.stop()
        first = next(r for r in listed(journal(outbox)) if r["epoch"] == outbox.status().epoch)
        assert first["body"] | {"previous_epoch": epoch, "last_seq": 11, "reason": str(verdict)} == first["body"]
        assert len([r for r in listed(journal(outbox)) if r["epoch"] == epoch]) == 11  # evidence is kept


def test_a_clock_set_back_never_writes_before_a_time_that_has_passed(make, clock):
    outbox, posts = make()
    commit(outbox, posts, 1)
    outbox.stop()
    passed = clock.wall_ms
    clock.wall_ms, clock.good, clock.boot = 86_400_000, ClockQuality.NONE, "boot-2"
    outbox, posts = make()
    commit(outbox, posts, 1, first=2)
    clock.wall_ms, clock.good = passed + 60_000, ClockQuality.NTP
    commit(outbox, posts, 1, first=3)
    outbox.stop()
    rows = list(listed(journal(outbox)))
    assert [(r["clock"], r["wall_ms"] - passed) for r in rows[-2:]] == [("floor", 0), ("ntp", 60_000)]
    between_ms = rows[-1]["boottime_ms"] - rows[-2]["boottime_ms"]
    assert rows[-2]["time"] < rows[-1]["time"]  # put right from the later row of the same boot
    assert between_ms < 60_000


class Disk:
    fails = False


@pytest.fixture
def disk(monkeypatch):
    """A disk that takes no row while it `fails`."""
    real, disk = Store.append, Disk()

    def append(self, records, **more):
        if disk.fails:
            raise sqlite3.OperationalError("disk I/O error")
        return real(self, records, **more)

    monkeypatch.setattr(Store, "append", append)
    return disk


def test_a_disk_that_fails_is_an_alarm_and_not_a_locked_door(make, disk):
    """Rows wait, the lowest priority is dropped first, and a row accounts for what never reached the disk."""
    outbox, posts = make(ring_rows=10)
    commit(outbox, posts, 1)
    disk.fails = True
    for n in range(2, 9):
        outbox.append(record(n, priority=Priority.LOW if n < 5 else Priority.NORMAL), token=str(n))
    posts.wait_for(StoreFailed)
    for n in range(9, 15):
        outbox.append(record(n, priority=Priority.ALARM), token=str(n))
    until(lambda: outbox._ring.dropped.total() == 3, "the ring overflown")
    assert outbox.status().state == "failing"
    disk.fails = False
    recovered = posts.wait_for(StoreRecovered)[0]
    posts.wait(lambda: posts.of(Committed)[-1].token == "14", "the rows that waited")  # noqa: S105
    assert (recovered.waited, recovered.dropped, len(posts.of(StoreFailed))) == (10, 3, 1)
    assert [c.token for c in posts.of(Committed)] == ["1", *map(str, range(5, 15))]
    outbox.stop()
    accounts = [r["body"] for r in listed(journal(outbox)) if r["kind"] == Kind.TOMBSTONE]
    assert [a.pop("facts") for a in accounts]
    assert accounts == [{"state": "recovered", "waited": 10, "never_stored": {str(Kind.DOOR_PHYSICAL): 3}}]


def test_a_row_that_did_not_fit_while_the_disk_failed_leaves_its_facts(make, disk):
    """A pass used up in a long outage stays used up after a restart, and the newest value of a fact wins."""
    outbox, posts = make(ring_rows=3)
    commit(outbox, posts, 1)
    disk.fails = True
    outbox.append(record(2, used_pass=1, counter=1, lapsed=1), token="2")  # noqa: S106
    posts.wait_for(StoreFailed)
    outbox.append(record(3, priority=Priority.HIGH, counter=2, lapsed=None))
    outbox.append(record(4, priority=Priority.HIGH))
    outbox.append(record(5, priority=Priority.HIGH))
    outbox.append(record(6, priority=Priority.LOW, counter=3))
    until(lambda: outbox._ring.dropped.total() == 2, "the ring overflown")
    disk.fails = False
    posts.wait_for(StoreRecovered)
    until(lambda: outbox.status().depth == outbox.status().head_seq, "what waited is stored")
    outbox.stop()
    again, _ = make()
    assert again.facts() == {"used_pass": 1, "counter": 3}


def test_a_full_disk_costs_no_row_once_there_is_room_again(make):
    """A file size limit stands for the full disk: SQLite's own error, the ballast given back, recovery by itself."""
    outbox, posts = make()
    commit(outbox, posts, 5)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = journal(outbox).with_name("journal.db-wal")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))
        for n in range(6, 26):
            outbox.append(record(n), token=str(n))
        posts.wait_for(StoreFailed)
        assert not journal(outbox).with_name("journal.db.ballast").exists()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    posts.wait_for(StoreRecovered)
    posts.wait(lambda: posts.of(Committed)[-1].token == "25", "the rows that waited")  # noqa: S105
    outbox.stop()
    assert [r["body"]["n"] for r in listed(journal(outbox)) if r["kind"] == Kind.DOOR_PHYSICAL] == list(range(1, 26))
    assert verify(journal(outbox)).ok
