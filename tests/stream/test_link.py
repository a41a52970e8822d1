"""The link against a real broker and the real server: delivery, refusals, bad acknowledgements, commands, state."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.properties import MalformedPacket

from agent.core.acknowledgement import Ack
from agent.core.events import Kind, Priority
from agent.core.stream import CommandArrived, Committed, LinkAlarm, LinkDown, LinkUp, OutboxStatus, RosterArrived
from agent.health import Health
from agent.status import StatusBoard
from agent.wire import MAX_ACK_BYTES, public_key, signed_ack
from deploy.broker import SERVER_NAME
from tests.stream.conftest import record, until

pytestmark = pytest.mark.slow


def stored(site) -> list[int]:
    return [n.what["body"]["n"] for n in site.news.of(object) if n.kind == "event" and "n" in n.what["body"]]


def test_rows_arrive_once_and_in_order_and_are_acknowledged(site, linked):
    site.serve()
    _, outbox, _ = linked()
    for n in range(1, 501):
        outbox.append(record(n))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 501, "everything acknowledged")
    assert stored(site) == list(range(1, 501))


def test_without_a_server_nothing_counts_as_delivered(site, linked):
    """The broker's PUBACK is not delivery."""
    _, outbox, posts = linked()
    for n in range(1, 101):
        outbox.append(record(n))
    posts.wait_for(LinkUp)
    until(lambda: outbox.status().head_seq == 101, "the rows stored")
    time.sleep(0.5)  # long enough for every PUBACK
    assert outbox.status().acked_seq == 0
    site.serve()
    until(lambda: outbox.status().depth == 0, "everything acknowledged")
    assert stored(site) == list(range(1, 101))


def test_a_certificate_that_cannot_be_read_for_a_while_costs_a_while_and_not_the_link(site, linked):
    """A new certificate beside the old key, a card that fails to read: told, and connected once they are good again."""
    settings = site.link_settings()
    _, _, posts = linked(settings=settings)
    posts.wait_for(LinkUp)
    away = settings.cert.with_suffix(".away")
    settings.cert.rename(away)
    site.broker.stop()
    site.broker.start()
    posts.wait(lambda: any(d.cause == "refused" for d in posts.of(LinkDown)), "the certificate complained about")
    assert str(settings.cert) in posts.of(LinkDown)[-1].detail
    away.rename(settings.cert)
    posts.wait(lambda: len(posts.of(LinkUp)) == 2, "the link up again")


def test_the_link_comes_and_goes_with_the_broker(site, linked):
    site.broker.stop()
    _, outbox, posts = linked()
    assert posts.wait_for(LinkDown)[0].cause == "network"
    site.broker.start()
    site.serve()
    posts.wait_for(LinkUp)
    site.broker.kill()
    posts.wait_for(LinkDown, 2)
    outbox.append(record(1))
    site.broker.start()
    posts.wait_for(LinkUp, 2)
    until(lambda: outbox.status().depth == 0, "what happened meanwhile acknowledged")
    assert stored(site) == [1]
    assert len(posts.of(LinkDown)) == 2  # once an outage


def test_bytes_that_the_library_trips_over_end_a_connection_and_not_the_link(site, linked, monkeypatch):
    real, tripped = mqtt.Client.loop_read, []

    def loop_read(client, *more):
        if client.is_connected() and not tripped:
            tripped.append(True)
            raise MalformedPacket("spoiled")
        return real(client, *more)

    monkeypatch.setattr(mqtt.Client, "loop_read", loop_read)
    _, _, posts = linked()
    posts.wait(lambda: any("MalformedPacket" in d.detail for d in posts.of(LinkDown)), "the spoiled connection")
    posts.wait_for(LinkUp)


@pytest.mark.alone
def test_a_refused_publish_is_an_alarm_within_a_second(site, linked):
    """The certificate is d1's, the topics are d2's: the access rules refuse, and the reason code is not lost."""
    _, _, posts = linked("d2", certificate="s1/d1")
    posts.wait_for(LinkUp)
    up_s = time.monotonic()
    alarm = posts.wait_for(LinkAlarm)[0]
    assert time.monotonic() - up_s < 1.0
    assert (alarm.word, "Not authorized" in alarm.detail) == ("publish-refused", True)


def test_refused_publishes_do_not_feed_themselves(site, linked, clock):
    """Each refusal used to be an alarm row, which changed the state, which was published and refused again."""
    link, outbox, posts = linked("d2", certificate="s1/d1")
    board = StatusBoard({})
    health = Health(board, clock, outbox.append, outbox.status)
    for n in range(30):
        outbox.append(record(n))
    posts.wait_for(LinkAlarm)
    told = []
    for n in range(20):
        for alarm in posts.of(LinkAlarm)[len(told) :]:
            told.append(alarm)
            health.news(alarm)
        link.set_state({"n": n, "health": health.summary()})
        time.sleep(0.02)  # each state is published by itself, and refused
    until(lambda: outbox.status().head_seq == 31 + len(told), "the rows of the alarms")
    assert [a.word for a in posts.of(LinkAlarm)] == ["publish-refused"]


def test_the_state_does_not_change_with_every_row_of_a_backlog(clock):
    depths = iter([20, 99, *range(1000, 1100), 1999, 123456])
    health = Health(StatusBoard({}), clock, lambda _: None, lambda: OutboxStatus(depth=next(depths)))
    assert [health.summary()["queue"] for _ in range(104)] == [20, 90, *[1000] * 101, 100000]


def test_no_door_reads_writes_or_takes_over_for_another(site, linked):
    """Every cross-device attempt on every kind of topic, with the access rules as shipped."""
    heard: list[str] = []
    server = site.raw(SERVER_NAME, on_message=lambda _c, _u, m: heard.append(m.topic))
    server.subscribe("doors/+/+/up/#", 1)
    spied: list[str] = []
    thief = site.raw("s1/d1", on_message=lambda _c, _u, m: spied.append(m.topic))
    codes = []
    thief.on_publish = lambda _c, _u, _m, code, _p: codes.append(code.value)
    for filter_ in ("#", "doors/#", "doors/s1/d2/#", "doors/s1/d2/dn/#", "doors/+/+/dn/command", "$SYS/#"):
        thief.subscribe(filter_, 1)
    attempts = [f"doors/s1/d2/{leaf}" for leaf in ("up/hello", "up/events", "up/alarm", "up/state", "up/reply")]
    attempts += ["doors/s1/d2/dn/ack", "doors/s1/d1/dn/command", "doors/s2/d1/up/events", "other", "$SYS/x"]
    for topic in attempts:
        thief.publish(topic, b"x", 1)
    until(lambda: len(codes) == len(attempts), "every attempt answered")
    assert set(codes) == {0x87}
    for leaf in ("ack", "command", "roster"):
        server.publish(f"doors/s1/d2/dn/{leaf}", b"for d2", 1).wait_for_publish(5)
    server.publish("doors/s1/d1/dn/ack", b"for d1", 1)
    until(lambda: bool(spied), "its own message")
    assert set(spied) == {"doors/s1/d1/dn/ack"}
    assert heard == []
    _, _, posts = linked("d2")
    posts.wait_for(LinkUp)
    takeover = site.raw("s1/d1", client_id="s1/d2")
    takeover.publish("doors/s1/d1/up/reply", b"still d1", 1).wait_for_publish(5)
    assert posts.of(LinkDown) == []
    for client in (server, thief, takeover):
        client.disconnect()
        client.loop_stop()


def test_retained_oversized_and_garbage_acknowledgements_change_nothing(site, linked):
    _, outbox, posts = linked()
    outbox.append(record(1))
    posts.wait_for(LinkUp)
    until(lambda: outbox.status().head_seq == 2, "the row stored")
    status = outbox.status()
    key = public_key(site.signing.key.read_bytes())
    other = public_key(site.authority.signing_key("other").key.read_bytes())
    good = Ack(status.epoch, 3, status.head_hash, "")
    server = site.raw(SERVER_NAME)
    topic = "doors/s1/d1/dn/ack"
    junk = [b"", b"\xff\xfe\x00", b"v4.public.", b"x" * (MAX_ACK_BYTES + 1), b"{}", signed_ack(other, "s1/d1", good),
            signed_ack(key, "s1/d2", good)]  # fmt: skip
    for payload in junk:
        server.publish(topic, payload, 1).wait_for_publish(5)
    server.publish(topic, signed_ack(key, "s1/d1", good), 1, retain=True).wait_for_publish(5)
    assert posts.wait_for(LinkAlarm)[0].word == "bad-ack"
    until(lambda: outbox.status().acked_seq == 2, "the one good acknowledgement")
    assert len(posts.of(LinkAlarm)) == 1
    link, outbox, posts = linked("d3")
    server.publish("doors/s1/d3/dn/ack", b"kept by the broker", 1, retain=True).wait_for_publish(5)
    posts.wait_for(LinkUp)
    link.enabled(on=False)
    posts.wait_for(LinkDown)
    link.enabled(on=True)
    posts.wait(lambda: any("retained" in a.detail for a in posts.of(LinkAlarm)), "the retained one refused")
    server.disconnect()
    server.loop_stop()


def test_commands_and_rosters_are_delivered_as_they_are_and_replies_carry_the_correlation(site, linked):
    link, _, posts = linked()
    posts.wait_for(LinkUp)
    consumer = site.serve()
    consumer.send_command("s1/d1", b"token", b"id-7")
    command = posts.wait_for(CommandArrived)[0]
    assert command == CommandArrived(b"token", retained=False, correlation=b"id-7")
    link.reply(b"id-7", {"stage": "accepted"})
    site.news.wait(lambda: any(n.kind == "reply" for n in site.news.all), "the reply")
    assert next(n.what for n in site.news.all if n.kind == "reply") == {"stage": "accepted"}
    consumer.send_roster("s1/d1", b"roster")
    assert posts.wait_for(RosterArrived)[0] == RosterArrived(b"roster", retained=False)
    link.enabled(on=False)
    posts.wait_for(LinkDown)
    link.enabled(on=True)
    assert posts.wait_for(RosterArrived, 2)[1] == RosterArrived(b"roster", retained=True)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_flood_of_orders_is_counted_and_not_looked_at_and_the_next_one_says_how_many(site, linked, qos):
    """Judging a forged order costs a signature check; a thousand a second took a third of a core from the faces."""
    _, _, posts = linked()
    posts.wait_for(LinkUp)
    server = site.raw(SERVER_NAME)
    for n in range(500):
        server.publish("doors/s1/d1/dn/command", b"junk %d" % n, qos)
    posts.wait(lambda: len(posts.of(CommandArrived)) >= 40, "the first of the flood")

    def looked_at() -> int:
        server.publish("doors/s1/d1/dn/command", b"one more", 1).wait_for_publish(5)
        return len(posts.of(CommandArrived)) + sum(arrived.unheard for arrived in posts.of(CommandArrived))

    until(lambda: looked_at() > 500, "the count of those that were not looked at")
    assert len(posts.of(CommandArrived)) < 200
    server.disconnect()
    server.loop_stop()


def test_the_last_will_says_offline_and_the_state_comes_back_with_the_link(site, linked):
    states: list[dict] = []
    server = site.raw(SERVER_NAME, on_message=lambda _c, _u, m: states.append(json.loads(m.payload)))
    server.subscribe("doors/s1/d1/up/state", 1)
    link, _, posts = linked()
    link.set_state({"door": {"lock": "secured"}})
    until(lambda: {"online": True, "door": {"lock": "secured"}} in states, "the state")
    link.enabled(on=False)
    until(lambda: states[-1] == {"online": False}, "the will")
    assert posts.wait_for(LinkDown)[-1].cause == "off"
    link.enabled(on=True)
    until(lambda: states[-1] == {"online": True, "door": {"lock": "secured"}}, "the state again")
    server.disconnect()
    server.loop_stop()


@pytest.mark.alone
def test_a_fresh_alarm_overtakes_a_backlog_and_is_confirmed_by_the_chain_later(site, linked):
    link, outbox, posts = linked()
    posts.wait_for(LinkUp)
    link.enabled(on=False)
    posts.wait_for(LinkDown)
    for n in range(1, 8001):
        outbox.append(record(n))
    until(lambda: outbox.status().head_seq == 8001, "the backlog")
    site.serve()
    link.enabled(on=True)
    posts.wait_for(LinkUp, 2)
    site.news.wait(lambda: any(n.kind == "event" for n in site.news.all), "the drain begun")
    began_s = time.monotonic()
    outbox.append(record(8001, kind=Kind.FIRE, priority=Priority.ALARM))
    site.news.wait(lambda: any(n.kind == "preview" for n in site.news.all), "the alarm ahead of the backlog")
    took_s = time.monotonic() - began_s
    seen_at = next(i for i, n in enumerate(site.news.all) if n.kind == "preview")
    until(lambda: outbox.status().depth == 0, "the drain", 60)
    assert stored(site) == list(range(1, 8002))
    assert seen_at < 8000
    assert took_s < 1.0


def test_an_alarm_overtakes_an_older_chain_also_when_the_door_was_started_anew(site, linked, make):
    """A journal of 3,000 unsent rows was damaged: they are sent first, under their old name; the fire does not wait."""
    path = site.folder / "d1" / "journal.db"
    outbox, posts = make(path=path)
    for n in range(1, 3001):
        outbox.append(record(n))
    until(lambda: outbox.status().head_seq == 3001, "the backlog", 30)
    outbox.stop()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER rows_never_change")
        db.execute("UPDATE rows SET kind = 'x' WHERE id = (SELECT max(id) - 100 FROM rows)")
    outbox, posts = make(path=path)
    outbox.append(record(3001, kind=Kind.FIRE, priority=Priority.ALARM), token="fire")  # noqa: S106
    posts.wait_for(Committed, timeout_s=60)
    outbox.stop()
    site.serve()
    _, outbox, posts = linked()
    fires = [Kind.FIRE]
    site.news.wait(lambda: any(n.kind == "preview" and n.what["kind"] in fires for n in site.news.all), "the fire", 30)
    seen_at = next(i for i, n in enumerate(site.news.all) if n.kind == "preview" and n.what["kind"] in fires)
    until(lambda: outbox.status().depth == 0, "the drain", 60)
    assert seen_at < 1500
    assert len(stored(site)) == 3000
