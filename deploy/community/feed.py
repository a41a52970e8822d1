"""What the manager's page shows: the newest events and alarms of all doors and each door's last state, in memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from deploy.community.consumer import News

_KEPT = 300
_STREAMED = 500  # doors' states included


class Feed:
    """Filled by the consumer's thread, read by the page's threads; each entry has a growing number."""

    def __init__(
        self, events: Iterable[dict[str, Any]], doors: Iterable[tuple[str, int, bool, dict[str, Any]]]
    ) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self.closed = False
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._stream: deque[dict[str, Any]] = deque(maxlen=_STREAMED)
        self._doors: dict[str, dict[str, Any]] = {
            name: {"heard_ms": heard_ms, "online": online, "state": _shown(state)}
            for name, heard_ms, online, state in doors
        }
        for event in events:
            self._append({"type": "event", **event})

    def add(self, news: News) -> None:
        """Take one piece of news from the consumer; a hello is nothing to show."""
        if news.kind == "hello":
            return
        now_ms = time.time_ns() // 1_000_000
        with self._changed:
            door: dict[str, Any] = {"online": True, "state": {}}
            if "/" in news.device:  # not the server's own
                door = self._doors.setdefault(news.device, door)
            door["heard_ms"] = now_ms
            if news.kind == "state":
                door["state"], door["online"] = _shown(news.what), bool(news.what.get("online"))
                self._append({"type": "state", "device": news.device, **door})
            elif news.what.get("stage") != "challenge":  # that is between the door and the commander
                self._append({"type": news.kind, "device": news.device, "received_ms": now_ms, **news.what})
            self._changed.notify_all()

    def _append(self, entry: dict[str, Any]) -> None:
        self._number += 1
        numbered = {"number": self._number, **entry}
        self._stream.append(numbered)
        if entry["type"] not in ("state", "reply"):
            self._entries.append(numbered)

    def snapshot(self) -> dict[str, Any]:
        """Everything, oldest entry first; states are in `doors`."""
        with self._changed:
            doors = {k: dict(v) for k, v in self._doors.items()}
            return {"doors": doors, "entries": list(self._entries), "number": self._number}

    def after(self, number: int, timeout_s: float) -> list[dict[str, Any]]:
        """Entries newer than `number`; waits up to `timeout_s` for the first. A slow reader misses the oldest."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._number > number, timeout_s)
            return [e for e in self._stream if e["number"] > number]

    def close(self) -> None:
        """Nothing more will come: whoever waits is told at once."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    """A door's state without what no page needs."""
    return {key: value for key, value in state.items() if key != "challenge"}
