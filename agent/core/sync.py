"""The device's half of the conversation that moves the journal to the server: a machine without I/O.

Rules. A hello opens every connection and is repeated, with full jitter, whenever nothing has moved for a second; only
its answer says where to go on, so nothing is remembered about what the broker may have taken. Rows flow in order, at
most WINDOW_ROWS ahead of the server's last acknowledgement. An acknowledgement counts only after the store has
compared its hash with its own row (see acknowledgement.judge). A reported gap is resent from once; the next hello mends
what that did not. An alarm row that would have to queue behind a backlog, or behind an older chain, is sent ahead as a
preview: a copy outside the chain, repeated until the server has seen it, which the chain confirms later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from agent.core.acknowledgement import Ack, Head, Verdict
from agent.core.journal import Row, Skipped

BATCH_ROWS = 50
WINDOW_ROWS = 400
PROGRESS_S = 1.0
BACKOFF_CAP_S = 60.0
IDLE_S = 3600.0  # a server that went back to a backup while nothing happened learns of it then
MAX_PREVIEWS = 20
_MAX_DOUBLINGS = 6  # 2**6 s is past the cap


RowName: TypeAlias = tuple[str, int]  # epoch and number

# ---------------------------------------------------------------- what happens


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the device and its subscriptions."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """The store has something else to send. `alarms` name alarm rows just committed, or not sent by an earlier run."""

    head: Head
    alarms: tuple[RowName, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What the store had at `first`: rows and marks of skipped rows, in order, up to `last`; empty when that is less.

    A batch that answers ReadPreviews has `preview` set and is not contiguous.
    """

    epoch: str
    first: int
    last: int
    items: tuple[Row | Skipped, ...]
    preview: bool = False


@dataclass(frozen=True, slots=True)
class AckJudged:
    """The store has compared an acknowledgement, and taken it where it holds."""

    ack: Ack
    verdict: Verdict
    head: Head


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


SyncEvent: TypeAlias = Connected | Disconnected | HeadMoved | Batch | AckJudged | Tick

# ---------------------------------------------------------------- what is done


@dataclass(frozen=True, slots=True)
class SendHello:
    """Publish a hello with this nonce."""

    nonce: str
    head: Head


@dataclass(frozen=True, slots=True)
class Read:
    """Ask the store for at most `limit` items from `first`; it answers with a Batch."""

    epoch: str
    first: int
    limit: int


@dataclass(frozen=True, slots=True)
class ReadPreviews:
    """Ask the store for these rows; it answers with a preview Batch."""

    epoch: str
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this batch."""

    batch: Batch


SyncEffect: TypeAlias = SendHello | Read | ReadPreviews | Send


@dataclass(frozen=True, slots=True)
class Sync:
    """Where the conversation stands. `hello` is the newest hello's nonce, `greeted` whether it was answered."""

    head: Head | None = None
    online: bool = False
    hello: str = ""
    greeted: bool = False
    sent: int = 0
    reading: bool = False
    gap_mended: int = 0
    tries: int = 0
    due_s: float | None = None
    idle: bool = False
    previews: tuple[RowName, ...] = ()


Step: TypeAlias = tuple[Sync, tuple[SyncEffect, ...]]


def step(s: Sync, event: SyncEvent, now_s: float, *, nonce: str, jitter: float) -> Step:
    """Total: an event that does not fit changes nothing.

    Args:
        s: the state before.
        event: what happened.
        now_s: CLOCK_BOOTTIME.
        nonce: fresh randomness, used if this step sends a hello.
        jitter: random in [0, 1).
    """
    match event:
        case Connected():
            return _greet(replace(s, online=True, tries=0), now_s, nonce, jitter)
        case Tick() if s.online and s.due_s is not None and now_s >= s.due_s:
            return _greet(replace(s, tries=s.tries + 1), now_s, nonce, jitter)
        case HeadMoved():
            return _moved(s, event, now_s, nonce, jitter)
        case Batch():
            return _read(s, event, now_s)
        case AckJudged():
            return _judged(s, event, now_s)
        case Disconnected():
            s = replace(s, online=False, greeted=False, due_s=None)
        case Tick():
            pass
    return s, ()


def _greet(s: Sync, now_s: float, nonce: str, jitter: float) -> Step:
    head = s.head
    if head is None:
        return s, ()
    wait_s = jitter * min(BACKOFF_CAP_S, 2.0 ** min(s.tries, _MAX_DOUBLINGS)) if s.tries else 0.0
    s = replace(s, hello=nonce, greeted=False, gap_mended=0, idle=False, due_s=now_s + PROGRESS_S + wait_s)
    return s, (SendHello(nonce, head),)


def _moved(s: Sync, event: HeadMoved, now_s: float, nonce: str, jitter: float) -> Step:
    head = event.head
    other = s.head is None or s.head.epoch != head.epoch
    if other:  # of the chain before, everything has been sent or goes on in another
        kept = tuple(p for p in s.previews if s.head is None or p[0] != s.head.epoch)
        s = replace(s, sent=head.acked, greeted=False, previews=kept, tries=0)
    late = tuple(a for a in event.alarms if a not in s.previews and (a[0] != head.epoch or a[1] - s.sent > BATCH_ROWS))
    s = replace(s, head=head, previews=(s.previews + late)[-MAX_PREVIEWS:])
    if other:
        return _greet(s, now_s, nonce, jitter) if s.online else (s, ())
    ahead = _ask_for(late) if s.online and s.greeted else ()
    s, effects = _pump(s, now_s)
    return s, ahead + effects


def _ask_for(previews: tuple[RowName, ...]) -> tuple[SyncEffect, ...]:
    epochs = dict.fromkeys(epoch for epoch, _ in previews)
    return tuple(ReadPreviews(epoch, tuple(seq for e, seq in previews if e == epoch)) for epoch in epochs)


def _pump(s: Sync, now_s: float) -> Step:
    """Read on while the window has room; with everything acknowledged only the rare idle hello is left."""
    head = s.head
    if head is None or not s.online or not s.greeted:
        return s, ()
    if head.acked >= head.last:
        return replace(s, due_s=now_s + IDLE_S, idle=True, tries=0), ()
    s = replace(s, due_s=now_s + PROGRESS_S, idle=False) if s.idle or s.due_s is None else s
    room = WINDOW_ROWS - (s.sent - head.acked)
    if s.reading or room <= 0 or s.sent >= head.last:
        return s, ()
    return replace(s, reading=True), (Read(head.epoch, s.sent + 1, min(BATCH_ROWS, room)),)


def _read(s: Sync, batch: Batch, now_s: float) -> Step:
    if batch.preview:
        return s, (Send(batch),) if s.online and batch.items else ()
    wanted = s.reading and s.online and s.greeted and s.head is not None
    fits = wanted and s.head is not None and batch.epoch == s.head.epoch and batch.first == s.sent + 1
    s = replace(s, reading=False)
    if not fits:  # the answer to a question from before a rewind
        return _pump(s, now_s)
    if batch.last < batch.first:  # the store has less than it said: the next HeadMoved or hello sorts it out
        return s, ()
    s, effects = _pump(replace(s, sent=batch.last), now_s)
    return s, (Send(batch), *effects)


def _judged(s: Sync, event: AckJudged, now_s: float) -> Step:
    ack, head = event.ack, event.head
    s = replace(s, previews=tuple(p for p in s.previews if p[0] != ack.epoch or p[1] not in ack.seen))
    if s.head is None or head.epoch != s.head.epoch or event.verdict not in (Verdict.HOLDS, Verdict.WENT_BACK):
        return s, ()
    answers = ack.re == s.hello
    progress = head.acked > s.head.acked
    waiting = tuple(p for p in s.previews if p[0] != head.epoch or p[1] > head.acked)
    s = replace(s, head=head, sent=max(s.sent, head.acked), previews=waiting)
    if progress:
        s = replace(s, tries=0, due_s=now_s + PROGRESS_S)
    ahead: tuple[SyncEffect, ...] = ()
    if answers and not s.greeted:
        from_seq = max(ack.next, head.first)
        # a read that is still open may never be answered: the store failed meanwhile
        s = replace(s, greeted=True, sent=from_seq - 1, reading=False, due_s=_later(s, now_s))
        ahead = _ask_for(s.previews)
    elif answers and ack.gap is not None and ack.next != s.gap_mended and ack.next - 1 < s.sent:
        s = replace(s, sent=max(ack.next, head.first) - 1, gap_mended=ack.next)
    s, effects = _pump(s, now_s)
    return s, ahead + effects


def _later(s: Sync, now_s: float) -> float:
    """An answered hello gives the rows at least PROGRESS_S to arrive, without shortening a back-off under way."""
    return max(s.due_s or 0.0, now_s + PROGRESS_S)
