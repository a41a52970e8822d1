"""Four kinds of journal for the tamper campaign, and the server that has seen some of each."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from agent.core.acknowledgement import Ack, Verdict
from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality, Row, Skipped
from agent.core.sync import WINDOW_ROWS
from agent.journal.opening import open_journal
from agent.journal.quota import fold
from agent.journal.schema import Moment, key
from agent.journal.store import Store
from agent.journal.work import Weigh, carry, weighed
from agent.wire import Hello
from deploy.community.database import SqliteConnection
from deploy.community.ingest import Chain, Taken, take_hello, take_rows
from deploy.community.ledger import Ledger
from tests.faults.tamper_edits import (
    ROWS,
    Edit,
)

ACKED = 80
DEVICE = "s1/d1"
_ROUNDS = 12  # of the conversation; a few are enough


def moment(n: int) -> Moment:
    return Moment("boot-1", n * 1000, 1_790_000_000_000 + n * 1000, ClockQuality.NTP)


def record(n: int) -> Record:
    facts = {"mode": "LockedDown" if n % 20 else "Locked", "counter": {"office": n}} if n % 5 == 0 else None
    return Record(Kind.ACCESS_GRANTED, {"n": n, "person_id": f"p-{n % 7}"}, Priority.NORMAL, facts)


class Server:
    """The real server's ledger, and the door's own half of the conversation with it."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(SqliteConnection(path))

    def hello(self, store: Store) -> tuple[list[str], Ack]:
        h = store.sending().head()
        hello = Hello(device=DEVICE, nonce="0" * 16, epoch=h.epoch, first=h.first, before_first=h.before_first,
                      last=h.last, last_hash=h.last_hash, acked=h.acked, clock="ntp", utc_ms=0, version="")  # fmt: skip
        return self._apply(take_hello(self.ledger.chain(DEVICE, h.epoch), hello))

    def rows(self, items: list[Row | Skipped], epoch: str) -> tuple[list[str], Ack]:
        chain = self.ledger.chain(DEVICE, epoch) or Chain(epoch)
        return self._apply(take_rows(chain, items, lambda seq: self.ledger.hash_of(DEVICE, epoch, seq)))

    def talk(self, store: Store) -> list[str]:
        """Until everything is acknowledged: what the server is alarmed about, what the door says of the answers."""
        told: list[str] = []
        for _ in range(_ROUNDS):
            alarms, ack = self.hello(store)
            judged, report = weighed(store, Weigh(ack, fresh=True), moment(ROWS + 2))
            told += [f"server: {word}" for word in alarms] + ([f"door: {report.word}"] if report else [])
            while carry(store):
                pass
            e = store.epoch(ack.epoch)
            if judged.verdict is not Verdict.HOLDS or e is None or e.acked >= e.last_seq:
                if store.depth() == 0:
                    break
                continue
            alarms, ack = self.rows(store.read(e, e.acked + 1, 500), e.name)
            weighed(store, Weigh(ack, fresh=False), moment(ROWS + 2))
            told += [f"server: {word}" for word in alarms]
        return told

    def _apply(self, taken: Taken) -> tuple[list[str], Ack]:
        with self.ledger.transaction():
            alarms = self.ledger.apply(DEVICE, taken, 0).alarms
        assert taken.ack is not None
        return [a.word for a in alarms], taken.ack


def plain(path: Path, server: Server, rng: random.Random) -> None:
    """One epoch of ROWS rows: the server has ACKED of them and has heard of all. An early copy of it stays beside."""
    early = rng.randint(30, ROWS - 20)
    for first, last in ((1, early), (early, ROWS)):
        store = open_journal(path, DEVICE, moment(0)).store
        store.append([(moment(n), record(n)) for n in range(first, last)])
        if last == ROWS:
            server.hello(store)
            server.rows(store.read(store.current, 1, ACKED), store.current.name)
            store.current.acked = ACKED
            store.save_acked()
        store.close()
        if last == early:
            shutil.copy(path, path.with_name("older.db"))


def folded(path: Path, server: Server, rng: random.Random) -> None:
    """Low rows beyond the window were folded into counters."""
    plain(path, server, rng)
    store = open_journal(path, DEVICE, moment(0)).store
    low = Record(Kind.DOOR_PHYSICAL, {"state": "Open"}, Priority.LOW)
    store.append([(moment(ROWS), low)] * (WINDOW_ROWS + 60))
    fold(store, moment(ROWS), Priority.LOW, Kind.FOLDED)
    server.hello(store)
    store.close()


def parted(path: Path, server: Server, rng: random.Random) -> None:
    """Two epochs: the server called the first one a fork, its rows were carried over, and are not sent yet."""
    plain(path, server, rng)
    store = open_journal(path, DEVICE, moment(0)).store
    weighed(store, Weigh(Ack(store.current.name, ACKED + 1, "b" * 64, "n"), fresh=True), moment(ROWS))
    while carry(store):
        pass
    server.hello(store)
    store.close()


def rescued(path: Path, server: Server, rng: random.Random) -> None:
    """Two epochs: the first is what could be saved of a damaged journal, with a mark; nothing of it is sent yet."""
    plain(path, server, rng)
    e = Edit(path, rng)
    e.run("UPDATE rows SET body = '{}' WHERE id = ?", key(1, ROWS - 5))
    e.db.close()
    store = open_journal(path, DEVICE, moment(ROWS)).store
    store.append([(moment(ROWS), record(n)) for n in range(1, 40)])
    store.close()
    for old in path.parent.glob("*.quarantined-*"):
        old.unlink()
