"""Telling systemd: ready, alive, stopping. Does nothing where nobody listens."""

from __future__ import annotations

import os

from hardware.notify import Notifier


class ServiceManager:
    """Feeds the watchdog at a quarter of its time. Only the decision loop calls `alive` and `say`."""

    def __init__(self) -> None:
        self._notifier = Notifier()
        self.tell = self._notifier.tell
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self._every_s = int(watchdog_us) / 4e6 if watchdog_us.isdigit() else None
        self._due_s = 0.0
        self._said: str | None = None

    def alive(self, now_s: float) -> None:
        """Once in every turn of the loop."""
        if self._every_s is not None and now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            self.tell("WATCHDOG=1" if self._said is None else f"WATCHDOG=1\nSTATUS={self._said}")

    def say(self, words: str) -> None:
        """What `systemctl status` shows beside the service; told when it changes, and with each sign of life."""
        if words != self._said:
            self._said = words
            self.tell(f"STATUS={words}")
