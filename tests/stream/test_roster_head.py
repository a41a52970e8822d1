"""The roster's head reaches a door whose broker node has no copy of it, as on a RabbitMQ cluster."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pyseto

from agent.core.stream import LinkDown, LinkUp, RosterArrived
from deploy.community.news import News
from deploy.community.people import People
from deploy.community.publisher import Publisher
from tests.stream.conftest import Posts, Site, until


def revision(token: bytes) -> int:
    """What a signed message says; its signature is looked at elsewhere."""
    body = token.split(b".")[2]
    claims = json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4))[:-64])
    return int(claims["revision"])


def test_a_door_that_says_hello_gets_the_head_without_a_copy_at_the_broker(site: Site, linked, tmp_path):
    """The server never keeps a copy at this broker: what the door hears is the answer to its hello."""
    people = People(tmp_path / "people")
    people.set_door("s1/d1", ["*"])
    key = pyseto.Key.new(version=4, purpose="public", key=site.signing.key.read_bytes())
    publisher = Publisher(people, key, site.authority.cert.read_bytes(), lambda *_alarm: None)
    consumer = site.serve()
    told = consumer._tell
    consumer._tell = lambda news: (told(news), publisher.hear(news))[0]
    publisher.connect(
        lambda device, token, keep: None if keep else consumer.send_roster(device, token, keep), consumer.send_command
    )
    publisher.start()
    try:
        link, _, posts = linked("d1")
        first = posts.wait_for(RosterArrived)[0]
        assert (first.retained, revision(first.payload)) == (False, people.published("s1/d1").revision)
        publisher._head_s.clear()  # so many seconds later
        link.enabled(on=False)
        posts.wait_for(LinkDown)
        link.enabled(on=True)
        posts.wait_for(LinkUp, 2)
        assert not posts.wait_for(RosterArrived, 2)[1].retained
    finally:
        publisher.stop()


def test_a_server_whose_list_is_older_than_a_doors_says_so_once(site: Site, tmp_path):
    """Put back from a backup it goes on above the door: whoever was removed since came in again, and nobody knew."""
    people, told = People(tmp_path / "people"), Posts()
    people.set_door("s1/d1", ["*"])
    key = pyseto.Key.new(version=4, purpose="public", key=site.signing.key.read_bytes())
    publisher = Publisher(people, key, site.authority.cert.read_bytes(), lambda *alarm: told(alarm))
    publisher.start()
    try:
        until(lambda: people.published("s1/d1"), "the first revision")
        for _ in range(3):  # the door says so again and again
            publisher.hear(News("state", "s1/d1", {"online": True, "roster": {"revision": 120, "digest": "0" * 64}}))
        told.wait(lambda: bool(told.all), "the alarm")
        until(lambda: people.published("s1/d1").revision == 121, "the revision above")
    finally:
        publisher.stop()
    assert [alarm[:2] for alarm in told.all] == [("s1/d1", "people-older")]
