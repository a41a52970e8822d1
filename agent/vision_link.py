"""The controller's end of the vision socket: listens for the one vision process, posts what it says, sends orders.

One thread reads; it only posts. What it hands on is already parsed and bounded (core/vision_messages.py). When the
process goes, VisionGone is posted; when another one comes, its Hello is. The door never waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.core.bounded import Rejected
from agent.core.vision_messages import FromVision, ToVision, encode, parse_from_vision
from agent.errors import HardwareMissingError
from hardware.errors import PeerGoneError, SocketError
from hardware.seqpacket import Connection, Listener, own_users

_POLL_S = 0.5
_SEND_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class VisionGone:
    """The vision process went away, or said nothing for too long."""

    detail: str


@dataclass(frozen=True, slots=True)
class VisionNonsense:
    """A message that is none; the connection goes on. Posted once per connection."""

    detail: str


class VisionLink:
    """See the module's first lines."""

    def __init__(
        self,
        path: Path,
        post: Callable[[object], None],
        put_picture: Callable[[bytes], None],
        *,
        allowed_uids: frozenset[int] | None = None,
        silent_s: float = 5.0,
    ) -> None:
        self._post, self._put_picture, self._silent_s = post, put_picture, silent_s
        try:
            self._listener = Listener(str(path), allowed_uids=allowed_uids or own_users("door-vision"))
        except SocketError as e:
            raise HardwareMissingError(str(e)) from e
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vision-link", daemon=True)

    def start(self) -> None:
        """Begin listening."""
        self._thread.start()

    def send(self, messages: Iterable[ToVision]) -> bool:
        """Send in order. False: nobody is there or it does not read; it gets everything anew at its next Hello."""
        connection = self._connection
        if connection is None:
            return False
        try:
            return all(connection.send_json(encode(message), _SEND_TIMEOUT_S) for message in messages)
        except PeerGoneError:
            return False

    @property
    def peer(self) -> object | None:
        """Who is connected now."""
        return self._connection

    def offer(self, message: ToVision, peer: object) -> bool:
        """Send without waiting, from any thread. False: no room now.

        Raises:
            PeerGoneError: `peer` is not who is connected now.
        """
        connection = self._connection
        if connection is None or connection is not peer:
            raise PeerGoneError("another process is connected, or none")
        return connection.send_json(encode(message))

    def stop(self) -> None:
        """End the thread and remove the socket. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(3 * _POLL_S)
        self._listener.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection = self._listener.accept(_POLL_S)
            if connection is None:
                continue
            self._connection = connection
            detail = "stopped"
            try:
                self._read(connection)
            except PeerGoneError as e:
                detail = str(e)
            except TimeoutError:
                detail = f"said nothing for {self._silent_s:g} s"
            finally:
                self._connection = None
                connection.close()
            self._post(VisionGone(detail))

    def _read(self, connection: Connection) -> None:
        silent_s, complained = 0.0, False
        while not self._stopping.is_set():
            message = connection.recv(_POLL_S)
            if message is None:
                silent_s += _POLL_S
                if silent_s >= self._silent_s:
                    raise TimeoutError
                continue
            silent_s = 0.0
            if isinstance(message, bytes):
                self._put_picture(message)
                continue
            parsed: FromVision | Rejected = parse_from_vision(message)
            if not isinstance(parsed, Rejected):
                self._post(parsed)
            elif not complained:
                complained = True
                self._post(VisionNonsense(parsed.reason))
