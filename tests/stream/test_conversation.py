"""Both ends against each other: whatever the network does, the server ends with every row once, in order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.core.acknowledgement import Ack, Head, Verdict, judge
from agent.core.journal import GENESIS, ClockQuality, Row, Skipped, sealed
from agent.core.sync import (
    IDLE_S,
    WINDOW_ROWS,
    AckJudged,
    Batch,
    Connected,
    Disconnected,
    HeadMoved,
    Read,
    ReadPreviews,
    Send,
    SendHello,
    Sync,
    Tick,
    step,
)
from agent.wire import Hello
from deploy.community.ingest import Chain, take_hello, take_previews, take_rows

pytestmark = pytest.mark.slow

EPOCH = "e" * 32


class Door:
    """The device's end, its store a list. `folded` are ranges that the store no longer has."""

    def __init__(self):
        self.rows: list[Row] = []
        self.folded: dict[int, Skipped] = {}
        self.acked = 0
        self.sync = Sync()
        self.out: list[tuple[str, object]] = []
        self.nonces = 0
        self.verdicts: set[Verdict] = set()

    def head(self) -> Head:
        return Head(EPOCH, 1, len(self.rows), self.acked, GENESIS, self.rows[-1].hash if self.rows else GENESIS)

    def append(self, priority: int) -> int:
        prev = self.rows[-1].hash if self.rows else GENESIS
        seq = len(self.rows) + 1
        self.rows.append(sealed(Row("s/d", EPOCH, seq, "b", seq, seq, ClockQuality.NTP, "K", priority, {}, prev)))
        return seq

    def fold(self, first: int, last: int) -> None:
        if first > self.acked + WINDOW_ROWS and last <= len(self.rows) and not self.in_fold(first, last):
            self.folded[first] = Skipped(first, last, self.rows[last - 1].hash, len(self.rows))

    def in_fold(self, first: int, last: int) -> bool:
        return any(m.first <= last and first <= m.last for m in self.folded.values())

    def read(self, first: int, limit: int) -> Batch:
        items: list[Row | Skipped] = []
        seq = first
        while seq <= len(self.rows) and len(items) < limit:
            mark = next((m for m in self.folded.values() if m.first <= seq <= m.last), None)
            items.append(replace(mark, first=seq) if mark else self.rows[seq - 1])
            seq = mark.last + 1 if mark else seq + 1
        return Batch(EPOCH, first, seq - 1, tuple(items))

    def apply(self, event, now_s: float, jitter: float = 0.5) -> None:
        self.nonces += 1
        self.sync, effects = step(self.sync, event, now_s, nonce=f"{self.nonces:08x}", jitter=jitter)
        for e in effects:
            match e:
                case SendHello():
                    h = e.head
                    self.out.append(("hello", Hello(
                        device="s/d", nonce=e.nonce, epoch=EPOCH, first=h.first, before_first=h.before_first,
                        last=h.last, last_hash=h.last_hash, acked=h.acked, clock="ntp", utc_ms=0, version="",
                    )))  # fmt: skip
                case Read():
                    self.apply(self.read(e.first, e.limit), now_s)
                case ReadPreviews():
                    rows = tuple(self.rows[q - 1] for q in e.seqs)
                    self.apply(Batch(EPOCH, 0, 0, rows, preview=True), now_s)
                case Send():
                    self.out.append(("alarm" if e.batch.preview else "events", e.batch.items))

    def take_ack(self, ack: Ack, now_s: float) -> None:
        own = self.rows[ack.next - 2].hash if 1 < ack.next <= len(self.rows) + 1 else GENESIS
        if any(m.first <= ack.next - 1 < m.last for m in self.folded.values()):
            own = None
        verdict = judge(self.head(), ack, own, fresh=ack.re == self.sync.hello)
        self.verdicts.add(verdict)
        if verdict in (Verdict.HOLDS, Verdict.WENT_BACK):
            self.acked = ack.next - 1
        self.apply(AckJudged(ack, verdict, self.head()), now_s)


class Server:
    def __init__(self):
        self.chain = None
        self.rows: list[Row] = []
        self.missed: list[Skipped] = []
        self.previews: set[int] = set()
        self.alarms: list[str] = []

    def take(self, what: str, content) -> Ack:
        if what == "hello":
            taken = take_hello(self.chain, content)
        elif what == "events":
            hashes = {r.seq: r.hash for r in self.rows}
            taken = take_rows(self.chain or Chain(EPOCH), content, hashes.get)
        else:
            taken = take_previews(self.chain or Chain(EPOCH), content)
        self.chain = taken.chain
        self.rows += taken.rows
        self.missed += taken.missed
        self.previews |= {r.seq for r in taken.previews}
        self.alarms += [a.word for a in taken.alarms]
        return taken.ack


class Conversation(RuleBasedStateMachine):
    """Messages wait in two bags; the rules take them out in any order, twice, or never."""

    @initialize()
    def begin(self):
        self.now_s = 100.0
        self.door, self.server = Door(), Server()
        self.acks: list[Ack] = []
        self.server_went_back = False
        self.door.append(2)
        self.door.apply(HeadMoved(self.door.head()), self.now_s)

    @rule(count=st.sampled_from([1, 3, 60, 600]), priority=st.sampled_from([0, 1, 2]))
    def rows(self, count, priority):
        for _ in range(count):
            self.door.append(priority)
        self.door.apply(HeadMoved(self.door.head()), self.now_s)

    @rule()
    def alarm(self):
        seq = self.door.append(3)
        self.door.apply(HeadMoved(self.door.head(), ((EPOCH, seq),)), self.now_s)

    @rule(offset=st.integers(1, 150), count=st.integers(1, 60))
    def fold(self, offset, count):
        first = self.door.acked + WINDOW_ROWS + offset
        self.door.fold(first, first + count - 1)

    @rule(at=st.integers(0, 50), fate=st.sampled_from(["deliver", "deliver", "deliver", "lose", "twice"]))
    def uplink(self, at, fate):
        if self.door.out:
            at %= len(self.door.out)
            message = self.door.out[at] if fate == "twice" else self.door.out.pop(at)
            if fate != "lose":
                self.acks.append(self.server.take(*message))

    @rule(at=st.integers(0, 50), fate=st.sampled_from(["deliver", "deliver", "lose", "twice"]))
    def downlink(self, at, fate):
        if self.acks:
            at %= len(self.acks)
            ack = self.acks[at] if fate == "twice" else self.acks.pop(at)
            if fate != "lose":
                self.door.take_ack(ack, self.now_s)

    @rule(messages=st.integers(1, 40))
    def network_works_for_a_while(self, messages):
        """In order and whole: without it the walk hardly ever gets past the greeting."""
        if not self.door.sync.online:
            self.door.apply(Connected(), self.now_s)
        for _ in range(messages):
            if self.door.out:
                self.acks.append(self.server.take(*self.door.out.pop(0)))
            if self.acks:
                self.door.take_ack(self.acks.pop(0), self.now_s)

    @rule(s=st.sampled_from([0.1, 1.1, 5.0, 70.0]), jitter=st.floats(0, 0.99))
    def time_passes(self, s, jitter):
        self.now_s += s
        self.door.apply(Tick(), self.now_s, jitter)

    @rule()
    def connect(self):
        self.door.apply(Connected(), self.now_s)

    @rule()
    def cut(self):
        self.door.out.clear()
        self.door.apply(Disconnected(), self.now_s)

    @rule(forgot=st.booleans())
    def door_dies(self, forgot):
        """Its rows are on the disk; the conversation is not, and what the server has may be older there."""
        self.door.sync, self.door.out = Sync(), []
        self.door.acked = 0 if forgot and not self.door.folded else self.door.acked
        self.door.apply(HeadMoved(self.door.head()), self.now_s)

    @rule(rows=st.integers(0, 200))
    def server_restores_an_older_backup(self, rows):
        if self.door.folded or self.server.chain is None or len(self.server.rows) < rows:
            return
        self.server.rows = self.server.rows[:rows]
        last = self.server.rows[-1].hash if self.server.rows else GENESIS
        self.server.chain = replace(self.server.chain, next=rows + 1, hash=last, heard=0, claimed=0)
        self.acks.clear()
        self.server_went_back = True

    @invariant()
    def rows_are_in_order_once_and_linked(self):
        if not hasattr(self, "server"):
            return
        seqs = [r.seq for r in self.server.rows] + [s for m in self.server.missed for s in range(m.first, m.last + 1)]
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
        assert [r.seq for r in self.server.rows] == sorted(r.seq for r in self.server.rows)

    @invariant()
    def nothing_is_believed_delivered_that_is_not(self):
        if hasattr(self, "server") and not self.server_went_back:
            assert self.door.acked <= (self.server.chain.next - 1 if self.server.chain else 0)

    @invariant()
    def the_window_bounds_what_is_on_its_way(self):
        if hasattr(self, "door"):
            assert self.door.sync.sent - self.door.acked <= WINDOW_ROWS or self.server_went_back or self.door.folded

    def teardown(self):
        """What is on its way is lost, then the network heals: everything arrives, nobody is accused."""
        if not hasattr(self, "door"):
            return
        door, server = self.door, self.server
        door.out.clear()
        self.acks.clear()
        if not door.sync.online:
            door.apply(Connected(), self.now_s)
        # a server that went back while nothing was going on learns of it with the next idle hello
        patience_s = IDLE_S + 200 if self.server_went_back else 200
        healed_s = self.now_s
        while self.now_s - healed_s < patience_s:
            while door.out or self.acks:
                while door.out:
                    self.acks.append(server.take(*door.out.pop(0)))
                while self.acks:
                    door.take_ack(self.acks.pop(0), self.now_s)
            if server.chain and door.acked == server.chain.next - 1 == len(door.rows):
                break
            self.now_s += 1.0
            door.apply(Tick(), self.now_s)
        assert door.acked == len(door.rows)
        folded = {s for m in server.missed for s in range(m.first, m.last + 1)}
        assert [r.hash for r in server.rows] == [r.hash for r in door.rows if r.seq not in folded]
        assert not {"fork", "damaged", "rows-lost"} & set(server.alarms)
        assert not {Verdict.FORK, Verdict.RESTORED} & door.verdicts
        assert door.sync.previews == ()


Conversation.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestConversation = Conversation.TestCase
