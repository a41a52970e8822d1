"""Owns the event journal: append, fetch, acknowledge, prune. One thread, one SQLite connection, rows never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.core.events import Record
from agent.core.stream import OutboxStatus

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """Where the journal is and how large it may become."""

    path: Path
    site: str
    door: str
    quota_bytes: int = 256 * MIB
    keep_days: float = 30.0
    ballast_bytes: int = MIB
    ring_rows: int = 5000


class Outbox:
    """The journal of one door."""

    def __init__(self, settings: OutboxSettings, post: Callable[[object], None], clock: Clock) -> None:
        self._settings, self._post, self._clock = settings, post, clock

    def start(self) -> None:
        """Open or create the journal; a damaged one is moved aside and a new epoch begun.

        Raises:
            StoreError: for what a person must mend: the folder is missing or not writable, another agent has it.
        """
        raise NotImplementedError

    def append(self, record: Record, *, token: str | None = None) -> None:
        """Take a record from any thread; never blocks. With `token`, Committed(token, …) is posted once it is safe."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """The facts stored by the last run, as they were when start() returned."""
        raise NotImplementedError

    def status(self) -> OutboxStatus:
        """A snapshot, from any thread."""
        raise NotImplementedError

    def stop(self, timeout_s: float = 5.0) -> None:
        """Commit what waits and close. Idempotent."""
        raise NotImplementedError
