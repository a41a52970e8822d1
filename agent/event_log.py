"""Every row of the door's journal as one JSON line on standard output: `journalctl -u door-agent -o cat | jq`.

A copy for people and log collectors, never the record itself. A reader that does not keep up (a stuck log daemon)
loses lines here rather than hold the thread that stores them.
Ids and reasons only, as in the journal; receipts of faces are left out.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO

from agent.clock import rfc3339
from agent.core.stream import RowShown, RowsShown

_WAITING: Final = 500
_LEFT_OUT: Final = frozenset({"receipt"})


class EventLog:
    """One thread writes; `stop` waits a moment for what is queued."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
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

    def show(self, shown: RowsShown) -> None:
        """Each row as a line. Never waits."""
        for row in shown.rows:
            try:
                self._queue.put_nowait(_text(self._line(row)))
                self._lost = 0
            except queue.Full:
                self._lost += 1

    def _line(self, row: RowShown) -> Mapping[str, Any]:
        body = {key: value for key, value in row.body.items() if key not in _LEFT_OUT}
        line = {"at": rfc3339(row.utc_ms), "kind": row.kind, "priority": row.priority.name.lower()}
        return {**line, **({"lines_lost": self._lost} if self._lost else {}), "body": body}

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._out.write(line + "\n")
                self._out.flush()
            except (OSError, ValueError):  # the reader is gone; the journal has everything
                return


def _text(line: Mapping[str, Any]) -> str:
    """As JSON; half a character, which no stream takes, as JSON's own escape for it."""
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
