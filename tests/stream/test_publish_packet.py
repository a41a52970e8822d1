"""Properties cut out of a PUBLISH before the library reads it: the same message, and never an error of its own."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.client import MQTTv5
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.link.publish_packet import CORRELATION_DATA, with_properties

KEEP = frozenset({CORRELATION_DATA})


def packet(properties: Properties, payload: bytes, qos: int) -> bytes:
    return b"\x00\x03a/b" + (b"\x00\x07" if qos else b"") + properties.pack() + payload


def some(seed: int) -> Properties:
    chance, given = random.Random(seed), Properties(PacketTypes.PUBLISH)  # noqa: S311  test data
    text = lambda: "".join(chance.choices("ab\ufeff門", k=chance.randrange(60)))  # noqa: E731
    for name, value in {
        "PayloadFormatIndicator": 1, "MessageExpiryInterval": chance.randrange(2**32), "ContentType": text(),
        "ResponseTopic": text(), "CorrelationData": chance.randbytes(chance.randrange(300)), "TopicAlias": 3,
        "SubscriptionIdentifier": [1, 200, 2**21], "UserProperty": [(text(), text())] * chance.randrange(9),
    }.items():  # fmt: skip
        if chance.random() < 0.6:
            setattr(given, name, value)
    return given


@pytest.mark.parametrize("seed", range(200))
def test_what_is_kept_and_all_the_rest_of_the_message_stay_the_same(seed):
    qos, whole, payload = seed % 2, some(seed), bytes([seed]) * seed
    for keep in (frozenset(), KEEP):
        read = decode_publish(0x30 | qos << 1, with_properties(packet(whole, payload, qos), qos, keep), MQTTv5)
        assert (read.topic, read.mid, bytes(read.payload)) == (b"a/b", 7 * qos, payload)
        wanted = whole.json().get("CorrelationData") if keep else None
        assert read.properties.json() == ({"CorrelationData": wanted} if wanted is not None else {})


@given(st.binary(max_size=80), st.sampled_from([0, 1]))
def test_bytes_that_are_no_message_raise_nothing_here(raw, qos):
    cut = with_properties(raw, qos, KEEP)
    try:
        before = decode_publish(0x30 | qos << 1, raw, MQTTv5)
    except MalformedPacket:
        return
    after = decode_publish(0x30 | qos << 1, cut, MQTTv5)
    assert (after.topic, after.mid, bytes(after.payload)) == (before.topic, before.mid, bytes(before.payload))
