"""Enrolling on the console: whose face it is is said before anything is stored, and every end has its words."""

import contextlib
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from roster_world import unit_vector

from agent.clock import SystemClock
from agent.core.roster import WATCH_PURPOSE, Consent, PersonKind
from agent.core.vision_messages import EnrolledTemplate, Enrolment, EnrolmentState
from agent.enrolment import ANSWER_S, ConsoleAsked, EnrolmentDesk, Trouble
from agent.known_time import KnownTime
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from agent.status import StatusBoard
from agent.vision_link import VisionGone

NETWORK = ("net", "five")


class Vision:
    def __init__(self):
        self.sent = []

    def send(self, messages):
        self.sent += messages
        return True


class World:
    """The desk with a store of its own; what it asks of the roster is done at once, or fails with `trouble`."""

    def __init__(self, folder: Path):
        self.store = RosterStore(folder)
        self.residents = Residents(self.store)
        self.vision, self.board, self.trouble = Vision(), StatusBoard({}), None
        time = KnownTime(SystemClock(), ZoneInfo("UTC"), lambda: 0.0)
        self.desk = EnrolmentDesk(self, self.vision, self.board, time, self.residents)
        self.li = self.residents.add(
            "Li Mei", consent_now(5), [NewFace(unit_vector(), 0.9) for n in range(3)], *NETWORK
        )

    def ask(self, button: str, **arguments) -> None:
        self.desk.asked(ConsoleAsked(button, arguments))

    def collected(self, *looks_like: str, pictures: int = 3) -> None:
        templates = tuple(EnrolledTemplate(unit_vector(), 0.8) for n in range(pictures))
        order = self.vision.sent[-1]
        done = Enrolment(order.id, EnrolmentState.DONE, None, pictures, templates, looks_like)
        self.desk.news(done, NETWORK)

    @property
    def shown(self) -> dict:
        return self.board.snapshot()["enrolment"]

    # ---- the roster's clerk

    def enrol(self, wanted, faces, network):
        if self.trouble is None:
            self.residents.add(wanted.name, wanted.consent, faces, *network, alike=wanted.alike)
        self.desk.stored(wanted.enrolment_id, self.trouble)

    def add_visit(self, visit, faces, network):
        self.residents.add_visit(visit.person_id, faces, *network, visit.consent)
        self.desk.stored(visit.enrolment_id, None)

    def people(self) -> dict[str, tuple[int, bool]]:
        return {p.name: (len(p.faces), p.second_factor) for p in self.residents.roster.persons.values()}


@pytest.fixture
def world(tmp_path: Path):
    world = World(tmp_path)
    with contextlib.closing(world.store):
        yield world


def test_the_same_person_again_is_one_more_visit_when_that_is_said(world: World):
    """She used to be stored under a second id, and neither of the two opened any more."""
    world.ask("enrol_start", name="Mei", consent=True)
    world.collected(world.li.id)
    assert (world.shown["state"], world.shown["near"]) == ("near", [{"id": world.li.id, "name": "Li Mei"}])
    assert world.people() == {"Li Mei": (3, False)}
    world.ask("enrol_same", person="p-nobody")
    assert world.shown["state"] == "near"
    world.ask("enrol_same", person=world.li.id)
    assert (world.shown["state"], world.people()) == ("done", {"Li Mei": (5, False)})


def test_somebody_else_who_looks_alike_is_enrolled_and_both_need_the_phone(world: World):
    world.ask("enrol_start", name="Li Na", consent=True)
    world.collected(world.li.id)
    world.ask("enrol_other")
    assert (world.shown["state"], world.people()) == ("done", {"Li Mei": (3, True), "Li Na": (3, True)})


def test_a_visit_needs_no_name_and_no_new_consent_and_is_nobody_elses(world: World):
    world.ask("enrol_again")
    world.collected()
    assert (world.shown["state"], world.shown["hint"]) == ("failed", Trouble.NOBODY)
    world.ask("enrol_again")
    world.collected(world.li.id, pictures=1)
    world.ask("enrol_other")  # not offered: there is no name and no consent for anybody else
    assert (world.shown["state"], world.shown["again"], len(world.people())) == ("near", True, 1)
    world.ask("enrol_same", person=world.li.id)
    assert world.people() == {"Li Mei": (4, False)}


def test_somebody_watched_is_not_named_on_the_page(world: World):
    watched = Consent(WATCH_PURPOSE, 5, under_14=False, guardian=None)
    x = world.residents.add("X", watched, [NewFace(unit_vector(), 0.9)], *NETWORK, kind=PersonKind.WATCHED).id
    world.ask("enrol_start", name="Bo", consent=True)
    world.collected(x)
    assert (world.shown["state"], "near" in world.shown) == ("done", False)
    assert world.people()["Bo"] == (3, True)


def test_templates_wait_two_minutes_for_the_word_and_no_longer(world: World):
    world.ask("enrol_start", name="Mei", consent=True)
    world.collected(world.li.id)
    now_s = SystemClock().now_s()
    world.desk.tend(now_s + ANSWER_S - 5)
    assert world.shown["state"] == "near"
    world.desk.tend(now_s + ANSWER_S + 5)
    assert (world.shown["state"], world.shown["hint"]) == ("failed", Trouble.NO_WORD)
    world.ask("enrol_same", person=world.li.id)
    assert world.people() == {"Li Mei": (3, False)}


def test_a_camera_process_that_stops_ends_the_enrolment_with_a_word(world: World):
    """The page showed "collecting" for ever, and what another process said late was taken for this one's."""
    world.ask("enrol_start", name="Bo", consent=True)
    world.desk.news(VisionGone("killed"), NETWORK)
    assert (world.shown["state"], world.shown["hint"]) == ("failed", Trouble.CAMERA_LEFT)
    world.collected()
    assert world.people() == {"Li Mei": (3, False)}


def test_half_a_character_in_a_name_and_a_store_that_fails_are_said(world: World):
    for arguments in ({"name": "A\ud83d"}, {"name": "An", "under_14": True, "guardian": "\udc00"}):
        world.ask("enrol_start", consent=True, **arguments)
        assert (world.shown["state"], world.shown["hint"]) == ("failed", Trouble.HALF)
    assert world.vision.sent == []
    world.trouble = "the card is full: free some space"
    world.ask("enrol_start", name="Bo", consent=True)
    world.collected()
    assert (world.shown["state"], world.shown["hint"]) == ("failed", world.trouble)
