"""A connection to the guard as a person with a tool has it, beside the agent's: it looks, and moves nothing."""

from __future__ import annotations

import json
import socket
from typing import Any

GUARD = "/run/door-guard/guard.sock"
_HELLO_S = 3.0


class GuardEnd:
    """`hello` is what the guard said first: relay, inputs, lines. Raises OSError where nobody answers."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.settimeout(_HELLO_S)
            self._socket.connect(GUARD)
            self.hello = self.hear(_HELLO_S) or {}
        except BaseException:
            self._socket.close()
            raise

    def hear(self, for_s: float) -> dict[str, Any] | None:
        """The next message, or None after `for_s`.

        Raises:
            OSError: the guard has hung up.
        """
        self._socket.settimeout(max(for_s, 0.001))
        try:
            packet = self._socket.recv(65536)
        except TimeoutError:
            return None
        if not packet:
            raise ConnectionResetError("the guard hung up")
        try:
            said = json.loads(packet[1:]) if packet[:1] == b"J" else {}
        except ValueError:
            said = {}
        return said if isinstance(said, dict) else {}

    def show(self, indication: str) -> None:
        """On lamps and buzzer, until the agent has something else to show. Raises OSError: the guard has hung up."""
        self._socket.send(b"J" + json.dumps({"type": "indicate", "indication": indication}).encode())

    def close(self) -> None:
        """Part."""
        self._socket.close()
