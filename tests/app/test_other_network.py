"""A better network on a device makes nobody of the house a stranger; where it would, the door says so."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from roster_world import HELLO, Door, Site, until

from agent.core.networks import Network, to_use
from agent.core.vision_messages import NetworkHere, UseNetwork, encode
from agent.directory import Directory, View
from agent.network_desk import NetworkDesk
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore

pytestmark = pytest.mark.slow

OLD, NEW = ("net", "five"), ("better", "seven")


def hello(network: Network, *here: Network, pid: int = 1):
    return replace(HELLO, model_id=network[0], alignment_id=network[1], pid=pid,
                   networks=tuple(NetworkHere(*one) for one in here))  # fmt: skip


@pytest.mark.parametrize(
    ("enrolled", "here", "wanted"),
    [
        ({}, (NEW, OLD), NEW),  # a fresh door takes the best
        ({OLD: 3}, (NEW, OLD), OLD),
        ({OLD: 3, NEW: 2}, (NEW, OLD), OLD),
        ({OLD: 3, NEW: 3}, (NEW, OLD), NEW),
        ({OLD: 3}, (NEW,), NEW),  # the old one is gone: nothing else is left, and the door says whom it leaves out
        ({OLD: 3}, (), None),
    ],
)
def test_the_network_of_most_people_is_used_as_long_as_it_is_here(enrolled: Mapping, here, wanted):
    assert to_use(enrolled, here) == wanted


class Desk:
    """A desk, what it sent and what it wrote."""

    def __init__(self, networks: Mapping[Network, int], people: int) -> None:
        self.sent, self.rows = [], []
        faces = {f"p-{n}": frozenset({"t"}) for n in range(people)}
        self.view = View(Directory().roster, faces, {}, networks, people)
        self.desk = NetworkDesk(self, self.rows.append)

    def send(self, messages) -> bool:
        self.sent += messages
        return True

    def states(self) -> list[tuple[str, int]]:
        return [(row.body["state"], row.body["people"]) for row in self.rows]


def test_a_vision_process_is_asked_once_for_the_network_of_the_people_and_again_after_its_restart():
    d = Desk({OLD: 3}, 3)
    assert not d.desk.hello(hello(NEW, NEW, OLD), d.view)
    assert d.sent == [UseNetwork(*OLD)]
    assert d.desk.hello(hello(OLD, NEW, OLD), d.view)
    assert not d.desk.hello(hello(NEW, NEW, OLD, pid=2), d.view)
    assert d.sent == [UseNetwork(*OLD)] * 2
    assert d.rows == []


def test_a_network_that_does_not_load_is_not_asked_for_for_ever_and_whom_it_leaves_out_is_an_alarm():
    d = Desk({OLD: 3, NEW: 1}, 4)
    assert not d.desk.hello(hello(NEW, NEW, OLD), d.view)
    assert d.desk.hello(hello(NEW, NEW), d.view)
    assert (d.states(), d.desk.facts()) == ([("EnrolAgain", 3)], {"enrol_again": 3})
    d.desk.read(replace(d.view, networks={NEW: 4}))
    assert d.states() == [("EnrolAgain", 3), ("EveryoneEnrolled", 0)]


def test_people_of_another_network_who_come_while_it_runs_bring_their_network():
    """A fresh door took the best one; then the server sent people with templates of another that is here too."""
    d = Desk({}, 0)
    assert d.desk.hello(hello(NEW, NEW, OLD), d.view)
    d.desk.read(Desk({OLD: 3}, 3).view)
    assert d.sent == [UseNetwork(*OLD)]


@pytest.fixture
def door(tmp_path: Path):
    site = Site(tmp_path)
    made = site.door()
    with contextlib.closing(RosterStore(made.state)) as store:
        residents = Residents(store)
        for name in ("Li Mei", "Bo"):
            residents.add(name, consent_now(5), [NewFace(bytes(1024), 0.9)], *OLD)
    try:
        yield made
    finally:
        site.close()


def heard(door: Door, kind: str) -> dict:
    return until(lambda: (m := door.vision.recv(5)) and m["type"] == kind and m, kind)


def test_after_a_pull_of_a_better_network_the_residents_are_still_recognised(door: Door):
    """`doctor` itself advised it, and then everybody was a stranger: gallery 0 people, nothing refused, all well."""
    door.start().look()
    door.vision.send_json(encode(hello(NEW, NEW, OLD)))
    assert heard(door, "use_network") == {"type": "use_network", "model_id": OLD[0], "alignment_id": OLD[1]}
    door.vision.send_json(encode(hello(OLD, NEW, OLD)))
    assert len(heard(door, "gallery_add")["templates"]) == 2


def test_where_the_old_network_is_gone_the_door_says_whom_it_does_not_know_and_so_does_the_server(door: Door):
    door.site.serve()
    door.start().look()
    door.vision.send_json(encode(hello(NEW, NEW)))
    row = door.wrote(state="EnrolAgain", people=2)
    assert row["enrolled_with"] == {"net/five": 2}
    until(
        lambda: [n for n in door.site.news if n.kind == "state" and n.what.get("roster", {}).get("enrol_again") == 2],
        "up/state",
    )
    checks = {one["name"]: one for one in json.loads(door.command("doctor", "--json").stdout)["checks"]}
    assert not checks["enrolled faces"]["ok"]
    assert "2 are strangers to it, enrolled 2 with net/five" in checks["enrolled faces"]["found"]
