"""Home Assistant: what it is told, what it may do, and that nothing is assumed or kept."""

from __future__ import annotations

import json
import time

from agent.core.events import Kind, Record
from agent.core.stream import Committed, LinkUp
from deploy.broker import HOME_NAME
from deploy.community import homeassistant
from deploy.community.homeassistant import Home, access, access_topic, discovery
from deploy.community.news import News
from tests.stream.conftest import record, until


def test_the_device_has_what_home_assistant_asks_of_each_component():
    """Home Assistant's own rules: tests/interop/test_home_assistant.py."""
    where, payload = discovery("s1/d1", can_open=True)
    told = json.loads(payload)
    assert where == "homeassistant/device/door-agent-s1-d1/config"
    assert set(told) >= {"device", "origin", "components"}
    assert told["origin"]["name"]
    assert told["device"]["identifiers"]
    parts = told["components"]
    assert {name: p["platform"] for name, p in parts.items()} == {
        "lock": "lock",
        "access": "event",
        **dict.fromkeys(("contact", "problem", "fire", "tamper"), "binary_sensor"),
    }
    assert len({p["unique_id"] for p in parts.values()}) == len(parts)
    assert parts["lock"]["optimistic"] is False
    assert told["availability"][0]["topic"] == told["state_topic"] == "doors/s1/d1/up/state"


def test_without_a_key_for_orders_no_lock_is_offered():
    assert "lock" not in json.loads(discovery("s1/d1", can_open=False)[1])["components"]


def test_only_comings_and_goings_are_told_and_only_ids():
    body = {"person_id": "p-1", "reason": "r", "receipt": {"distances": [1]}, "name": "never"}
    told = json.loads(access({"kind": str(Kind.ACCESS_DENIED), "body": body, "seq": 4, "at_ms": 5}))
    assert told == {"event_type": "denied", "person_id": "p-1", "reason": "r", "seq": 4, "at_ms": 5}
    assert access({"kind": str(Kind.DOOR_PHYSICAL), "body": {}, "seq": 4, "at_ms": 5}) is None
    types = json.loads(discovery("s1/d1", can_open=True)[1])["components"]["access"]["event_types"]
    assert set(homeassistant._ACCESSES.values()) <= set(types)


def test_a_door_appears_its_accesses_follow_and_an_order_comes_back_once(site, linked, clock):
    clock.wall_ms = time.time_ns() // 1_000_000
    heard: dict[str, list] = {}
    home = site.raw(HOME_NAME, on_message=lambda _c, _u, m: heard.setdefault(m.topic, []).append((m.payload, m.retain)))
    home.subscribe("homeassistant/#", 1)
    home.subscribe("doors/#", 1)
    server = site.serve(home_assistant=True, can_open=True)
    link, outbox, posts = linked()
    posts.wait_for(LinkUp)
    link.set_state({"door": {"lock": "secured"}})
    where = discovery("s1/d1", can_open=True)[0]
    until(lambda: where in heard, "the discovery")
    outbox.append(Record(Kind.ACCESS_GRANTED, {"person_id": "p-1", "credential": "face"}))
    outbox.append(record(1))
    until(lambda: access_topic("s1/d1") in heard, "the access")
    until(lambda: outbox.status().depth == 0, "the rows")
    assert [json.loads(p)["event_type"] for p, _ in heard[access_topic("s1/d1")]] == ["granted"]
    assert {t for t in heard if t.startswith("doors/")} == {"doors/s1/d1/up/state"}
    codes: list[int] = []
    home.on_publish = lambda _c, _u, _m, code, _p: codes.append(code.value)
    order = "homeassistant/door-agent/s1/d1/set"
    for topic, payload, retain in (
        (order, b"LOCK", False), (order, b"OPEN", False), (order, b"OPEN", True),
        ("doors/s1/d1/dn/command", b"OPEN", False), (where, b"", True),
    ):  # fmt: skip
        home.publish(topic, payload, 1, retain=retain)
    until(lambda: len(codes) == 5, "every attempt answered")
    assert sorted(codes)[-2:] == [0x87, 0x87]
    home.publish(homeassistant.STATUS, b"online", 1)
    heard.pop(where)
    until(lambda: not server._home._announced, "its start noticed")
    link.set_state({"door": {"lock": "released"}})
    until(lambda: where in heard, "the discovery again")
    orders = lambda: [n for n in site.news.all if n.kind == "order"]  # noqa: E731
    until(lambda: len(orders()) == 2, "the orders")  # a fresh one is passed on to subscribers without the retain mark
    server.stop()
    site.serve(home_assistant=True, can_open=True)  # a server that starts later gets the kept one, and does not obey it
    site.news.wait(lambda: sum(n.kind == "state" for n in site.news.all) >= 2, "the second server's first message")
    assert len(orders()) == 2
    home.disconnect()
    home.loop_stop()


def test_a_home_assistant_that_starts_is_told_of_every_door_again():
    """What it knew may be gone, and a RabbitMQ node that it comes to may have no copy of what was kept."""
    sent: list[str] = []
    home = Home(lambda topic, _payload, *, keep=False: sent.append(topic), can_open=True)
    state = News("state", "s1/d1", {"online": True})
    for _ in range(2):
        home.hear(state)
    home.anew()
    home.hear(state)
    assert sent == ["homeassistant/device/door-agent-s1-d1/config"] * 2


def test_what_a_door_catches_up_on_is_nobody_who_comes_now(site, linked, make, clock):
    """An event there is of now: a night without a network made a hundred notices of strangers at the door at once."""
    heard: list[dict] = []
    home = site.raw(HOME_NAME, on_message=lambda _c, _u, m: heard.append(json.loads(m.payload)))
    home.subscribe("homeassistant/door-agent/+/+/access", 1)
    outbox, posts = make(path=site.folder / "d1" / "journal.db")  # its clock says September
    for n in range(3):
        outbox.append(Record(Kind.ACCESS_DENIED_UNKNOWN, {"request_id": f"old-{n}"}), token=str(n))
    posts.wait_for(Committed, 3)
    outbox.stop()
    site.serve(home_assistant=True)
    _, outbox, _ = linked()
    until(lambda: outbox.status().depth == 0, "the old rows")
    clock.wall_ms = time.time_ns() // 1_000_000
    outbox.append(Record(Kind.ACCESS_DENIED_UNKNOWN, {"request_id": "new"}))
    until(lambda: heard, "the new one")
    home.disconnect()
    home.loop_stop()
    assert [one["request_id"] for one in heard] == ["new"]
    events = [n.what["body"].get("request_id") for n in site.news.all if n.kind == "event"]
    assert [name for name in events if name] == ["old-0", "old-1", "old-2", "new"]
