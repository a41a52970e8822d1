"""The vision process gets the whole gallery once, then only what changed; a slow reader holds nobody up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.core.vision_messages import GalleryAdd, GalleryBegin, GalleryCommit, GalleryRemove, ToVision
from agent.gallery_feed import FULL_S, GalleryFeed
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from hardware.errors import PeerGoneError
from tests.faults import pause

NETWORK = ("net", "cut")


class Vision:
    """Keeps what arrives as a vision process would."""

    def __init__(self) -> None:
        self.peer: object | None = object()
        self.room = 10**9
        self.messages: list[ToVision] = []
        self.people: dict[str, list[str]] = {}
        self.next: dict[str, list[str]] | None = None
        self.epoch = 0

    def offer(self, message: ToVision, peer: object) -> bool:
        if peer is not self.peer:
            raise PeerGoneError("gone")
        if self.room <= 0:
            return False
        self.room -= 1
        self.messages.append(message)
        match message:
            case GalleryBegin():
                self.next = {}
            case GalleryRemove():
                for gallery in (self.people, self.next or {}):
                    for person_id in message.person_ids:
                        gallery.pop(person_id, None)
            case GalleryAdd():
                gallery = self.people if self.next is None else self.next
                for row in message.templates:
                    gallery.setdefault(row.person_id, []).append(row.template_id)
            case GalleryCommit():
                self.people, self.next = self.people if self.next is None else self.next, None
                self.epoch = message.epoch
        return True


class Site:
    def __init__(self, folder: Path) -> None:
        self.store = RosterStore(folder)
        self.residents = Residents(self.store)
        self.vision = Vision()
        self.feed = GalleryFeed(self.vision)

    def enrol(self, name: str) -> str:
        rows = np.eye(3, dtype="<f4")
        faces = [NewFace(row.tobytes(), 1.0) for row in rows]
        return self.residents.add(name, consent_now(1), faces, *NETWORK).id

    def tell(self) -> list[ToVision]:
        """Everything that is due; the messages."""
        self.vision.messages = []
        while self.feed.step(self.residents) == 0.0:
            pass
        return self.vision.messages

    def same(self) -> bool:
        told = {one: frozenset(rows) for one, rows in self.vision.people.items()}
        return told == {one: rows for one, rows in self.residents.faces().items() if rows}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.close()


def templates(messages: list[ToVision]) -> int:
    return sum(len(one.templates) for one in messages if isinstance(one, GalleryAdd))


def test_one_more_resident_costs_one_residents_templates(site: Site) -> None:
    for number in range(30):
        site.enrol(f"person {number}")
    site.feed.begin(NETWORK)
    assert templates(site.tell()) == 90
    site.enrol("one more")
    messages = site.tell()
    assert templates(messages) == 3
    assert not any(isinstance(one, GalleryBegin) for one in messages)
    assert site.same()
    assert site.vision.epoch == site.residents.roster.epoch
    assert site.tell() == []


def test_somebody_who_left_or_withdrew_is_gone_and_nobody_else_is_sent(site: Site) -> None:
    left, withdrew, stays = (site.enrol(name) for name in ("left", "withdrew", "stays"))
    site.feed.begin(NETWORK)
    site.tell()
    site.residents.remove(left)
    site.residents.withdraw(withdrew, 2)
    assert templates(site.tell()) == 0
    assert set(site.vision.people) == {stays}
    assert site.same()


@pytest.mark.parametrize("sent", range(1, 11))
def test_somebody_who_withdraws_while_everybody_is_being_sent_is_not_in_the_gallery(site: Site, sent: int) -> None:
    """Whenever it happens: before the message with this person, between, after it, or after the last one."""
    people = [site.enrol(f"person {number}") for number in range(50)]
    site.feed.begin(NETWORK)
    site.vision.room = sent
    assert site.feed.step(site.residents) == FULL_S  # a slow reader: left alone for a moment, and nothing is lost
    for person_id in (people[0], people[25], people[49]):
        site.residents.withdraw(person_id, 2)
    late = site.enrol("late")
    site.vision.room = 10**9
    site.tell()
    assert site.same()
    assert late in site.vision.people
    assert len(site.vision.people) == 48


def test_a_vision_process_that_went_gets_nothing_more_and_the_next_one_everything(site: Site) -> None:
    """A gallery begun with one process must not go on in another, which may have another network."""
    site.enrol("first")
    site.feed.begin(NETWORK)
    site.vision.peer = object()
    assert site.feed.step(site.residents) is None
    site.enrol("second")
    assert site.tell() == []
    site.feed.begin(NETWORK)
    assert templates(site.tell()) == 6
    assert site.same()


def test_a_template_that_does_not_open_is_one_persons_trouble(site: Site) -> None:
    """It used to end the agent's loop, and everybody listed after it was never sent."""
    people = [site.enrol(f"person {number}") for number in range(5)]
    site.store._db.execute(
        "UPDATE templates SET sealed = zeroblob(100) WHERE person_id = ?"
        " AND template_id = (SELECT min(template_id) FROM templates WHERE person_id = ?)", (people[2],) * 2,
    )  # fmt: skip
    site.feed.begin(NETWORK)
    assert templates(site.tell()) == 14
    assert site.feed.unreadable == {people[2]}
    assert set(site.vision.people) == set(people)


def test_a_gallery_that_is_half_sent_does_not_hold_the_files_log_up(site: Site) -> None:
    """Withdrawn templates stand in that log until it is emptied."""
    with contextlib.closing(RosterStore(site.store._path.parent)) as other:
        for number in range(30):
            site.enrol(f"person {number}")
        site.feed.begin(NETWORK)
        site.vision.room = 3
        site.feed.step(site.residents)
        assert other.scrub()


def _told_s(folder: Path, count: int) -> float:
    made = Site(folder)
    made.feed.begin(pause.NETWORK)
    began_s = time.thread_time()
    assert templates(made.tell()) == 3 * count
    took_s = time.thread_time() - began_s
    made.store.close()
    return took_s


def test_ten_times_the_people_take_ten_times_the_work_and_not_a_hundred_times(tmp_path: Path) -> None:
    """Each few people were looked for in all the rows: 20,000 people were never sent to the end."""
    costs = []
    for count in (100, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        pause.people(folder, count)
        costs.append(min(_told_s(folder, count) for _ in range(3)))
    assert costs[1] < 30 * costs[0], costs
