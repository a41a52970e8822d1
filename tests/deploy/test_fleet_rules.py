"""RabbitMQ's permissions say what mosquitto's access rules say: by certificate name, for every kind of topic."""

from __future__ import annotations

import json
import re

import pytest

from deploy.broker import DASHBOARD_NAME, HOME_NAME, SERVER_NAME, acl_text
from deploy.fleet.rabbitmq import definitions, main

DOORS = ("s1/d1", "s1/d2", "s2/d1", "s1/d1x")
NAMES = (*DOORS, SERVER_NAME, "community-2", HOME_NAME, DASHBOARD_NAME, "nobody")
LEAVES = ("up/hello", "up/state", "dn/ack", "dn/command", "upper/x")
TOPICS = (
    *(f"doors/{door}/{leaf}" for door in DOORS for leaf in LEAVES),
    "doors/s1/up/state", "doors/s1/d1/d2/up/state", "other", "homeassistant/status", "homeassistant/statusx",
    "homeassistant/device/door-agent-s1-d1/config", "homeassistant/door-agent/s1/d1/set",
    "homeassistant/door-agent/s1/d1/access", "homeassistant/door-agent/s1/d1/set/x", "homeassistantx/status",
)  # fmt: skip
# what each asks for, with wildcards: checked like a topic by both
FILTERS = ("doors/+/+/up/#", "doors/s1/+/up/#", "doors/+/+/up/state", "doors/#", "#", "homeassistant/#",
           "homeassistant/door-agent/+/+/set")  # fmt: skip


def fits(filter_: str, topic: str) -> bool:
    """MQTT 5, 4.7: + is one level, # the rest."""
    wanted, given = filter_.split("/"), topic.split("/")
    for n, level in enumerate(wanted):
        if level == "#":
            return True
        if n >= len(given) or level not in ("+", given[n]):
            return False
    return len(wanted) == len(given)


def by_mosquitto(servers: tuple[str, ...], name: str, access: str, topic: str) -> bool:
    user, found = None, False
    for line in acl_text(servers).splitlines():
        match line.split():
            case ["user", who]:
                user = who
            case ["topic", how, filter_] if user == name:
                found |= access in how.replace("readwrite", "read write") and fits(filter_, topic)
            case ["pattern", how, filter_]:
                found |= how == access and fits(filter_.replace("%u", name), topic)
    return found


def by_rabbitmq(servers: tuple[str, ...], name: str, access: str, topic: str) -> bool:
    rules = json.loads(definitions(DOORS, servers))["topic_permissions"]
    key = topic.replace("/", ".").replace("+", "*")
    return any(re.search(rule[access], key) for rule in rules if rule["user"] == name)


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("name", NAMES)
def test_both_brokers_allow_the_same(name, access):
    servers = (SERVER_NAME, "community-2")
    for topic in TOPICS:
        asked = (servers, name, access, topic)
        assert by_rabbitmq(*asked) == by_mosquitto(*asked), topic


def test_who_may_subscribe_to_what_on_rabbitmq():
    """There a filter itself must be allowed; mosquitto decides for each message that it delivers."""
    servers = (SERVER_NAME,)
    may = {name: [f for f in FILTERS if by_rabbitmq(servers, name, "read", f)] for name in NAMES}
    every = ["doors/+/+/up/#", "doors/s1/+/up/#", "doors/+/+/up/state"]
    home = ["homeassistant/#", "homeassistant/door-agent/+/+/set"]
    assert may == {
        **{name: [] for name in NAMES}, SERVER_NAME: [*every, *home], DASHBOARD_NAME: every,
        HOME_NAME: ["doors/+/+/up/state", *home],
    }  # fmt: skip


def test_every_name_has_a_user_and_its_own_queues_only():
    made = json.loads(definitions(DOORS, (SERVER_NAME,)))
    names = {*DOORS, SERVER_NAME, HOME_NAME, DASHBOARD_NAME}
    assert {user["name"] for user in made["users"]} == {p["user"] for p in made["permissions"]} == names
    for permission in made["permissions"]:
        assert not re.search(permission["configure"], "mqtt-subscription-s9/d9qos1")


def test_the_list_of_doors_is_checked_before_anything_is_written(tmp_path, capsys):
    """A file that is not there left half of the folder and a traceback; a name that no door has became a user."""
    doors, out = tmp_path / "doors.txt", tmp_path / "out"
    words = ["--doors", str(doors), "--folder", str(out)]
    assert main(words) == 1
    assert str(doors) in capsys.readouterr().err
    for text in ("garden/gate-1\ngate-2\n", "garden/.*", "", "花园/门\n"):
        doors.write_text(text)
        assert main(words) == 3
        assert str(doors) in capsys.readouterr().err
    assert not out.exists()
    doors.write_bytes(b"\xef\xbb\xbfgarden/gate-1\r\n\r\ngarden/gate-2\r\n")
    assert main(words) == 0
    users = {user["name"] for user in json.loads((out / "definitions.json").read_text())["users"]}
    assert {"garden/gate-1", "garden/gate-2"} < users
