"""A copied card: two devices under one name are told to the manager, one device that starts again is not."""

from __future__ import annotations

import shutil

import pytest

from agent.mqtt_link import MqttLink
from agent.outbox import Outbox
from deploy.community import copies
from deploy.community.copies import LATE_S, Copies
from tests.stream.conftest import record, until

DOOR = "s1/d1"


def alarms(site) -> list[str]:
    return [n.what["word"] for n in site.news.of(object) if n.kind == "alarm"]


def test_starts_one_after_the_other_are_one_device():
    """Also with a hello of the old start that comes late, and with releases that do not say their start."""
    known = Copies()
    assert known.heard(DOOR, "aa", 0) is None
    assert known.heard(DOOR, "aa", 100) is None
    assert known.heard(DOOR, "bb", 200) is None
    assert known.heard(DOOR, "aa", 200 + LATE_S) is None
    assert known.heard(DOOR, "", 300) is None
    assert known.heard(DOOR, "bb", 400) is None
    assert known.heard("s1/d2", "aa", 400) is None


def test_a_hello_of_the_start_before_is_late_for_a_moment_only():
    known = Copies()
    known.heard(DOOR, "aa", 0)
    assert not known.late(DOOR, "aa", 1)
    known.heard(DOOR, "bb", 10)
    assert [known.late(DOOR, run, 10 + LATE_S) for run in ("aa", "bb", "cc", "")] == [True, False, False, False]
    assert not known.late(DOOR, "aa", 11 + LATE_S)


def test_an_earlier_start_that_goes_on_is_a_second_device_and_told_once():
    known = Copies()
    known.heard(DOOR, "aa", 0)
    known.heard(DOOR, "bb", 10)
    told = known.heard(DOOR, "aa", 11 + LATE_S)
    assert told is not None
    assert told.word == "cloned"
    assert known.heard(DOOR, "aa", 30) is None
    assert known.heard(DOOR, "bb", 31) is None


def test_many_starts_take_no_memory():
    known = Copies()
    for n in range(1000):
        assert known.heard(DOOR, f"{n:08x}", n * 60.0) is None
    assert len(known._doors[DOOR].first_s) <= 9


@pytest.fixture
def two_of_one(site, make):
    """Link and outbox twice, from one copied state folder and with one certificate; the original ran before."""
    first, second = site.folder / "card", site.folder / "copied-card"
    outbox, _ = make(path=first / "journal.db")
    link = MqttLink(site.link_settings(), lambda _: None, outbox)
    link.start()
    for n in range(1, 21):
        outbox.append(record(n))
    until(lambda: outbox.status().depth == 0 and outbox.status().head_seq == 21, "the original's rows acknowledged")
    link.stop()
    outbox.stop()
    shutil.copytree(first, second)
    links: list[MqttLink] = []
    outboxes: list[Outbox] = []
    for folder in (first, second):
        outbox, posts = make(path=folder / "journal.db")
        outboxes.append(outbox)
        links.append(MqttLink(site.link_settings(), posts, outbox))
    yield links, outboxes
    for link in links:
        link.stop()


def test_a_copied_card_beside_the_original_is_told(site, monkeypatch, request):
    """Nothing happens at either door: what gives them away is that both speak."""
    monkeypatch.setattr(copies, "LATE_S", 0.5)
    site.serve()
    links, _ = request.getfixturevalue("two_of_one")
    assert "cloned" not in alarms(site)  # the original's second start alone
    for link in links:
        link.start()
    until(lambda: "cloned" in alarms(site), "the copy noticed", 20)


def test_rows_that_part_on_a_copied_card_are_a_fork_and_none_is_mixed_in(site, request):
    """The copy used later, when the original is off: its first row contradicts what the original sent."""
    site.serve()
    links, (original, copy) = request.getfixturevalue("two_of_one")
    links[0].start()
    original.append(record(100))
    until(lambda: original.status().depth == 0 and original.status().head_seq == 22, "the original's row acknowledged")
    links[0].stop()
    copy.append(record(200))
    copy.append(record(201))
    links[1].start()
    until(lambda: "fork" in alarms(site), "the copy's history told", 20)
    until(lambda: copy.status().depth == 0, "the copy goes on under an epoch of its own", 20)
    rows = [n.what for n in site.news.of(object) if n.kind == "event"]
    assert len({(r["epoch"], r["seq"]) for r in rows}) == len(rows)
