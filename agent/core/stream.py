"""What the stream tells the controller: committed, failing, connected, refused. All of it arrives through `post`.

The journal's rows are in journal.py, the conversation with the server in sync.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.events import Priority

# ---------------------------------------------------------------- from the outbox


@dataclass(frozen=True, slots=True)
class Committed:
    """The record appended with `token` is on the disk, in the same transaction as its facts."""

    token: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class RowShown:
    """A row of the journal for whoever looks on: pages and logs. `utc_ms` is its own time."""

    utc_ms: int
    kind: str
    priority: Priority
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowsShown:
    """Rows that nobody was shown yet, in the journal's order; while the disk takes nothing, those that wait for it."""

    rows: tuple[RowShown, ...]


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """Rows can't be stored (posted once until StoreRecovered). They wait in memory; the door goes on."""

    detail: str


@dataclass(frozen=True, slots=True)
class StoreRecovered:
    """Rows are stored again. `dropped` counts the rows that did not fit in memory; a tombstone row names them."""

    waited: int
    dropped: int


@dataclass(frozen=True, slots=True)
class StoreReported:
    """Something about the store that a person should know: quarantined, quota passed, fork. `word` is short and fixed.

    Words: created, quarantined, quota-70, quota-80, quota-95, quota-ok, fork, restored, server-went-back, dead (its
    thread ended by a fault of ours: the process has to). The journal row that says the same has been written already,
    but for the last.
    """

    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """A snapshot of the store, safe to hand to any thread.

    `depth` counts rows not yet acknowledged by the server, `bytes` is the store's size on disk with its journal,
    `quota_used` their share of the quota (1.0 is full), `state` one of starting, ok, failing, stopped, dead,
    `floor_ms` a wall time known to have passed.
    """

    epoch: str = ""
    head_seq: int = 0
    acked_seq: int = 0
    depth: int = 0
    bytes: int = 0
    quota_used: float = 0.0
    state: str = "starting"
    head_hash: str = ""
    floor_ms: int = 0


# ---------------------------------------------------------------- from the link


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The broker accepted this device and its subscriptions."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone; posted once per outage and again when the cause changes.

    `cause` is network (wait and retry), refused (certificate, name or permission: a person's to mend) or off
    (switched off here).
    """

    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class LinkAlarm:
    """The broker or the server refused or sent something that should not happen (reason code >= 0x80, bad ack)."""

    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class CommandArrived:
    """A message on dn/command, unchecked. `retained` must make it refused.

    `unheard`: messages before it that came too fast to be looked at.
    """

    payload: bytes
    retained: bool
    correlation: bytes | None = None
    unheard: int = 0


@dataclass(frozen=True, slots=True)
class RosterArrived:
    """A message on dn/roster, unchecked."""

    payload: bytes
    retained: bool
