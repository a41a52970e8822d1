"""What the door is doing now, for pages and the health topic: written by the controller, read by anyone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

MAX_EVENTS = 60
MAX_PICTURE_BYTES = 512 * 1024


class StatusBoard:
    """A versioned snapshot. Readers wait for a newer version; the controller never waits for a reader."""

    def __init__(self, first: Mapping[str, Any]) -> None:
        self._changed = threading.Condition()
        self._sections: dict[str, Any] = dict(first)
        self._events: deque[Mapping[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._version = 0
        self._picture: bytes | None = None
        self._picture_number = 0

    def update(self, **sections: Any) -> None:  # noqa: ANN401  JSON-shaped values
        """Replace whole sections; nothing happens when nothing differs."""
        with self._changed:
            changed = {k: v for k, v in sections.items() if self._sections.get(k) != v}
            if changed:
                self._sections.update(changed)
                self._bump()

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Put one event on top of the feed."""
        with self._changed:
            self._events.appendleft(event)
            self._bump()

    def put_picture(self, jpeg: bytes) -> None:
        """Keep the newest preview picture (JPEG)."""
        if len(jpeg) <= MAX_PICTURE_BYTES:
            with self._changed:
                self._picture, self._picture_number = jpeg, self._picture_number + 1
                self._changed.notify_all()

    def snapshot(self) -> dict[str, Any]:
        """Everything, as one JSON-shaped dict with its version."""
        with self._changed:
            return {**self._sections, "events": list(self._events), "version": self._version}

    def wait(self, version: int, timeout_s: float) -> dict[str, Any] | None:
        """The snapshot once it is newer than `version`, or None after `timeout_s`."""
        with self._changed:
            newer = self._changed.wait_for(lambda: self._version > version, timeout_s)
        return self.snapshot() if newer else None

    def wait_picture(self, number: int, timeout_s: float) -> tuple[int, bytes] | None:
        """The preview once there is one newer than `number` (0 at first), or None after `timeout_s`."""
        with self._changed:
            newer = self._changed.wait_for(lambda: self._picture_number > number, timeout_s)
            return (self._picture_number, self._picture) if newer and self._picture is not None else None

    def picture(self) -> bytes | None:
        """The newest preview, if any."""
        with self._changed:
            return self._picture

    def _bump(self) -> None:
        self._version += 1
        self._changed.notify_all()
