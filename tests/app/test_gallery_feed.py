"""The vision process gets the whole gallery once, then only what changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from agent.core.vision_messages import GalleryAdd, GalleryBegin, GalleryCommit, GalleryRemove, ToVision
from agent.gallery_feed import GalleryFeed
from agent.residents import NewFace, Residents, consent_now
from agent.roster_store import RosterStore

NETWORKS = ("net", "cut")


class _Vision:
    """Keeps what arrives as a vision process would."""

    def __init__(self) -> None:
        self.up, self.messages, self.people, self.epoch = True, [], {}, 0

    def send(self, messages: Iterable[ToVision]) -> bool:
        self.messages = list(messages) if self.up else []
        for message in self.messages:
            if isinstance(message, GalleryBegin):
                self.people = {}
            elif isinstance(message, GalleryRemove):
                self.people = {one: rows for one, rows in self.people.items() if one not in message.person_ids}
            elif isinstance(message, GalleryAdd):
                for row in message.templates:
                    self.people.setdefault(row.person_id, []).append(row.template_id)
            elif isinstance(message, GalleryCommit):
                self.epoch = message.epoch
        return self.up


class _Site:
    def __init__(self, folder: Path) -> None:
        self.store = RosterStore(folder)
        self.residents = Residents(self.store)
        self.vision = _Vision()
        self.feed = GalleryFeed(self.residents, self.vision)

    def enrol(self, name: str) -> str:
        rows = np.eye(3, dtype="<f4")
        faces = [NewFace(row.tobytes(), 1.0) for row in rows]
        return self.residents.add(name, consent_now(1), faces, *NETWORKS).id

    def same(self) -> bool:
        told = {one: frozenset(rows) for one, rows in self.vision.people.items()}
        return told == {one: rows for one, rows in self.residents.faces().items() if rows}


@pytest.fixture
def site(tmp_path: Path) -> Iterable[_Site]:
    made = _Site(tmp_path)
    yield made
    made.store.close()


def _templates(messages: list[ToVision]) -> int:
    return sum(len(one.templates) for one in messages if isinstance(one, GalleryAdd))


def test_one_more_resident_costs_one_residents_templates(site: _Site) -> None:
    for number in range(30):
        site.enrol(f"person {number}")
    site.feed.begin(NETWORKS)
    assert _templates(site.vision.messages) == 90
    site.enrol("one more")
    site.feed.update()
    assert _templates(site.vision.messages) == 3
    assert not any(isinstance(one, GalleryBegin) for one in site.vision.messages)
    assert site.same()
    assert site.vision.epoch == site.residents.roster.epoch


def test_somebody_who_left_or_withdrew_is_gone_and_nobody_else_is_sent(site: _Site) -> None:
    left, withdrew, stays = (site.enrol(name) for name in ("left", "withdrew", "stays"))
    site.feed.begin(NETWORKS)
    site.residents.remove(left)
    site.residents.withdraw(withdrew, 2)
    site.feed.update()
    assert _templates(site.vision.messages) == 0
    assert set(site.vision.people) == {stays}
    assert site.same()


def test_what_did_not_arrive_is_sent_whole_as_soon_as_it_can_be(site: _Site) -> None:
    """A vision process that missed a change must not go on with half a roster."""
    site.enrol("first")
    site.feed.begin(NETWORKS)
    site.vision.up = False
    site.enrol("second")
    site.feed.update()
    assert site.feed.behind
    site.vision.up = True
    site.feed.update()
    assert isinstance(site.vision.messages[0], GalleryBegin)
    assert site.same()
    assert not site.feed.behind


def test_a_new_vision_process_gets_everything(site: _Site) -> None:
    site.enrol("first")
    site.feed.begin(NETWORKS)
    site.feed.begin(NETWORKS)
    assert _templates(site.vision.messages) == 3
