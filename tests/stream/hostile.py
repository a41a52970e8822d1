"""What a door with a valid certificate can send: plain clients, honest doors, and hostile messages by the hundred."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core.journal import GENESIS, ClockQuality, Row, sealed
from agent.wire import Hello, batch_json
from deploy.community.describe import examples
from tests.stream.conftest import record, until

HONEST, THIEF = "s1/d1", "s1/d9"
LEAVES = ("hello", "events", "alarm", "state", "reply", "other")
STRANGE = (
    {"UserProperty": ("k", "\ufeffx")},  # allowed: [MQTT-1.5.4-3]
    {"UserProperty": ("\ufeff", "")},
    {"ContentType": "\ufefftext/plain"},
    {"ResponseTopic": "a/\ufeff"},
    {"UserProperty": [(f"k{n}", "v" * 100) for n in range(500)]},
    {"CorrelationData": bytes(range(256)) * 200},
    {"PayloadFormatIndicator": 0, "MessageExpiryInterval": 2**32 - 1, "CorrelationData": b""},
)
# instead of any value of a valid message
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**40 - 1, 2**40, 2**53, 2**63, 2**70, 10**400, 1e308, "", "x", "\x00", "\ud800", "\ufeff",
    "9" * 9000, [], {}, [[[[]]]], {"type": "event"}, "server", THIEF, HONEST, "type", float("nan"), float("inf"),
)  # fmt: skip
# those that a row's hash can be made over
_STORED = (None, True, -1, 0, 2**53 - 1, -(2**53) + 1, 0.5, "", "\x00", "\ufeff", [], {}, [[]], [{}], {"a": [1]})
# over any object: keys that the server uses itself
_FORGED = {
    "type": "event", "device": HONEST, "number": "x", "kind": "AccessControl/Duress", "received_ms": "x", "seq": 7,
    "body": {"person_id": "p-1"}, "epoch": "e", "priority": 3, "wall_ms": 1, "heard_ms": None, "word": "fork",
}  # fmt: skip


def hello(**more: Any) -> bytes:
    """A valid hello of the thief."""
    given = {
        "device": THIEF, "nonce": "00c0ffee", "epoch": "e" * 32, "first": 1, "before_first": GENESIS, "last": 0,
        "last_hash": GENESIS, "acked": 0, "clock": "ntp", "utc_ms": 1, "version": "0",
    }  # fmt: skip
    return Hello(**{**given, **more}).model_dump_json().encode()


class Thief:
    """A plain client with the certificate of a door of this site."""

    def __init__(self, site):
        self._client = site.raw(THIEF)

    def send(self, leaf: str, payload: bytes, *, retain: bool = False, **properties) -> mqtt.MQTTMessageInfo:
        """Publish on its own topic."""
        given = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(given, name, value)
        return self._client.publish(f"doors/{THIEF}/up/{leaf}", payload, 1, retain, given)

    def say(self, leaf: str, payload: bytes, **more) -> None:
        """The same, and wait until the broker has taken it."""
        self.send(leaf, payload, **more).wait_for_publish(5)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Honest:
    """A door that does what it should; `flows` says that its rows still get through."""

    def __init__(self, linked):
        self.link, self._outbox, _ = linked("d1")
        self._n = 0

    def flows(self) -> None:
        self._n += 1
        self._outbox.append(record(self._n))
        until(lambda: self._outbox.status().head_seq > self._n and self._outbox.status().depth == 0, "an honest row")


def _with_one_wrong(value: Any, chance: random.Random) -> Any:
    """The message with one of its values, or one object's keys, exchanged."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        if chance.random() < 0.2:
            return {**value, **_FORGED}
        key = chance.choice(list(value))
        return {**value, key: _with_one_wrong(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        n = chance.randrange(len(value))
        return [*value[:n], _with_one_wrong(value[n], chance), *value[n + 1 :]]
    return chance.choice(_VALUES)


def sealed_row(chance: random.Random) -> bytes:
    """A row that holds in itself, the first of an epoch of its own, with a body that only its writer would write."""
    body: dict[str, Any] = {
        "reason": "fork", "previous_epoch": chance.choice(("e" * 32, *_STORED)), "n": chance.random(),
        "carries": chance.choice(([3, 1], [3], *_STORED)), "lost": chance.choice(_STORED),
        "last_seq": chance.choice((5, *_STORED)), "receipt": chance.choice(({"cert": "x", "signature": "y"}, *_STORED)),
        "copy_of": chance.choice(([["e" * 32, 2**53 - 1, "h"], ["\x00", 1, "h"], [1, "e", None]], *_STORED)),
        "state": "FacePurged",
    }  # fmt: skip
    kind = chance.choice(("Journal/Epoch", "Agent/Roster", "Door/Fire"))
    clock = chance.choice((ClockQuality.NTP, ClockQuality.NONE))
    epoch = f"{chance.randrange(4):032x}"
    times = (chance.choice(("a", "b")), chance.choice((1, 2**53 - 1)), chance.choice((1, 2**53 - 1)))
    row = sealed(Row(THIEF, epoch, 1, *times, clock, kind, 3, body, GENESIS))
    return batch_json(THIEF, [row], epoch=epoch, now_ms=1)


def hostile(chance: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Leaves and payloads: valid shapes in the thief's name with something wrong, torn texts, noise, great sizes."""
    text = json.dumps(examples()).replace("lujiang/gate-1", THIEF)
    valid: dict[str, Any] = {**json.loads(text), "other": {}}
    for _ in range(count):
        leaf = chance.choice(LEAVES)
        if leaf in ("events", "alarm") and chance.random() < 0.6:
            yield leaf, sealed_row(chance)
            continue
        wrong = json.dumps(_with_one_wrong(valid.get(leaf, valid["reply"]), chance)).encode()
        torn = wrong[: chance.randrange(len(wrong) + 1)]
        flipped = bytearray(wrong)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        yield (
            leaf,
            chance.choice((wrong, wrong, wrong, torn, bytes(flipped), chance.randbytes(40), b"[" * 100_000, b"")),
        )
