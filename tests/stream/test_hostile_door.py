"""One stolen or hostile door, with a valid certificate and its own topics: whatever it sends, all other doors flow."""

from __future__ import annotations

import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core.stream import LinkDown, RosterArrived
from deploy.broker import SERVER_NAME
from tests.stream.conftest import record, until

HONEST, THIEF = "s1/d1", "s1/d9"


class Thief:
    """A plain client with the certificate of a door of this site."""

    def __init__(self, site):
        self._client = site.raw(THIEF)

    def say(self, leaf: str, payload: bytes, *, retain: bool = False, **properties) -> None:
        """Publish on its own topic, and wait until the broker has taken it."""
        given = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(given, name, value)
        self._client.publish(f"doors/{THIEF}/up/{leaf}", payload, 1, retain, given).wait_for_publish(5)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def thief(site):
    thief = Thief(site)
    yield thief
    thief.stop()


class Honest:
    """A door that does what it should; `flows` says that its rows still get through."""

    def __init__(self, linked):
        _, self._outbox, _ = linked("d1")
        self._n = 0

    def flows(self) -> None:
        self._n += 1
        self._outbox.append(record(self._n))
        until(lambda: self._outbox.status().head_seq > self._n and self._outbox.status().depth == 0, "an honest row")


@pytest.fixture
def honest(linked):
    return Honest(linked)


STRANGE = (
    {"UserProperty": ("k", "\ufeffx")},  # allowed: [MQTT-1.5.4-3]
    {"UserProperty": ("\ufeff", "")},
    {"ContentType": "\ufefftext/plain"},
    {"ResponseTopic": "a/\ufeff"},
    {"UserProperty": [(f"k{n}", "v" * 100) for n in range(500)]},
    {"CorrelationData": bytes(range(256)) * 200},
    {"PayloadFormatIndicator": 0, "MessageExpiryInterval": 2**32 - 1, "CorrelationData": b""},
)


def test_messages_with_strange_properties_are_read_and_the_server_stays(site, thief, honest):
    """A retained one came back with each new subscription: the server was cut off from every door for good."""
    server = site.serve()
    honest.flows()
    for n, properties in enumerate((*STRANGE, STRANGE[0])):
        thief.say("state", b'{"online":true}', retain=True, **properties)
        until(lambda n=n: sum(k.kind == "state" and k.device == THIEF for k in site.news.all) > n, "the state")
    honest.flows()
    server.stop()
    site.serve()
    honest.flows()
    assert {n.what["why"] for n in site.news.all if n.kind == "link"} <= {
        "",
        "the connection ended: Normal disconnection",
    }


def test_a_server_without_its_broker_says_so_once_and_says_when_it_is_back(site, honest, monkeypatch):
    """Nobody would look for the fault at the server while every door seems silent."""
    server = site.serve()
    honest.flows()
    site.broker.kill()
    links = lambda: [n.what["up"] for n in site.news.all if n.kind == "link"]  # noqa: E731
    until(lambda: links() and not links()[-1], "the loss")
    later_s = time.monotonic() + 11
    assert "no doors are heard" in server._listening.alarm(later_s)
    assert server._listening.alarm(later_s) is None
    site.broker.start()
    until(lambda: links()[-1], "the return")
    honest.flows()


def test_a_stolen_server_certificate_cannot_cut_a_door_off_for_good_either(site, linked):
    """Kept on dn/roster, such a message would end the door's connection at each return, long after the thief went."""
    stranger, given = site.raw(SERVER_NAME), Properties(PacketTypes.PUBLISH)
    given.UserProperty = ("k", "\ufeff")
    stranger.publish(f"doors/{HONEST}/dn/roster", b"x", 1, retain=True, properties=given).wait_for_publish(5)
    stranger.disconnect()
    stranger.loop_stop()
    site.serve()
    _, outbox, posts = linked("d1")
    posts.wait_for(RosterArrived)
    outbox.append(record(1))
    until(lambda: outbox.status().head_seq == 2 and outbox.status().depth == 0, "the door's row")
    assert posts.of(LinkDown) == []
