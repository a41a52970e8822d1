"""Unlocked hours that begin with the first person in: who counts as one, and when."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hours_world import DONE, FIRST_IN, OFFICE, World, nobody_yet, put

from agent.core.events import Kind, Mode, Record
from agent.residents import Residents


@pytest.fixture
def residents(tmp_path: Path) -> Iterator[Residents]:
    with nobody_yet(tmp_path) as residents:
        yield residents


@pytest.mark.parametrize(
    ("person_id", "then"), [("p-li", Mode.UNLOCKED), ("p-guest", Mode.LOCKED), (None, Mode.LOCKED)]
)
def test_first_person_in_is_somebody_of_the_house_and_counts_at_once(
    *, residents: Residents, person_id: str | None, then: Mode
):
    put(residents, FIRST_IN)
    world = World(residents, "2026-11-23 07:50")
    world.walk_in()  # before the window: does not count
    assert world.run_to("2026-11-23 08:30:01") == Mode.LOCKED
    world.walk_in(person_id)
    assert world.run(minutes=1 / 60, step_s=0.25) == then


def test_who_shows_a_duress_code_after_her_face_has_opened_the_door_was_no_first_person_in(residents: Residents):
    """A face opens by itself before the phone is out: the hours had begun, and went on for the day."""
    put(residents, FIRST_IN)
    world = World(residents, "2026-11-23 08:30")
    for _ in range(2):
        world.walk_in()
        assert world.run(minutes=1 / 12, step_s=0.25) == Mode.UNLOCKED
    world.controller.write(Record(Kind.DURESS, {"person_id": "p-li", "opened": False}))
    assert world.run(minutes=1 / 12, step_s=0.25) == Mode.LOCKED
    world.walk_in()  # still the same visit
    assert world.run(minutes=30) == Mode.LOCKED
    world.walk_in()
    assert world.run(minutes=30) == Mode.UNLOCKED
    world.controller.write(Record(Kind.DURESS, {"person_id": "p-li", "opened": False}))
    assert world.run() == Mode.UNLOCKED, "she came in freely half an hour ago"


def test_who_is_forced_to_open_is_no_first_person_in_and_later_counts_as_always(residents: Residents):
    """The coercer had the house stand unlocked for the rest of the day."""
    put(residents, FIRST_IN)
    world = World(residents, "2026-11-23 08:30")
    world.walk_in(duress=True)
    assert [row.kind for row in world.rows if row.kind in (Kind.DURESS, Kind.ACCESS_TAKEN)] == [
        Kind.DURESS,
        Kind.ACCESS_TAKEN,
    ]
    assert world.run(minutes=30) == Mode.LOCKED
    world.walk_in()
    assert world.run() == Mode.UNLOCKED


def test_the_first_person_counts_although_the_clock_was_set_after_she_came(residents: Residents):
    """A Pi boots with a wrong clock: she comes in, then NTP says what time it was."""
    put(residents, FIRST_IN)
    world = World(residents, "2020-01-01 00:00", trusted=False)
    world.walk_in()
    world.run()
    world.trusted = True
    world.set_clock("2026-11-23 09:00")
    assert world.run() == Mode.UNLOCKED


def test_a_restart_inside_a_window_unlocks_again_but_first_person_in_waits_for_a_person(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    assert world.again().run() == Mode.UNLOCKED
    put(residents, FIRST_IN)
    world = world.again()
    world.walk_in()
    assert world.run() == Mode.UNLOCKED
    world = world.again()
    assert world.run() == Mode.LOCKED
    world.walk_in()
    assert world.run() == Mode.UNLOCKED


def test_somebody_who_comes_in_before_the_order_is_committed_changes_nothing(residents: Residents):
    put(residents, FIRST_IN)
    world = World(residents, "2026-11-23 09:00", commits=False)
    world.walk_in()
    world.hours.tend(world.now_s)
    world.now_s += 0.1
    world.walk_in()
    world.hours.tend(world.now_s)
    assert world.run(minutes=1, step_s=0.25) == Mode.UNLOCKED
    assert world.orders() == DONE
