"""Telling systemd: ready, alive, stopping. Does nothing where nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """The service manager's socket, if there is one (sd_notify(3))."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self._every_s = int(watchdog_us) / 2e6 if watchdog_us.isdigit() else None
        self._due_s = 0.0

    def say(self, text: str) -> None:
        """Send one state, such as READY=1."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), self._address)

    def alive(self, now_s: float) -> None:
        """Feed the watchdog, at half its time. Only the decision loop calls this."""
        if self._every_s is not None and now_s >= self._due_s:
            self._due_s = now_s + self._every_s / 2
            self.say("WATCHDOG=1")
