"""The server's word for what it holds of a journal, and what the store makes of it; the conversation is in sync.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Head:
    """One epoch of the store: rows `first` to `last` are there, `acked` is the newest that the server has committed.

    `before_first` is the hash of row `first` - 1, `last_hash` that of row `last`.
    """

    epoch: str
    first: int
    last: int
    acked: int
    before_first: str
    last_hash: str


@dataclass(frozen=True, slots=True)
class Ack:
    """The server's word, its signature checked: every row below `next` is committed, row `next` - 1 has `hash`.

    `re` is the nonce of the last hello it got, `gap` the row it saw when it was waiting for `next`, `fork` a row whose
    hash contradicts its own, `seen` the previews it has stored.
    """

    epoch: str
    next: int
    hash: str
    re: str
    gap: int | None = None
    fork: int | None = None
    seen: tuple[int, ...] = ()


class Verdict(StrEnum):
    """What the store makes of an acknowledgement."""

    STALE = "stale"  # another epoch, or older than what is known: changes nothing
    HOLDS = "holds"
    WENT_BACK = "server-went-back"  # the server lost rows that it had acknowledged: they are sent again
    FORK = "fork"  # two histories under one name
    RESTORED = "restored"  # the server has rows that this store lacks: it was rolled back


def judge(head: Head, ack: Ack, own_hash: str | None, *, fresh: bool) -> Verdict:
    """Weigh an acknowledgement against the store.

    Args:
        head: the epoch being sent.
        ack: the server's word.
        own_hash: the store's hash of row ack.next - 1, None when that row has been folded away.
        fresh: it answers the newest hello, so it can't be a replay.
    """
    if ack.epoch != head.epoch:
        return Verdict.STALE
    if ack.next - 1 > head.last:
        return Verdict.RESTORED
    if ack.fork is not None or (own_hash is not None and own_hash != ack.hash):
        return Verdict.FORK if fresh or ack.next - 1 > head.acked else Verdict.STALE
    if ack.next - 1 >= head.acked:
        return Verdict.HOLDS
    return Verdict.WENT_BACK if fresh else Verdict.STALE
