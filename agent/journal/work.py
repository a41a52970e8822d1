"""What the outbox is asked to do, and the parts of it that need neither thread nor inbox."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from agent.core.acknowledgement import Ack, Verdict, judge
from agent.core.events import Record
from agent.core.journal import Row, Skipped, canonical
from agent.core.stream import StoreReported
from agent.core.sync import AckJudged, Batch
from agent.journal.rows import last_of
from agent.journal.schema import Epoch, Moment
from agent.journal.store import NOT_SENT, Store


@dataclass(frozen=True, slots=True)
class Entry:
    """Store this record; with a token, say when it is safe. The ring numbers them as they come."""

    when: Moment
    record: Record
    token: str | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read at most `limit` items from `first`."""

    epoch: str
    first: int
    limit: int


@dataclass(frozen=True, slots=True)
class FetchRows:
    """Read single rows."""

    epoch: str
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weigh:
    """Compare an acknowledgement with the store and take it where it holds."""

    ack: Ack
    fresh: bool


@dataclass(frozen=True, slots=True)
class Wake:
    """Tell the listener where things stand."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Commit what waits and end."""


_RETRY_FIRST_S, _RETRY_CAP_S = 0.5, 30.0
_CARRIED_ROWS = 200  # of one transaction: a commit of new rows never waits long
_BATCH_BYTES = 128 * 1024
_ENVELOPE_BYTES = 800  # a row on the wire without its body

Work: TypeAlias = Entry | Fetch | FetchRows | Weigh | Wake | Stop


class Ring:
    """Records on their way to the disk, bounded. What does not fit is counted by kind, lowest priority first.

    A row may be lost, what it changed of the door's facts (a used pass, a counter) may not: its neighbour takes that.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Entry] = deque()
        self._number = 0
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        """Keep a record; when full, the oldest of the lowest priority goes."""
        self._number = max(self._number + 1, entry.number)  # one that an earlier run left has its number
        self._entries.append(replace(entry, number=self._number))
        if len(self._entries) > self._limit:
            self._drop(min(range(len(self._entries)), key=lambda at: self._entries[at].record.priority))

    def _drop(self, at: int) -> None:
        victim = self._entries[at].record
        del self._entries[at]
        self.dropped[str(victim.kind)] += 1
        if victim.facts and self._entries:
            heir_at = min(at, len(self._entries) - 1)  # the next one, whose own facts are newer; else the one before
            heir = self._entries[heir_at]
            older, newer = (victim.facts, heir.record.facts) if heir_at == at else (heir.record.facts, victim.facts)
            record = replace(heir.record, facts={**(older or {}), **(newer or {})})
            self._entries[heir_at] = replace(heir, record=record)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def first(self, count: int) -> list[Entry]:
        """The oldest ones; they stay until `done`."""
        return [self._entries[i] for i in range(min(len(self._entries), count))]

    def done(self, count: int) -> None:
        """The oldest `count` are on the disk."""
        for _ in range(count):
            self._entries.popleft()


class Trouble:
    """Whether the disk fails, and when to try it again: at once (the ballast is given back), then ever more rarely."""

    def __init__(self) -> None:
        self.on = self.told = self.full = False
        self.again_s = 0.0
        self._wait_s = _RETRY_FIRST_S

    def begins(self, now_s: float) -> None:
        """Note a failure, or one more of the same."""
        if self.on:
            self.again_s = now_s + self._wait_s
            self._wait_s = min(self._wait_s * 2, _RETRY_CAP_S)
        else:
            self.on, self.again_s, self._wait_s = True, now_s, _RETRY_FIRST_S

    def ends(self) -> None:
        """The journal is written again."""
        self.on = self.told = False


def fetched(store: Store, work: Fetch | FetchRows) -> Batch | None:
    """The answer to a fetch; None for an epoch that is not here."""
    e = store.epoch(work.epoch)
    if e is None:
        return None
    if isinstance(work, FetchRows):
        return Batch(e.name, 0, 0, tuple(store.rows(e, work.seqs)), preview=True)
    here = e.base_seq < work.first <= e.last_seq  # pruned meanwhile, or not yet written
    items = _fitting(store.read(e, work.first, work.limit)) if here else ()
    return Batch(e.name, work.first, last_of(items) if items else work.first - 1, items)


def _fitting(items: list[Row | Skipped]) -> tuple[Row | Skipped, ...]:
    """As many as fit into one message, at least one."""
    size = 0
    for n, item in enumerate(items):
        size += _ENVELOPE_BYTES + (len(canonical(item.body).encode()) if isinstance(item, Row) else 0)
        if n and size > _BATCH_BYTES:
            return tuple(items[:n])
    return tuple(items)


def weighed(store: Store, work: Weigh, now: Moment) -> tuple[AckJudged, StoreReported | None]:
    """Take an acknowledgement where it holds; where it contradicts the store, part with that epoch."""
    ack, e = work.ack, store.sending()
    known = e.base_seq <= ack.next - 1 <= e.last_seq
    verdict = judge(e.head(), ack, store.hash_at(e, ack.next - 1) if known else None, fresh=work.fresh)
    report = None
    if verdict is Verdict.HOLDS:
        e.acked = ack.next - 1
    elif verdict is Verdict.WENT_BACK:
        e.acked = max(ack.next - 1, e.base_seq)
        if e.acked == e.base_seq:
            _ask_again_before(store, e)
        report = StoreReported(str(verdict), f"epoch {e.name}: the server now has {ack.next - 1} rows")
    elif verdict is not Verdict.STALE:
        report = _part(store, e, verdict, ack, now)
    return AckJudged(ack, verdict, e.head()), report


def _ask_again_before(store: Store, e: Epoch) -> None:
    """It has nothing of this chain, so it may lack rows of those before: each is said hello of, and it says where."""
    for before in store.epochs[: store.epochs.index(e)]:
        if before.closed not in NOT_SENT:
            before.acked = before.base_seq


def _part(store: Store, e: Epoch, verdict: Verdict, ack: Ack, now: Moment) -> StoreReported:
    """The server has another history under this epoch's name: ours goes on under a new one (see `carry`)."""
    word = str(verdict)
    if ack.next - 1 < e.acked:  # what it once acknowledged is gone as well
        e.acked = e.base_seq
    if e is store.current:
        known = {"previous_epoch": e.name, "last_seq": e.last_seq, "last_hash": e.last_hash}
        carries = {"carries": [e.acked + 1, e.last_seq]} if e.acked < e.last_seq else {}
        told = {"server_next": ack.next, "server_hash": ack.hash}
        store.begin_epoch(e.device, now, {"reason": word, **known, **carries, **told})
    else:
        store.close_epoch(e, word)
    return StoreReported(word, f"epoch {e.name}: the server has {ack.next - 1} rows, not those {e.last_seq} here")


def carry(store: Store) -> bool:
    """Append some rows of an epoch that the server takes no longer to the one that grows; True when there may be more.

    Those that it has had under their old name among them: which these are only it can tell, and it does by that name.
    """
    e = store.refused()
    if e is None:
        return False
    store.append_copies(e, store.read(e, e.acked + 1, _CARRIED_ROWS))
    return True
