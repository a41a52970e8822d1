"""Doors hear of every change of the people: also where whoever made it was killed, or a file failed for a moment."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyseto
import pytest
from roster_world import until

from agent.core.bounded import written
from agent.core.roster import SITE_PURPOSE
from agent.errors import StoreError
from agent.residents import consent_now
from deploy.community import publisher
from deploy.community.people import People
from deploy.community.publisher import Publisher
from deploy.site_pki import SiteAuthority

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"
KILLED = """
import os, signal, sys
from pathlib import Path
from agent.roster.store import RosterStore
from deploy.community.people import People

RosterStore.scrub = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # what comes right after the commit
people = People(Path(sys.argv[1]))
"""
ACTS = {
    "remove": 'people.remove("p-li")',
    "withdraw": 'people.withdraw("p-li")',
    "switch off": 'people.put({"id": "p-li", "enabled": False})',
}


class Office:
    """The server's people and its publisher; no door is there to take anything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.alarms = folder / "people", []
        self.people = People(self.folder)
        self.people.put({"id": "p-li", "consent": written(consent_now(1, purpose=SITE_PURPOSE))})
        self.people.set_door(DOOR, ["*"])
        authority = SiteAuthority.create(folder / "ca", "garden")
        key = pyseto.Key.new(4, "public", authority.signing_key("server").key.read_bytes())
        self.publisher = Publisher(
            self.people, key, authority.cert.read_bytes(), lambda *alarm: self.alarms.append(alarm)
        )
        self.publisher.start()
        self.wait_for(1)

    @property
    def revision(self) -> int:
        newest = People(self.folder).published(DOOR)
        return newest.revision if newest is not None else 0

    def wait_for(self, revision: int) -> None:
        until(lambda: self.revision == revision, lambda: f"revision {self.revision} and no {revision}", 15)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.publisher.stop()


@pytest.mark.parametrize("act", ACTS)
def test_a_command_that_is_killed_right_after_its_commit_has_told_the_doors(office: Office, act: str):
    """They learnt of it with the next change of anybody, or when the server was started anew."""
    words = [sys.executable, "-c", KILLED + ACTS[act], str(office.folder)]
    assert subprocess.run(words, timeout=60, check=False).returncode == -signal.SIGKILL
    office.wait_for(2)


def test_what_could_not_be_published_for_a_moment_is_published_later_and_told_once(office: Office, monkeypatch):
    """The change counted as seen before it was: the doors kept whoever was removed."""
    broken = [True]
    publish = People.publish

    def torn(*what):
        if broken:
            raise StoreError("site.db: cannot be used (database or disk is full)")
        return publish(*what)

    monkeypatch.setattr(People, "publish", torn)
    monkeypatch.setattr(publisher, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(publisher, "_LOOK_EVERY_S", 0.01)
    office.people.remove("p-li")
    until(lambda: office.alarms, "no alarm")
    looks = []
    monkeypatch.setattr(office.people, "roster", lambda: looks.append(1) or People.roster(office.people))
    until(lambda: len(looks) > 3, "it does not try again")
    broken.clear()
    office.wait_for(2)
    assert [alarm[2] for alarm in office.alarms] == ["StoreError: site.db: cannot be used (database or disk is full)"]
