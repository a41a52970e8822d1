"""One visit, one opening by face: who only stays is not let in again, who comes again is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pass_world import World, one_resident

from agent.core.events import Credential, Indication
from agent.core.vision_messages import FindingKind


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with one_resident(tmp_path) as made:
        yield made


def stays(world: World, for_s: float, every_s: float = 5.6) -> None:
    """The camera tells of the same face again and again, as it does while somebody is in view."""
    since_s, end_s = world.now_s, world.now_s + for_s
    while world.now_s < end_s:
        world.look(world.li, since_s)
        world.now_s += every_s


@pytest.mark.parametrize("every_s", [0.6, 5.6, 11.0])
def test_a_face_that_stays_in_view_opens_once_however_long_it_stays(world: World, every_s: float):
    stays(world, 600, every_s)
    assert len(world.allowed) == 1


def test_who_went_in_and_comes_back_is_let_in_at_once(world: World):
    stays(world, 6)
    world.now_s += 3  # through the door, something was forgotten
    world.look(world.li, world.now_s - 0.5)
    assert len(world.allowed) == 2


def test_who_missed_the_opening_is_told_to_step_out_of_view_and_is_let_in_after_that(world: World):
    stays(world, 30)
    assert len(world.allowed) == 1
    assert set(world.hints) == {Indication.LOOK_AGAIN}
    world.look(world.li, world.now_s)
    assert len(world.allowed) == 2


@pytest.mark.parametrize("standing", [{"fire": True}, {"contact_open": True, "contact_known": True}])
def test_nobody_is_told_to_look_again_at_a_door_that_is_open(world: World, standing: dict):
    world.state = replace(world.state, **standing)
    stays(world, 30)
    assert world.hints == []


def test_the_phone_opens_for_somebody_who_only_stays(world: World):
    stays(world, 30)
    world.show()
    assert len(world.allowed) == 2


def test_a_face_that_the_door_did_not_let_in_is_decided_anew_each_time(world: World):
    """Who comes a moment before the hours begin does not have to leave first."""
    world.high_security = True
    stays(world, 30)
    assert world.allowed == []
    world.high_security = False
    world.look(world.li, world.now_s - 30)
    assert len(world.allowed) == 1


def test_a_face_that_was_seen_too_long_ago_opens_nothing_and_the_next_look_does(world: World):
    """An agent that a stalled card held up found the recognition in its socket, and opened when nobody stood there."""
    world.look(world.li, seen_at_s=world.now_s - 3.1)
    assert world.allowed == []
    assert [(r.reason, r.person_id, r.counts_for_lockout) for r in world.refusals] == [("TooLate", world.li, False)]
    world.doubt(world.li, seen_at_s=world.now_s - 3.1)
    world.show()
    assert world.allowed[0].credential is Credential.PHONE  # nor does it go with a phone
    world.now_s += 30
    world.look(world.li, world.now_s - 3.1, seen_at_s=world.now_s - 2.9)
    assert len(world.allowed) == 2


@pytest.mark.parametrize("verdict", [FindingKind.STRANGER, FindingKind.SPOOF])
def test_two_strangers_at_once_are_two_rows_and_one_who_tries_on_is_one(world: World, verdict: FindingKind):
    """Whoever was refused within eight seconds of somebody else was in no row."""
    for _ in range(3):
        for track in (1, 2):
            world.find(verdict, track=track)
        world.now_s += 2.0
    assert [refused.told for refused in world.refusals] == [True, True, False, False, False, False]
    for track in range(3, 300):
        world.now_s += 30
        world.find(verdict, track=track)
    assert len(world.faces._refused_s) < 10  # weeks of strangers are not kept
