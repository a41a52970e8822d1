"""The controller's end of the guard's socket: feeds the release that stands, posts what the guard says.

A release is fed in short leases by this link's own thread, and only while the controller proves that it lives (`beat`).
So the relay drops when the controller hangs, when the agent dies, and when either end of the socket goes; a controller
that is merely busy for a moment loses nothing. The first lease and `secure` go out at once, from the caller's thread.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from agent.core.events import GuardChanged, Input, LineChanged, RelayReported
from agent.mailbox import CallbackFailed
from hardware.clock import boottime_s
from hardware.errors import PeerGoneError, SocketError
from hardware.seqpacket import Connection, Message, connect

PROTOCOL = 1
FEED_EVERY_S = 0.25
LEASE_S = 1.5  # six feeds: a hiccup of a second costs no release, a dead agent's release ends after this at the latest
BEAT_WITHIN_S = 1.0
SILENT_S = 3.0  # the guard says at least "alive" every second
_LINES = frozenset(Input)
_BACKOFF_S = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class GuardFault:
    """The guard found something that a person should know: a stuck button, a hot strike, a line out of order."""

    detail: str


@dataclass(frozen=True, slots=True)
class _Order:
    """The release that stands. `id` is good for this one release; the guard never revives it."""

    id: str
    request_id: str
    until_s: float
    hold: bool
    echo: bool


class GuardLink:
    """See the module. `release`, `secure`, `indicate` and `beat` belong to the controller's thread and never block."""

    def __init__(self, path: Path, post: Callable[[object], None]) -> None:
        self._path, self._post = path, post
        self._connection: Connection | None = None
        self._order: _Order | None = None  # replaced as a whole: the feeder sees the old one or the new one
        self._numbers = itertools.count(1)
        self._run_id = f"{time.time_ns():x}"  # ids of an earlier run must not look like ours
        self._indication = "idle"
        self._beat_s = -inf
        self._dropped = False  # the guard said so since the last beat
        self._up: bool | None = None
        self.late_ms = 0  # the guard's own account of its worst beat in the last second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard-link", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def let_go(self) -> None:
        """End what this agent has ordered, for it stops; who goes out by the button keeps the guard's release."""
        self._order = None
        self._send({"type": "secure", "leases_only": True})

    def stop(self) -> None:
        """Let go, hang up, end."""
        self.let_go()
        self._stopping.set()
        self._thread.join(timeout=2.0)

    def release(self, until_s: float, *, hold: bool, request_id: str, echo: bool = False) -> None:
        """Keep the lock released until `until_s` (CLOCK_BOOTTIME); replaces what was ordered before.

        `echo`: for what the guard released by itself. It may keep that; we may hear of it late, when it is over.
        """
        now_s, standing = boottime_s(), self._order
        goes_on = standing is not None and standing.request_id == request_id and now_s < standing.until_s
        id_ = standing.id if standing and goes_on else self._new_id()
        self._order = _Order(id_, request_id, until_s, hold, echo)
        self._feed(now_s)

    def secure(self) -> None:
        """Drop the relay now; nothing is fed any more."""
        self._order = None
        self._send({"type": "secure"})

    def indicate(self, indication: str) -> None:
        """Show this on LED and buzzer."""
        self._indication = indication
        self._send({"type": "indicate", "indication": indication})

    def beat(self) -> None:
        """The controller's loop lives; called at least every 500 ms."""
        self._beat_s = boottime_s()
        if self._dropped:
            self._dropped, order = False, self._order
            if order is not None and order.hold:  # we were late, its id is spent, and it still has to stand open
                self._order = replace(order, id=self._new_id())

    def _new_id(self) -> str:
        return f"{self._run_id}-{next(self._numbers)}"

    def _feed(self, now_s: float) -> None:
        order = self._order
        if order is None or now_s >= order.until_s:
            return  # over; only the controller's thread and a lost connection may change what stands
        message: dict[str, Any] = {
            "type": "release",
            "id": order.id,
            "hold": order.hold,
            "lease_ms": int(LEASE_S * 1000),
        }
        if order.echo:
            message["echo"] = True
        if order.until_s < inf:
            message["until_s"] = order.until_s
        self._send(message)

    def _send(self, message: Mapping[str, Any]) -> None:
        connection = self._connection
        if connection is not None:
            try:
                connection.send_json(message)
            except PeerGoneError:
                return  # the reader finds out too, and says so

    def _run(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            try:
                connection = connect(str(self._path))
            except SocketError as e:
                self._changed(up=False, detail=str(e))
            else:
                tries = 0
                self._follow(connection)
            self._stopping.wait(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
            tries += 1

    def _follow(self, connection: Connection) -> None:
        detail = "the guard closed the connection or died"
        try:
            detail = self._talk(connection)
        except PeerGoneError:
            pass
        except Exception as e:  # noqa: BLE001  this thread must survive whatever happens in here
            self._post(CallbackFailed("guard-link", f"{type(e).__name__}: {e}"))
        self._connection = None
        self._order = None  # whatever is still wanted is ordered anew from the next guard
        connection.close()
        self._changed(up=False, detail=detail)

    def _talk(self, connection: Connection) -> str:
        """Read and feed until something ends it; returns what."""
        heard_s = fed_s = boottime_s()
        while not self._stopping.is_set():
            message = connection.recv(FEED_EVERY_S / 2)
            now_s = boottime_s()
            if message is not None:
                heard_s = now_s
                if self._connection is None and not self._greet(connection, message):
                    return f"the guard does not speak protocol {PROTOCOL}: install agent and guard of one release"
                self._hear(message)
            elif now_s - heard_s > SILENT_S:
                return f"the guard said nothing for {SILENT_S:.0f} s"
            if now_s - fed_s >= FEED_EVERY_S and now_s - self._beat_s < BEAT_WITHIN_S:
                self._feed(now_s)
                fed_s = now_s
        return "the agent is stopping"

    def _greet(self, connection: Connection, message: Message) -> bool:
        """The first message: what the lines say comes before the news that somebody owns them."""
        if isinstance(message, bytes) or message.get("type") != "hello" or message.get("v") != PROTOCOL:
            return False
        for line, active in dict(message.get("inputs", {})).items():
            self._hear({"type": "input", "line": line, "active": active, "at_s": message.get("at_s")})
        self._hear({**message, "type": "relay", "energised": message.get("relay")})
        self._connection = connection
        self._send({"type": "indicate", "indication": self._indication})
        self._changed(up=True, detail=str(message.get("backend")))
        return True

    def _hear(self, message: Message) -> None:
        match message:
            case {"type": "input", "line": str(line), "active": bool(active), "at_s": float(at_s)} if line in _LINES:
                self._post(LineChanged(Input(line), active, at_s))
            case {"type": "relay", "energised": bool(energised), "why": str(why), "at_s": float(at_s)}:
                self._post(RelayReported(energised, why, at_s))
                if not energised:  # why is no matter: a lease that ends while a button releases is no word of its own
                    self._dropped = True
            case {"type": "fault", "detail": str(detail)}:
                self._post(GuardFault(detail[:300]))
            case {"type": "alive", "late_ms": int(late_ms)}:
                self.late_ms = late_ms
            case _:
                pass  # a newer guard may say more

    def _changed(self, *, up: bool, detail: str) -> None:
        if up is not self._up:
            self._up = up
            self._post(GuardChanged(up, detail))
