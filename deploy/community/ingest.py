"""The server's half of the conversation: what to do with a hello, with rows, with previews. Pure: no store, no clock.

Per row: below `next` it is a repeat (compared, dropped, acknowledged again); equal and linking, it is stored; above,
the server asks for what is missing; linking to something else, it is a fork: nothing of that epoch is taken any more,
and the acknowledgement says so. What this module returns is applied in one transaction, the acknowledgement sent after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agent.core.acknowledgement import Ack
from agent.core.journal import GENESIS, Row, Skipped, row_hash
from agent.wire import Hello

MAX_SEEN = 50


@dataclass(frozen=True, slots=True)
class Chain:
    """What the server holds of one epoch of one door: every row below `next`, the last of which has `hash`.

    `heard` is the newest row the door ever said it had. `claimed` is one such row that is still on its way, with its
    hash, so that not even rows that are yet to come can be exchanged unnoticed. `re` is the nonce of the door's last
    hello, `run` the start of its agent that sent it, `fork` the row at which its history split from the one kept here
    (0: it did not).
    """

    epoch: str
    next: int = 1
    hash: str = GENESIS
    heard: int = 0
    claimed: int = 0
    claimed_hash: str = GENESIS
    re: str = ""
    fork: int = 0
    run: str = ""

    def ack(self, *, gap: int | None = None, seen: tuple[int, ...] = ()) -> Ack:
        """The acknowledgement of everything up to here."""
        return Ack(self.epoch, self.next, self.hash, self.re, gap, self.fork or None, seen)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a manager should look at; README.md has the words."""

    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What a message comes to: apply all of it in one transaction, then send `ack`."""

    chain: Chain
    rows: tuple[Row, ...] = ()
    missed: tuple[Skipped, ...] = ()
    previews: tuple[Row, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    ack: Ack | None = None


Known = Callable[[int], str | None]  # the stored hash of a row of this chain, None when it is not there


def take_hello(chain: Chain | None, hello: Hello, *, late: bool = False) -> Taken:
    """Answer a hello with where to go on, and notice what its claims say about the door's store.

    `late`: a newer start of the door's agent was heard already. A store is not rolled back under a running agent, so
    a hello of the same start that has fewer rows was overtaken on its way as well. What comes late changes nothing.
    """
    fresh = chain is None
    chain = chain or Chain(hello.epoch)
    overtaken = bool(hello.run) and hello.run == chain.run and hello.last < max(chain.next - 1, chain.heard)
    if not fresh and (late or overtaken):
        return Taken(chain, ack=chain.ack())
    alarms: list[Alarm] = []
    missed: tuple[Skipped, ...] = ()
    if hello.first > chain.next and not chain.fork:
        missed = (Skipped(chain.next, hello.first - 1, hello.before_first, 0),)
        why = "pruned before this server knew the door" if fresh else "no longer on the door"
        alarms.append(Alarm("rows-lost", f"rows {chain.next} to {hello.first - 1} are {why}"))
        chain = replace(chain, next=hello.first, hash=hello.before_first)
    newest = max(chain.next - 1, chain.heard)
    if hello.last < newest:
        alarms.append(
            Alarm("restored", f"the door now has {hello.last} rows, it had {newest}: its store was rolled back")
        )
    known = {chain.next - 1: chain.hash, chain.claimed: chain.claimed_hash}
    if known.get(hello.last, hello.last_hash) != hello.last_hash and not chain.fork:
        alarms.append(Alarm("fork", f"row {hello.last} on the door is not the one it had before"))
        chain = replace(chain, fork=max(hello.last, 1))
    chain = replace(chain, re=hello.nonce, heard=hello.last, run=hello.run)
    if chain.next > chain.claimed or alarms:
        chain = replace(chain, claimed=hello.last, claimed_hash=hello.last_hash)
    return Taken(chain, missed=missed, alarms=tuple(alarms), ack=chain.ack())


@dataclass(slots=True)
class _Taking:
    chain: Chain
    known: Known
    rows: list[Row] = field(default_factory=list)
    missed: list[Skipped] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    gap: int | None = None

    def hash_of(self, seq: int) -> str | None:
        new = next((r.hash for r in self.rows if r.seq == seq), None)
        return new or self.known(seq)

    def mark(self, mark: Skipped) -> None:
        if mark.first > self.chain.next:
            self.gap = mark.first
        elif mark.last >= self.chain.next:
            self.missed.append(replace(mark, first=self.chain.next))
            self.chain = replace(self.chain, next=mark.last + 1, hash=mark.hash)

    def row(self, row: Row) -> None:
        if row.seq > self.chain.next:
            self.gap = row.seq
        elif not _intact(row):
            self.gap = row.seq  # damaged on its way or made up: ask again
            self.alarms.append(Alarm("damaged", f"row {row.seq} does not have the hash it claims"))
        elif row.seq < self.chain.next:
            known = self.hash_of(row.seq)
            if known is not None and known != row.hash:
                self.fork(row.seq)
        elif row.prev != self.chain.hash or (row.seq == self.chain.claimed and row.hash != self.chain.claimed_hash):
            self.fork(row.seq)
        else:
            self.rows.append(row)
            self.chain = replace(self.chain, next=row.seq + 1, hash=row.hash, heard=max(row.seq, self.chain.heard))

    def fork(self, seq: int) -> None:
        self.chain = replace(self.chain, fork=seq)
        self.alarms.append(Alarm("fork", f"row {seq} contradicts what this door sent before"))


def take_rows(chain: Chain, items: Iterable[Row | Skipped], known: Known) -> Taken:
    """Take what links, in order; stop at the first hole or contradiction."""
    t = _Taking(chain, known)
    for item in items:
        if t.gap is not None or t.chain.fork:
            break
        if isinstance(item, Skipped):
            t.mark(item)
        else:
            t.row(item)
    return Taken(t.chain, tuple(t.rows), tuple(t.missed), (), tuple(t.alarms), t.chain.ack(gap=t.gap))


def take_previews(chain: Chain, rows: Iterable[Row]) -> Taken:
    """Copies sent ahead of a backlog: believed as far as their own hash goes, confirmed later by the chain."""
    good = tuple(r for r in rows if _intact(r))[:MAX_SEEN]
    return Taken(chain, previews=good, ack=chain.ack(seen=tuple(r.seq for r in good)))


def _intact(row: Row) -> bool:
    try:
        return row_hash(row) == row.hash
    except ValueError:
        return False
