"""Every row of the door's journal as one JSON line on standard output: `journalctl -u door-agent -o cat | jq`.

A copy for people and log collectors, never the record itself. It stands between the controller and the outbox, and
a reader that does not keep up (a stuck log daemon) loses lines here rather than hold the loop that holds the relay.
Ids and reasons only, as in the journal; receipts of faces are left out.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from agent.clock import rfc3339
from agent.controller import Journal
from agent.core.events import Record

_WAITING: Final = 500
_LEFT_OUT: Final = frozenset({"receipt"})


class EventLog:
    """A controller.Journal in front of another. One thread writes; `stop` waits a moment for what is queued."""

    def __init__(self, journal: Journal, out: TextIO, utc_ms: Callable[[], int]) -> None:
        self._journal, self._out, self._utc_ms = journal, out, utc_ms
        self._queue: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._lost = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, for two seconds at most."""
        try:
            self._queue.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(1)

    def append(self, record: Record, *, token: str | None = None) -> None:
        """To the journal first, then as a line."""
        self._journal.append(record, token=token)
        line = self._line(record)
        try:
            self._queue.put_nowait(json.dumps(line, ensure_ascii=False))
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def _line(self, record: Record) -> Mapping[str, Any]:
        body = {key: value for key, value in record.body.items() if key not in _LEFT_OUT}
        line = {"at": rfc3339(self._utc_ms()), "kind": str(record.kind), "priority": record.priority.name.lower()}
        return {**line, **({"lines_lost": self._lost} if self._lost else {}), "body": body}

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._out.write(line + "\n")
                self._out.flush()
            except (OSError, ValueError):  # the reader is gone; the journal has everything
                return
