"""The vision process's end of its socket: connects to the agent, again and again, with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from agent.core.bounded import Rejected
from agent.core.vision_messages import FromVision, ToVision, encode, parse_to_vision
from hardware.errors import PeerGoneError, SocketError
from hardware.seqpacket import Connection, connect, own_users

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_SEND_TIMEOUT_S: Final = 1.0


class AgentEnd:
    """One connection at a time. A message that cannot be sent is gone: the agent asks anew when it is back."""

    def __init__(self, path: str, *, allowed_uids: frozenset[int] | None = None) -> None:
        self._path = path
        self._allowed = allowed_uids or own_users("door-agent")
        self._connection: Connection | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._next_try_s = float("-inf")
        self.rejected = 0

    @property
    def connected(self) -> bool:
        """Whether somebody listens, as far as is known."""
        return self._connection is not None

    def connect(self, now_s: float) -> bool:
        """True when a new connection has just been made; its first message is due."""
        if self._connection is not None or now_s < self._next_try_s:
            return False
        try:
            self._connection = connect(self._path, allowed_uids=self._allowed)
        except SocketError:
            self._next_try_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return False
        self._pause_s = _FIRST_PAUSE_S
        return True

    def receive(self, for_s: float) -> Iterator[ToVision]:
        """What has arrived, at most for `for_s`; never waits. Nonsense is counted in `rejected`."""
        until_s = time.monotonic() + for_s
        while self._connection is not None and time.monotonic() < until_s:
            try:
                message = self._connection.recv()
            except PeerGoneError:
                self.close()
                return
            if message is None:
                return
            parsed = Rejected("a picture") if isinstance(message, bytes) else parse_to_vision(message)
            if isinstance(parsed, Rejected):
                self.rejected += 1
            else:
                yield parsed

    def send(self, message: FromVision) -> None:
        """Send, waiting at most a second for an agent that does not read."""
        if self._connection is not None:
            try:
                self._connection.send_json(encode(message), _SEND_TIMEOUT_S)
            except PeerGoneError:
                self.close()

    def send_picture(self, jpeg: bytes) -> None:
        """Send a preview picture if there is room for it now."""
        if self._connection is not None:
            try:
                self._connection.send_picture(jpeg)
            except PeerGoneError:
                self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
