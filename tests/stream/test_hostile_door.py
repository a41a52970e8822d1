"""One stolen or hostile door, with a valid certificate and its own topics: whatever it sends, all other doors flow."""

from __future__ import annotations

import json
import random
import threading
import time

import pyseto
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core.commands import Action
from agent.core.journal import ClockQuality, Row, Skipped, sealed
from agent.core.stream import LinkDown, RosterArrived
from agent.wire import batch_json
from deploy.broker import SERVER_NAME
from deploy.community import consumer
from deploy.community.commander import Commander
from deploy.community.feed import Feed
from deploy.community.news import News
from deploy.community.office import Role
from deploy.community.page import _stream
from deploy.community.people import People
from deploy.community.publisher import Publisher
from tests.stream.conftest import record, until
from tests.stream.hostile import HONEST, STRANGE, THIEF, Honest, Thief, hello, hostile

TOP = 2**40 - 1  # the highest row that the wire can name


@pytest.fixture
def thief(site):
    thief = Thief(site)
    yield thief
    thief.stop()


@pytest.fixture
def honest(linked):
    return Honest(linked)


def strict(text: str):
    """As a browser reads it: no NaN, and every number a number."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


# ---------------------------------------------------------------- the connection


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
    known = {"", "not connected yet", "the connection ended: Normal disconnection"}
    assert {n.what["why"] for n in site.news.all if n.kind == "link"} <= known


def test_a_server_without_its_broker_says_so_once_and_says_when_it_is_back(site, honest):
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


# ---------------------------------------------------------------- the ledger's thread


def test_a_mark_over_more_rows_than_can_be_counted_ends_no_thread(site, thief, honest):
    """`next` was committed beyond what an acknowledgement can name: signing it ended the thread, at each hello."""
    site.serve()
    honest.flows()
    top = sealed(Row(THIEF, "b" * 32, TOP, "b", 1, 1, ClockQuality.NTP, "Door/Fire", 0, {}, "b" * 64))
    for epoch, items in {
        "a" * 32: [Skipped(1, TOP, top.hash, 1)], "b" * 32: [Skipped(1, TOP - 1, "b" * 64, TOP), top],
        "c" * 32: [Skipped(5, 1, "b" * 64, 9)],
    }.items():  # fmt: skip
        thief.say("events", batch_json(THIEF, items, epoch=epoch, now_ms=1))
        thief.say("hello", hello(epoch=epoch, last=TOP, last_hash=top.hash))
    honest.flows()
    chains = [site.ledger().chain(THIEF, name * 32).next for name in "abc"]
    assert chains == [TOP + 1, TOP + 1, 1]
    assert {n.what["word"] for n in site.news.all if n.kind == "alarm"} == {"malformed"}


def test_what_goes_wrong_in_the_server_itself_costs_one_message_and_is_told(site, thief, honest, monkeypatch):
    """The next fault is not known yet: it must not end the thread that every door depends on."""
    server = site.serve()
    honest.flows()
    monkeypatch.setattr(consumer, "signed_ack", broken_for(THIEF, consumer.signed_ack))
    monkeypatch.setattr(server._intake, "take", broken_for(THIEF, server._intake.take))
    monkeypatch.setattr(server, "_tell", broken_for(THIEF, server._tell))
    for leaf in ("hello", "state", "events"):
        thief.say(leaf, b"x")
    honest.flows()
    told = site.ledger().db.execute("SELECT device, word, detail FROM alarms")
    assert set(told) == {(THIEF, "poison", "ZeroDivisionError: a fault")}


def broken_for(name, real):
    """The function, with a fault in it that one door brings to light."""

    def call(*arguments):
        if name in str(arguments):
            raise ZeroDivisionError("a fault")
        return real(*arguments)

    return call


def test_a_door_that_floods_fills_its_own_part_of_the_queue(site, thief, honest):
    """10 malformed messages a minute are told, the rest counted; the others' rows do not wait behind them."""
    site.serve()
    for _ in range(3000):
        thief.send("events", b"[" * 1000)
    honest.flows()
    assert 1 <= sum(n.kind == "alarm" for n in site.news.all) <= 10


def test_a_kept_message_is_nothing_but_a_state(site, thief, honest):
    """A hello or batch that the broker kept would come back at each new subscription, out of its time."""
    thief.say("hello", hello(), retain=True)
    site.serve()
    honest.flows()
    site.news.wait(lambda: any(n.kind == "alarm" for n in site.news.all), "the alarm")
    told = [n.what["detail"] for n in site.news.all if n.kind == "alarm"]
    assert told == ["'hello': kept by the broker: only a state is"]
    assert not [n for n in site.news.all if n.kind == "hello" and n.device == THIEF]


# ---------------------------------------------------------------- the pages


def test_no_door_speaks_for_another_on_the_pages_or_breaks_them(site, thief, honest):
    """A reply's own `type`, `device` and `number` stood over the server's; NaN or half a character broke all pages."""
    feed = Feed([], [])
    site.news.also(feed.add)
    site.serve()
    honest.flows()
    said = {"type": "event", "device": HONEST, "number": "x", "kind": "AccessControl/AccessGranted/Credential"}
    thief.say("reply", json.dumps({"stage": "done", "body": {"person_id": "p-1"}, **said}).encode())
    thief.say("state", json.dumps({"online": True, "challenge": "c", "z": "\ud800", **said}).encode())
    thief.say("state", b'{"online":true,"health":{"queue":NaN}}')
    thief.say("state", json.dumps({"online": True, "clock": "ntp", **said, "health": {"queue": 3}}).encode())
    until(lambda: THIEF in feed.snapshot()["doors"], "the last state")
    honest.flows()
    shown = feed.after(0, 0)
    assert [e["number"] for e in shown] == sorted(range(1, len(shown) + 1))
    of_thief = [{k: v for k, v in e.items() if not k.endswith("_ms")} for e in shown if e["device"] == THIEF]
    state = {"online": True, "clock": "ntp", "health": {"queue": 3}}
    number = of_thief[-1]["number"]
    assert [e for e in of_thief if e["type"] != "alarm"] == [
        {"type": "reply", "stage": "done", "device": THIEF, "number": of_thief[0]["number"]},
        {"type": "state", "online": True, "state": state, "keys": None, "device": THIEF, "number": number},
    ]
    assert sum(e["type"] == "alarm" for e in of_thief) == 2
    assert all(e["device"] in (HONEST, THIEF, "server") for e in shown)


def test_an_order_hears_only_its_own_door_and_not_without_end():
    """Another door's word would be shown as this one's; a flood of made-up ids pushed the real order out."""
    commander = Commander(pyseto_key(), "manager")
    sent: list[tuple[str, bytes]] = []

    def send(device, _token, correlation):
        sent.append((device, correlation))
        if len(sent) == 1:
            commander.hear(News("reply", THIEF, {"stage": "challenge", "challenge": "of-another-door"}))
            commander.hear(News("reply", HONEST, {"stage": "challenge", "challenge": "c"}))
            return
        for n in range(1000):
            commander.hear(News("reply", THIEF, {"stage": "energised", "id": f"{n:016x}"}))
        commander.hear(News("reply", THIEF, {"stage": "energised", "id": correlation.decode()}))
        for stage in ("refused", *["accepted"] * 1000):
            commander.hear(News("reply", HONEST, {"stage": stage, "id": correlation.decode()}))

    commander.connect(send)
    assert commander.order(HONEST, Action.OPEN, "manager-1")["stage"] in ("refused", "accepted")
    (device, stages), *others = commander._orders.values()
    assert (device, len(stages), others) == (HONEST, 8, [])
    assert set(commander._challenges) == {HONEST}


def pyseto_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


# ---------------------------------------------------------------- rosters


@pytest.fixture
def rosters(site, tmp_path):
    """The publisher of this site, keeping the rosters of both doors; and what it tells."""
    people = People(tmp_path / "people")
    for device in (HONEST, THIEF):
        people.set_door(device, ["*"])
    told: list[tuple[str, str, str]] = []
    key = pyseto.Key.new(version=4, purpose="public", key=site.signing.key.read_bytes())
    publisher = Publisher(people, key, site.authority.cert.read_bytes(), lambda *alarm: told.append(alarm))
    sent: list[tuple[str, bool]] = []
    publisher.connect(lambda device, _token, keep: sent.append((device, keep)), lambda *_: None)
    publisher.start()
    until(lambda: len(sent) == 2, "both heads")
    yield publisher, told, sent
    publisher.stop()


@pytest.mark.parametrize("revision", [2**70, 2**63, 2**53, 2**40, -1, "x", 1.5])
def test_a_roster_revision_beyond_everything_ends_no_thread(rosters, revision):
    """A state with 2**70 was an integer that SQLite can't take: the publisher's thread died, no door got a roster."""
    publisher, told, sent = rosters
    publisher.hear(News("state", THIEF, {"online": True, "roster": {"revision": revision, "digest": "x"}}))
    publisher.hear(News("state", HONEST, {"online": True, "roster": {"revision": 0, "digest": "x"}, "challenge": "c"}))
    until(lambda: (HONEST, False) in sent, "the honest door's roster")
    assert {(device, word) for device, word, _ in told} <= {(THIEF, "roster")}
    assert publisher._people.published(THIEF).revision == 1


# ---------------------------------------------------------------- everything


def test_whatever_one_door_sends_all_others_flow(site, thief, honest, rosters):
    """Hundreds of messages on every leaf, kept and not, with odd properties, sizes and types, into the whole server."""
    publisher, told, _ = rosters
    feed, commander = Feed([], []), Commander(pyseto_key(), "manager")
    for part in (feed.add, publisher.hear, commander.hear):
        site.news.also(part)
    server = site.serve()
    honest.flows()
    chance = random.Random(5)  # noqa: S311  test data
    for n, (leaf, payload) in enumerate(hostile(chance, 700)):
        properties = chance.choice(STRANGE) if chance.random() < 0.2 else {}
        thief.send(leaf, payload, retain=chance.random() < 0.1, **properties)
        if n % 100 == 99:  # as much as its part of the queue holds
            thief.say("reply", b"{}")
            honest.flows()
    server.stop()
    server = site.serve()  # what the broker kept comes back
    honest.link.set_state({"door": {"lock": "secured"}, "roster": {"revision": 0, "digest": "0" * 64}})
    honest.flows()
    assert publisher._thread.is_alive()
    assert server._thread.is_alive()
    assert not [n for n in site.news.all if n.kind == "alarm" and n.what["word"] == "poison"]
    assert {device for device, _, _ in told} <= {THIEF}
    strict(json.dumps(feed.snapshot()))
    feed.close()
    feed.closed = False  # one pass of what a viewer gets
    begin = max(feed.snapshot()["number"] - 400, 0)
    shown = _stream(feed, begin, iter([True, False]).__next__, Role.OWNER)
    entries = [strict(part[6:]) for part in shown if part.startswith("data: ")]
    assert {e["device"] for e in entries} <= {HONEST, THIEF, "server"}
    assert not [e for e in entries if e["device"] == HONEST and e["type"] == "alarm"]
    assert not [
        e
        for e in entries
        if e["type"] == "event"
        and e["device"] == HONEST
        and e["kind"] != "Door/State/DoorPhysicalState"
        and e["seq"] > 1
    ]
    assert threading.active_count() < 50
