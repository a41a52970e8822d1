"""The server's connection to the broker, kept up in the background: the only file of the server that imports paho.

The library's thread runs the callbacks here; they hand on and note, nothing else. What a door put into a message's
properties is cut out before the library reads it (agent/link/publish_packet.py), and nothing that a door can send ends
the connection or the thread.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.link.publish_packet import with_properties
from agent.link.settings import tls_context

_KEEPALIVE_S: Final = 20
_RECONNECT_S: Final = (1, 5)
_FAILURE: Final = 0x80
_PUBLISHED: Final = 4000  # of so many the topic is remembered, to say what was refused
_WAITING: Final = 1000  # notes for the owner; more are of no use to anybody


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and PEM files of this server's certificate. `name` is its certificate's."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    name: str


@dataclass(frozen=True, slots=True)
class Up:
    """Connected, and the broker has taken the subscriptions."""


@dataclass(frozen=True, slots=True)
class Down:
    """No connection, or not one that brings the doors' messages."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker did not take what this server published on `topic` under the number `mid`."""

    mid: int
    why: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A message could not even be queued: a fault of this server."""

    why: str


Note = Up | Down | Refused | Failed


class _Client(mqtt.Client):
    """The library's client, which sees a PUBLISH without its properties."""

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet
        packet["packet"] = bytearray(with_properties(bytes(packet["packet"]), packet["command"] & 0x06))
        return super()._handle_publish()


class BrokerLink:
    """`arrived` gets topic, payload and the retain mark, on the library's thread; `wake` says that there are notes."""

    def __init__(
        self,
        settings: BrokerSettings,
        topics: Sequence[str],
        arrived: Callable[[str, bytes, bool], None],
        wake: Callable[[], None],
    ) -> None:
        self._settings, self._topics, self._take, self._wake = settings, topics, arrived, wake
        self._notes: deque[Note] = deque(maxlen=_WAITING)
        self._published: deque[tuple[int, str]] = deque(maxlen=_PUBLISHED)
        self._client = self._new_client()

    def start(self) -> None:
        """Begin; the connection is made, and made again, in the background."""
        s = self._settings
        self._client.connect_async(s.host, s.port, keepalive=_KEEPALIVE_S, clean_start=True)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect and end the thread. Idempotent."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(
        self, topic: str, payload: bytes, *, keep: bool = False, expiry_s: int = 0, correlation: bytes = b"",
        answer_to: str = "",
    ) -> None:  # fmt: skip
        """Publish at QoS 1, from any thread. `keep`: retained. `expiry_s` above 0: the broker drops it after that."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types for it
        if expiry_s:
            properties.MessageExpiryInterval = expiry_s
        if correlation:
            properties.CorrelationData = correlation
        if answer_to:
            properties.ResponseTopic = answer_to
        told = self._client.publish(topic, payload, qos=1, retain=keep, properties=properties)
        self._published.append((told.mid, topic))

    def notes(self) -> list[Note]:
        """What happened to the connection since the last call. For one thread, the owner's."""
        found = [self._notes.popleft() for _ in range(len(self._notes))]
        topics = dict(self._published) if found else {}
        return [replace(n, topic=topics.get(n.mid, "")) if isinstance(n, Refused) else n for n in found]

    # ------------------------------------------------------------ the library's thread

    def _note(self, note: Note) -> None:
        self._notes.append(note)
        self._wake()

    def _new_client(self) -> mqtt.Client:
        s = self._settings
        client = _Client(CallbackAPIVersion.VERSION2, client_id=s.name, protocol=mqtt.MQTTv5)
        client.tls_set_context(tls_context(s.ca, s.cert, s.key))
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = lambda _c, _u, _f, code, _p: self._connected(code)
        client.on_connect_fail = lambda _c, _u: self._failed()
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._note(Down(f"the connection ended: {code}"))
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._subscribed(codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._acknowledged(mid, code)
        client.on_message = lambda _c, _u, m: self._arrived(m)
        return client

    def _connected(self, code: ReasonCode) -> None:
        if code.is_failure:
            self._note(Down(f"the broker refuses this server: {code}"))
        else:
            self._client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._topics])

    def _failed(self) -> None:
        """The library is handling the error at this moment, and keeps it to itself."""
        error = sys.exc_info()[1]
        self._note(Down(f"the broker can't be reached: {error}" if error else "the broker can't be reached"))

    def _subscribed(self, codes: Sequence[ReasonCode]) -> None:
        refused = [f"{t} ({c})" for t, c in zip(self._topics, codes, strict=False) if c.value >= _FAILURE]
        self._note(Down(f"the broker refuses a subscription: {', '.join(refused)}") if refused else Up())

    def _acknowledged(self, mid: int, code: ReasonCode) -> None:
        if code.value >= _FAILURE:  # the owner looks the topic up: `publish` may not have noted it yet
            self._note(Refused(mid, str(code)))

    def _arrived(self, m: mqtt.MQTTMessage) -> None:
        try:
            self._take(m.topic, bytes(m.payload), m.retain)
        except Exception as e:  # noqa: BLE001  an exception here would end the library's thread, and nobody would know
            self._note(Failed(f"{type(e).__name__}: {e}"[:300]))
