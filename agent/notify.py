"""Telling systemd: ready, alive, stopping. Does nothing where nobody listens."""

from __future__ import annotations

import os

from hardware.notify import Notifier


class ServiceManager:
    """Feeds the watchdog at a quarter of its time. Only the decision loop calls `alive`."""

    def __init__(self) -> None:
        self._notifier = Notifier()
        self.tell = self._notifier.tell
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self._every_s = int(watchdog_us) / 4e6 if watchdog_us.isdigit() else None
        self._due_s = 0.0

    def alive(self, now_s: float) -> None:
        """Once in every turn of the loop."""
        if self._every_s is not None and now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            self.tell("WATCHDOG=1")
