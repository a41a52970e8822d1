"""The code of somebody who is forced to show it: it opens as always, and whatever comes of it, one silent alarm."""

from dataclasses import replace

import pytest
from pass_world import UTC_S, World, one_resident, public_of, sign

from agent.core.events import Credential, Kind
from agent.core.passes import phone_message


@pytest.fixture
def world(tmp_path):
    with one_resident(tmp_path) as world:
        yield world


def test_duress_opens_and_is_told(world: World):
    world.show(duress=True)
    assert world.allowed[0].duress


@pytest.mark.parametrize("phone_first", [True, False])
def test_duress_is_not_lost_between_the_two_factors_and_the_code_is_used_up_with_the_opening(
    world: World, *, phone_first: bool
):
    """Forced to a door that wants face and phone: it opens as always, and the alarm is silent."""
    world.high_security = True
    person_id = next(iter(world.residents.roster.persons))
    if not phone_first:
        world.look(person_id)
    world.show(duress=True)
    if phone_first:
        assert world.intents == []
        world.look(person_id)
    [intent] = world.intents
    assert (intent.then.credential, intent.then.duress) == (Credential.FACE_AND_PHONE, True)
    assert [
        name for name in intent.facts if name.startswith("pass.step.")
    ]  # committed with the opening: a reboot does not make the code good again


def switch_off(world: World, *, phone_only: bool) -> None:
    person = world.residents.person(world.li)
    phones = tuple(replace(phone, enabled=False) for phone in person.phones)
    changed = replace(person, phones=phones) if phone_only else replace(person, enabled=False)
    world.residents.roster = replace(world.residents.roster, persons={world.li: changed})


@pytest.mark.parametrize("why", ["locked down", "not for this door", "let in a moment ago", "person off", "phone off"])
def test_a_duress_code_that_opens_nothing_raises_the_silent_alarm_once_all_the_same(world: World, why: str):
    if why == "locked down":
        world.state = replace(world.state, locked_down=True)
    elif why == "not for this door":
        person = world.residents.person(world.li)
        roster = world.residents.roster
        world.residents.roster = replace(roster, persons={world.li: replace(person, schedules=())})
    elif why in ("person off", "phone off"):
        switch_off(world, phone_only=why == "phone off")
    else:
        world.show()
        world.now_s += 5
    opened = len(world.allowed)
    for _ in range(2):
        world.show(duress=True)
        world.now_s += 4
    assert len(world.allowed) == opened
    assert [(row.kind, row.body["opened"]) for row in world.rows] == [(Kind.DURESS, False)]


def test_a_film_of_a_duress_code_of_a_phone_that_is_switched_off_raises_one_alarm(world: World):
    """A door that knows no time would take each showing of the film for one more, as often as somebody liked."""
    switch_off(world, phone_only=True)
    world.time_known = False
    film = sign(world.phone, phone_message(public_of(world.phone), None, UTC_S + world.now_s, bytes(8), duress=True))
    for _ in range(3):
        world.show(film)
        world.now_s += 70
    world.show()
    assert [row.kind for row in world.rows] == [Kind.DURESS]
    assert [refusal.reason for refusal in world.refusals] == ["Revoked"] * 4
    assert world.allowed == []
