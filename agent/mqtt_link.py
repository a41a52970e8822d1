"""The link to the broker: publishes the journal, delivers commands. Only link/mqtt_client.py imports paho as well.

One thread owns the connection and the conversation (core/sync.py); everybody else hands it messages. A client object
lives for one connection, so nothing that the library remembers outlives it: the hello says where to go on.
"""

from __future__ import annotations

import json
import random
import secrets
import select
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.core.stream import CommandArrived, LinkUp, RosterArrived
from agent.core.sync import (
    Connected,
    Disconnected,
    Read,
    ReadPreviews,
    Send,
    SendHello,
    Sync,
    SyncEffect,
    SyncEvent,
    Tick,
    step,
)
from agent.link.life import LOOK_AGAIN, LinkLife
from agent.link.mqtt_client import Client
from agent.link.settings import Cause, Down, LinkSettings, cause_of, pinned_key, tls_context
from agent.mailbox import guarded
from agent.outbox import Outbox
from agent.rate import Rate
from agent.wire import Hello, WireError, batch_json, read_ack, topic

__all__ = ["LinkSettings", "MqttLink"]

_KEEPALIVE_S = 20
_ANSWER_S = 10.0  # for CONNACK and SUBACK
_STATE_REPEAT_S = 60.0  # so that the server can tell silence from nothing to say
_LOOK_S = 5.0  # the library is asked this often whether a ping is due; everything else wakes the link by itself
_MAX_PACKET_BYTES = 256 * 1024
_FAILURE = 0x80
# Orders are seldom, and judging a forged one costs a signature check: what comes faster is counted and not looked at.
_COMMANDS_PER_S, _COMMANDS_AT_ONCE = 20.0, 40.0


class MqttLink(LinkLife):
    """One connection, kept up in the background."""

    def __init__(self, settings: LinkSettings, post: Callable[[object], None], outbox: Outbox) -> None:
        super().__init__(settings, post, outbox.clock)
        self._outbox = outbox
        self._device = f"{settings.site}/{settings.door}"
        self._run_name = secrets.token_hex(8)  # tells a copied card's device from this one
        self._state: Mapping[str, Any] = {}
        self._state_due_s = 0.0
        self._server_key: Any = None
        self._sync = Sync()
        self._client: Client | None = None
        self._down = Down(Cause.OFF, "not started")
        self._answer_due_s: float | None = None
        self._command_rate, self._unheard = Rate(_COMMANDS_PER_S, _COMMANDS_AT_ONCE), 0

    # ------------------------------------------------------------ for any thread

    def start(self) -> None:
        """Begin connecting in the background. Raises LinkError when a key or certificate file is unusable."""
        tls_context(self._settings.ca, self._settings.cert, self._settings.key)
        pinned = pinned_key(self._settings)
        self._server_key = self._server_key or pinned
        self._outbox.attach(lambda event: self._inbox.put(lambda: self._apply(event)))
        self._thread.start()

    def believe(self, server_key: Any) -> None:  # noqa: ANN401  pyseto publishes no types
        """Acknowledgements that this key signed are good from now on, and no others."""
        self._server_key = server_key

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Publish (retained) on up/state, now if connected and after every reconnect; only the newest is kept."""
        self._inbox.put(lambda: self._take_state(state))

    def reply(self, correlation: bytes | None, reply: Mapping[str, Any]) -> None:
        """Answer a command on up/reply. Dropped when the link is down: a late answer is worth nothing."""
        self._inbox.put(lambda: self._publish("up/reply", _json(reply), correlation=correlation))

    # ------------------------------------------------------------ the thread

    def _connection(self) -> Down:
        """Connect, talk until the connection ends, say why it did."""
        self._down = Down(Cause.NETWORK, "connection closed")
        try:
            client = self._client = self._new_client()  # reads the certificate anew: a card may fail at that too
            client.connect(self._settings.host, self._settings.port, _KEEPALIVE_S, clean_start=True,
                           properties=_connect_properties())  # fmt: skip
            self._answer_due_s = self._clock.now_s() + _ANSWER_S
            while client.socket() is not None and not self._stopping and self._on:
                self._turn(client)
            if client.socket() is not None:
                client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
                self._down = Down(Cause.OFF, "switched off")
        except Exception as e:  # noqa: BLE001  whatever the library makes of hostile bytes ends one connection, not the link
            self._down = cause_of(e)
        self._client = None
        self._apply(Disconnected())
        return self._down

    def _turn(self, client: Client) -> None:
        now_s = self._clock.now_s()
        deadlines = (self._sync.due_s, self._answer_due_s, self._state_due_s or None, now_s + _LOOK_S)
        due_s = min(t for t in deadlines if t is not None)
        sock: Any = client.socket()  # a TLS socket; the library calls it something more abstract
        waiting = sock.pending() > 0
        readers, writers = [sock, self._inbox], [sock] if client.want_write() else []
        readable, writable, _ = select.select(readers, writers, [], 0 if waiting else max(due_s - now_s, 0))
        if waiting or sock in readable:
            client.read(sock)
        if writable:
            client.loop_write()
        client.loop_misc()
        self._take_inbox()
        self._on_time(client)

    def _on_time(self, client: Client) -> None:
        now_s = self._clock.now_s()
        if self._answer_due_s is not None and now_s >= self._answer_due_s:
            self._down = Down(Cause.NETWORK, "the broker does not answer")
            client.disconnect()
        if self._clock_came_back():
            self._down = LOOK_AGAIN
            client.disconnect()
        if self._sync.online and now_s >= self._state_due_s:
            self._publish_state()
        self._apply(Tick())

    # ------------------------------------------------------------ talking

    def _apply(self, event: SyncEvent) -> None:
        self._sync, effects = step(
            self._sync,
            event,
            self._clock.now_s(),
            nonce=secrets.token_hex(8),
            jitter=random.random(),  # noqa: S311
        )
        for effect in effects:
            self._do(effect)

    def _do(self, effect: SyncEffect) -> None:
        match effect:
            case SendHello():
                self._publish("up/hello", self._hello(effect))
            case Read():
                self._outbox.fetch(effect.epoch, effect.first, effect.limit)
            case ReadPreviews():
                self._outbox.fetch_rows(effect.epoch, effect.seqs)
            case Send():
                b = effect.batch
                payload = batch_json(self._device, b.items, epoch=b.epoch, now_ms=self._clock.utc_ms())
                self._publish("up/alarm" if b.preview else "up/events", payload)

    def _hello(self, effect: SendHello) -> bytes:
        h, clock = effect.head, self._clock
        return Hello(
            device=self._device, nonce=effect.nonce, epoch=h.epoch, first=h.first, before_first=h.before_first,
            last=h.last, last_hash=h.last_hash, acked=h.acked, clock=clock.quality(), utc_ms=clock.utc_ms(),
            version=self._settings.version, run=self._run_name,
        ).model_dump_json().encode()  # fmt: skip

    def _publish(self, leaf: str, payload: bytes, *, retain: bool = False, correlation: bytes | None = None) -> None:
        if self._client is None or not self._sync.online:
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types for it
        if correlation is not None:
            properties.CorrelationData = correlation
        self._client.publish(topic(self._device, leaf), payload, qos=1, retain=retain, properties=properties)

    def _take_state(self, state: Mapping[str, Any]) -> None:
        self._state = state
        self._publish_state()

    def _publish_state(self) -> None:
        self._state_due_s = self._clock.now_s() + _STATE_REPEAT_S
        self._publish("up/state", _json({"online": True, **self._state}), retain=True)

    # ------------------------------------------------------------ what paho calls, on this same thread

    def _connected(self, code: ReasonCode) -> None:
        client = self._client
        if client is None:
            return
        if code.is_failure:
            self._down = Down(Cause.REFUSED, f"the broker refuses this door: {code}")
            client.disconnect()
            return
        leaves = ("dn/ack", "dn/command", "dn/roster")
        client.subscribe([(topic(self._device, leaf), SubscribeOptions(qos=1)) for leaf in leaves])

    def _subscribed(self, codes: list[ReasonCode]) -> None:
        self._answer_due_s = None
        self._complained.clear()
        for code in codes:
            if code.value >= _FAILURE:
                self._complain("subscribe-refused", f"the broker refuses a subscription: {code}", about=f"{code}")
        self._told = None
        self._post(LinkUp())
        self._apply(Connected())
        self._publish_state()

    def _published(self, code: ReasonCode) -> None:
        if code.value >= _FAILURE:
            self._complain("publish-refused", f"the broker refuses a message of this door: {code}", about=f"{code}")

    def _arrived(self, m: mqtt.MQTTMessage) -> None:
        leaf = m.topic.rpartition("/")[2]
        if leaf == "ack":
            self._ack(m)
        elif leaf == "command":
            self._command(m)
        elif leaf == "roster":
            self._post(RosterArrived(bytes(m.payload), m.retain))

    def _heard(self, topic_name: bytes) -> bool:
        """Whether a message is looked at: of orders, as many as the rate allows; the others are counted."""
        if not topic_name.endswith(b"/dn/command") or self._command_rate.take(self._clock.now_s()):
            return True
        self._unheard += 1
        return False

    def _command(self, m: mqtt.MQTTMessage) -> None:
        correlation = getattr(m.properties, "CorrelationData", None)
        unheard, self._unheard = self._unheard, 0
        self._post(CommandArrived(bytes(m.payload), m.retain, correlation, unheard))

    def _ack(self, m: mqtt.MQTTMessage) -> None:
        try:
            if m.retain:
                raise WireError("retained: acknowledgements are never kept by a broker")  # noqa: TRY301
            ack = read_ack(self._server_key, self._device, bytes(m.payload))
        except WireError as e:
            self._complain("bad-ack", str(e))
            return
        self._outbox.acknowledge(ack, fresh=ack.re == self._sync.hello)

    def _logged(self, level: int, message: str) -> None:
        """The library swallows what the TLS layer says about a refused certificate; its log still has it."""
        if level == mqtt.MQTT_LOG_ERR and "alert" in message.lower():
            self._down = Down(Cause.REFUSED, f"the broker refuses this door's certificate: {message[-120:]}")

    # ------------------------------------------------------------ small things

    def _new_client(self) -> Client:
        client = Client(self._device, self._heard)
        s = self._settings
        client.tls_set_context(tls_context(s.ca, s.cert, s.key, check_time=not self._time_unchecked))
        client.will_set(topic(self._device, "up/state"), _json({"online": False}), qos=1, retain=True)
        connected = guarded(self._post, "connect", self._connected)
        subscribed = guarded(self._post, "subscribe", self._subscribed)
        published = guarded(self._post, "publish", self._published)
        arrived = guarded(self._post, "message", self._arrived)
        client.on_connect = lambda _c, _u, _f, code, _p: connected(code)
        client.on_subscribe = lambda _c, _u, _m, codes, _p: subscribed(codes)
        client.on_publish = lambda _c, _u, _m, code, _p: published(code)
        client.on_message = lambda _c, _u, message: arrived(message)
        client.on_log = lambda _c, _u, level, text: self._logged(level, text)
        return client


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types for it
    properties.SessionExpiryInterval = 0
    properties.MaximumPacketSize = _MAX_PACKET_BYTES
    return properties
