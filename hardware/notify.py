"""Telling systemd that the guard is ready and alive (sd_notify(3)), in its few lines. Nothing where nobody listens."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """The service manager's socket, if there is one. Never blocks, never raises."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, state: str) -> None:
        """Send one state: READY=1, WATCHDOG=1, STOPPING=1 or STATUS=text."""
        if self._address:
            with contextlib.suppress(OSError):
                self._socket.sendto(state.encode(), self._address)
