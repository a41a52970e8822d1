"""The outbox as other threads see it: everything here only puts work into an inbox."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agent.clock import Clock
from agent.core.acknowledgement import Ack
from agent.core.events import Record
from agent.core.stream import RowsShown
from agent.core.sync import AckJudged, Batch, HeadMoved
from agent.journal.schema import Moment
from agent.journal.showing import Showing
from agent.journal.work import Entry, Fetch, FetchRows, Wake, Weigh, Work

MIB = 1024 * 1024
Listener: TypeAlias = Callable[[HeadMoved | Batch | AckJudged], None]


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """Where the journal is and how large it may become.

    `ballast_bytes` lie beside it to be given back when the disk is full; `ring_rows` records wait in memory at most
    while the store fails.
    """

    path: Path
    site: str
    door: str
    quota_bytes: int = 256 * MIB
    keep_days: float = 30.0
    ballast_bytes: int = MIB
    ring_rows: int = 5000


class Desk:
    """Safe to call from any thread; nothing here blocks."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._inbox: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._listener: Listener | None = None
        self._showing = Showing()

    def append(self, record: Record, *, token: str | None = None) -> None:
        """Take a record. With `token`, Committed(token, …) is posted once it is safe."""
        self._inbox.put(Entry(self._moment(), record, token))

    def attach(self, listener: Listener) -> None:
        """Who is told about new rows, and answered; called on the outbox's thread, so it may only hand over."""
        self._listener = listener
        self._inbox.put(Wake())

    def watch(self, *watchers: Callable[[RowsShown], None]) -> None:
        """Before start(): who is shown each row; called on the outbox's thread, so they may only hand over."""
        self._showing.watch(*watchers)

    def fetch(self, epoch: str, first: int, limit: int) -> None:
        """Ask for rows; the listener gets a Batch."""
        self._inbox.put(Fetch(epoch, first, limit))

    def fetch_rows(self, epoch: str, seqs: tuple[int, ...]) -> None:
        """Ask for single rows; the listener gets a preview Batch."""
        self._inbox.put(FetchRows(epoch, seqs))

    def acknowledge(self, ack: Ack, *, fresh: bool) -> None:
        """Weigh and take an acknowledgement whose signature has been checked; the listener gets AckJudged."""
        self._inbox.put(Weigh(ack, fresh))

    def _moment(self) -> Moment:
        c = self.clock
        return Moment(c.boot_id(), int(c.now_s() * 1000), c.utc_ms(), c.quality())
