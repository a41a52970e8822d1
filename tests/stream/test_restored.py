"""A card put back from an image, or copied: what the door writes after that reaches the server once, renamed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3

import pytest

from agent.core.acknowledgement import Ack, Verdict
from agent.core.events import Kind, Priority
from agent.core.journal import originals
from agent.core.stream import Committed
from agent.journal.opening import open_journal
from agent.journal.quota import Limits, prune, tidy
from agent.journal.report import listed
from agent.journal.rows import MAX_EPOCHS
from agent.journal.schema import Moment
from agent.journal.verify import verify
from agent.journal.work import Weigh, carry, weighed
from agent.mqtt_link import MqttLink
from tests.stream.conftest import record, until


class Life:
    """One door's card over several starts, its link on or off."""

    def __init__(self, site, make):
        self._site, self._make = site, make
        self.path = site.folder / "d1" / "journal.db"

    def write(self, first: int, last: int, *, linked: bool) -> None:
        outbox, posts = self._make(path=self.path)
        link = MqttLink(self._site.link_settings(), posts, outbox)
        for n in range(first, last + 1):
            outbox.append(record(n, kind=Kind.ACCESS_GRANTED), token=str(n))
        posts.wait_for(Committed, last + 1 - first)
        if linked:
            link.start()
            until(lambda: outbox.status().depth == 0, "everything acknowledged", 30)
            link.stop()
        outbox.stop()

    def image(self):
        return shutil.copy(self.path, self.path.with_name("image.db"))

    def put_back(self, image) -> None:
        for side in ("-wal", "-shm"):
            self.path.with_name(self.path.name + side).unlink(missing_ok=True)
        shutil.copy(image, self.path)


def seen(site) -> list[int]:
    return [n.what["body"]["n"] for n in site.news.of(object) if n.kind == "event" and "n" in n.what["body"]]


def alarms(site) -> list[str]:
    return [n.what["word"] for n in site.news.of(object) if n.kind == "alarm"]


@pytest.mark.parametrize("delivered", [True, False], ids=["image was delivered", "image was not"])
@pytest.mark.parametrize(("after", "word"), [(30, "restored"), (90, "fork")])
def test_what_happens_after_a_card_was_put_back_reaches_the_server_once(site, make, after, word, delivered):
    site.serve()
    door = Life(site, make)
    door.write(1, 40, linked=delivered)
    image = door.image()
    door.write(41, 90, linked=True)
    door.put_back(image)
    door.write(1001, 1000 + after, linked=False)
    door.write(2001, 2001, linked=True)
    until(lambda: 2001 in seen(site), "the newest row")
    assert sorted(seen(site)) == [*range(1, 91), *range(1001, 1001 + after), 2001]
    assert [n for n in seen(site) if n > 1000] == sorted(n for n in seen(site) if n > 1000)
    assert word in alarms(site)
    assert "rows-lost" not in alarms(site)
    assert verify(door.path).ok
    copies = [r for r in listed(door.path) if "copy_of" in r["body"]]
    by_name = {(r["epoch"], r["seq"]): r for r in listed(door.path)}
    for copy in copies:
        ((epoch, seq, digest),) = originals(copy["body"])
        first = by_name[epoch, seq]
        assert (first["hash"], first["kind"], first["time"]) == (digest, copy["kind"], copy["time"])
        assert first["body"].items() <= copy["body"].items()


def moment(n: int = 0) -> Moment:
    return Moment("boot", n, 1_790_000_000_000 + n, "ntp")


@pytest.fixture
def opened(tmp_path):
    """Open the door's journal, also once more; each is closed at the end."""
    made = []

    def again(n: int = 0):
        made.append(open_journal(tmp_path / "journal.db", "s1/d1", moment(n)))
        return made[-1]

    yield again
    for one in made:
        one.store.close()


@pytest.fixture
def forked(opened):
    """A journal of 1,000 rows, 100 acknowledged, whose server then said that it has another history."""
    store = opened().store
    store.append([(moment(n), record(n, priority=Priority.LOW)) for n in range(1, 1000)])
    store.current.acked = 100
    ack = Ack(store.current.name, 301, "b" * 64, "n")
    judged, report = weighed(store, Weigh(ack, fresh=True), moment(2000))
    assert (judged.verdict, report.word) == (Verdict.FORK, "fork")
    return store


def test_a_cut_while_rows_are_carried_over_loses_and_doubles_none(forked, opened):
    store = forked
    while carry(store):
        store.close()  # as far as the disk is concerned: a commit is whole or not there
        store = opened().store
    bodies = [i.body for i in store.read(store.current, 2, 2000)]
    assert [b["n"] for b in bodies] == list(range(100, 1000))
    assert [originals(b)[0][1] for b in bodies] == list(range(101, 1001))
    assert store.sending() is store.current
    assert store.depth() == 901


def test_a_chain_that_was_carried_over_is_pruned_like_any_other_and_leaves_no_trace_but_its_checkpoint(forked, opened):
    while carry(forked):
        pass
    old = forked.epochs[0]
    assert prune(forked, moment(), None)
    assert old.base_seq == 500
    while prune(forked, moment(), None):
        pass
    assert [e.closed for e in forked.epochs] == [None]
    forked.close()
    again = opened()
    assert (again.word, again.store.depth()) == ("ok", 903)
    again.store.close()
    assert verify(forked.path).ok


def test_rows_that_were_carried_over_twice_keep_their_first_name(forked):
    first = forked.epochs[0].name
    while carry(forked):
        pass
    second = forked.current
    weighed(forked, Weigh(Ack(second.name, 2, "c" * 64, "n"), fresh=True), moment(3000))
    while carry(forked):
        pass
    copy = forked.read(forked.current, 3, 1)[0]
    assert [name[:2] for name in originals(copy.body)] == [(first, 101), (second.name, 2)]


def test_a_door_whose_card_is_put_back_again_and_again_keeps_a_few_chains_only(forked, opened):
    """Each commit notes where every chain stands; and the newest rows stay, whatever the server contradicts."""
    limits, at = Limits(1 << 30, 30), moment(3000)
    for n in range(40):
        weighed(forked, Weigh(Ack(forked.current.name, 2, f"{n:02}" * 32, "n"), fresh=True), at)
        while carry(forked) or tidy(forked, limits, at):
            pass
    assert len(forked.epochs) == MAX_EPOCHS
    bodies = [i.body for i in forked.read(forked.current, 1, 5000)]
    assert [b["n"] for b in bodies if "n" in b] == list(range(100, 1000))
    forked.close()
    again = opened(4000)
    assert again.word == "ok"
    again.store.close()
    assert verify(forked.path).ok


@pytest.mark.parametrize("then", ["before the door was known", "in the middle of the older chain"])
def test_a_server_that_is_put_back_to_before_a_journal_was_replaced_gets_both_chains_again(site, make, then):
    """It was asked about the chain that grows alone: the older one, still on the card, was lost to it."""
    server = site.serve()
    door = Life(site, make)
    door.write(1, 40, linked=then != "before the door was known")
    server.stop()
    backup = shutil.copy(site.folder / "community.db", site.folder / "backup.db")
    door.write(41, 90, linked=False)
    damage(door.path)
    server = site.serve()
    door.write(91, 120, linked=True)
    assert sorted(seen(site)) == [*range(1, 121)]
    server.stop()
    for side in ("-wal", "-shm"):
        (site.folder / f"community.db{side}").unlink(missing_ok=True)
    shutil.copy(backup, site.folder / "community.db")
    site.serve()
    door.write(121, 121, linked=True)
    stored = site.ledger().db.execute("SELECT body FROM events WHERE kind = ? ORDER BY id", (str(Kind.ACCESS_GRANTED),))
    assert [json.loads(body)["n"] for (body,) in stored] == [*range(1, 122)]
    assert "rows-lost" not in alarms(site)


def damage(path) -> None:
    """Its own notes are spoiled: the next start puts what the server lacks into a new file, under its old name."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE facts SET value = '{' WHERE key = '.head'")
