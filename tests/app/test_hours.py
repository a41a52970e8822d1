"""Unlocked hours: windows, clocks, lock-downs and restarts at a real controller and roster store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hours_world import ALL_DAYS, BERLIN, DONE, OFFICE, WEEK, World, hours, nobody_yet, put, turn_until

from agent.app import DoorAgent
from agent.config import parse
from agent.core.door import LockDuty, mode
from agent.core.events import Input, Kind, LineChanged, Mode, Order, Record
from agent.core.journal import ClockQuality
from agent.hours import FACT
from agent.residents import Residents
from fixtures.plain_door import MAGNET, plain_door


@pytest.fixture
def residents(tmp_path: Path) -> Iterator[Residents]:
    with nobody_yet(tmp_path) as residents:
        yield residents


def test_the_door_unlocks_with_the_window_and_locks_after_it_with_one_order_each(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 07:59")
    assert world.run_to("2026-11-23 07:59:59") == Mode.LOCKED
    assert world.run_to("2026-11-23 08:00:10") == Mode.UNLOCKED
    assert world.run_to("2026-11-23 17:59:59") == Mode.UNLOCKED
    assert world.run_to("2026-11-23 18:00:10") == Mode.LOCKED
    assert world.orders() == [*DONE, ("lock", "done")]


def test_it_looks_at_the_hours_at_most_every_ten_seconds(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run(minutes=10, step_s=0.25)
    assert min(b - a for a, b in zip(world.looks, world.looks[1:], strict=False)) >= 10
    assert len(world.looks) == 60


def test_the_order_to_unlock_is_written_before_it_is_followed_and_has_an_end(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 08:00")
    world.controller._settle(world.now_s)
    world.hours.tend(world.now_s)
    assert world.orders() == [("unlock", "accepted")]
    assert mode(world.controller.state) is Mode.LOCKED
    world.tell()
    assert mode(world.controller.state) is Mode.UNLOCKED
    assert world.controller.state.unlocked_until_s - world.now_s == 26 * 3600


def test_over_midnight_from_one_day_s_window_into_the_next_it_stays_unlocked(residents: Residents):
    put(residents, hours((ALL_DAYS, 0, 24)))
    world = World(residents, "2026-11-23 12:00")
    modes = {world.run(minutes=10) for _ in range(6 * 24 * 3)}
    assert modes == {Mode.UNLOCKED}
    assert world.orders() == DONE * 4  # at once, then with every day that starts
    assert not [r for r in world.rows if r.kind is Kind.DOOR_MODE][1:]


def test_a_window_over_midnight_ends_in_the_morning(residents: Residents):
    put(residents, hours((["mon"], 22, 6)))
    world = World(residents, "2026-11-23 21:59")
    assert [world.run_to(f"2026-11-{when}") for when in ("23 22:01", "24 05:59", "24 06:01", "24 22:01")] == [
        Mode.UNLOCKED,
        Mode.UNLOCKED,
        Mode.LOCKED,
        Mode.LOCKED,
    ]


def test_on_a_holiday_it_stays_locked(residents: Residents):
    put(residents, hours((WEEK, 8, 18), holidays=("2026-11-23",)))
    world = World(residents, "2026-11-23 07:00")
    assert world.run_to("2026-11-23 12:00") == Mode.LOCKED
    assert world.run_to("2026-11-24 12:00") == Mode.UNLOCKED


def test_when_the_clocks_go_back_the_repeated_hour_is_unlocked_twice(residents: Residents):
    """In Berlin 03:00 becomes 02:00 on 2026-10-25; the window is 02:15 to 02:45."""
    put(residents, hours((["sun"], 2.25, 2.75)))
    world = World(residents, "2026-10-25 02:00", BERLIN)
    unlocked_min = sum(world.run(minutes=1) == Mode.UNLOCKED for _ in range(150))
    assert unlocked_min == 60
    assert world.orders() == [*DONE, ("lock", "done")] * 2


@pytest.mark.parametrize(("set_to", "then"), [("2026-11-23 19:00", Mode.LOCKED), ("2026-11-23 09:00", Mode.UNLOCKED)])
def test_a_clock_that_is_set_counts_within_ten_seconds(*, residents: Residents, set_to: str, then: Mode):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    world.set_clock(set_to)
    assert world.run(minutes=1 / 6) == then


def test_an_untrusted_clock_never_unlocks_ends_what_runs_and_goes_on_when_it_is_trusted_again(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00", trusted=False)
    assert world.run(minutes=5) == Mode.LOCKED
    world.trusted = True
    assert world.run() == Mode.UNLOCKED
    world.trusted = False
    assert world.run(minutes=1 / 6) == Mode.LOCKED
    world.trusted = True
    assert world.run() == Mode.UNLOCKED
    assert world.orders() == [*DONE, ("lock", "done"), *DONE]


@pytest.mark.parametrize("order", [(Order.LOCK_DOWN, Order.RELEASE_LOCK_DOWN), (Order.BLOCK, Order.UNBLOCK)])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("minutes", [0.0, 30.0])
def test_after_a_lock_down_it_stays_locked_until_the_next_window(
    *, residents: Residents, order: tuple[Order, Order], restart: bool, minutes: float
):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    world.order(order[0])
    world.run(minutes)
    world.order(order[1])
    world.run()
    world = world.again() if restart else world
    assert world.run_to("2026-11-23 17:59") == Mode.LOCKED
    assert world.run_to("2026-11-24 07:59") == Mode.LOCKED
    assert world.orders() == ([] if restart else [*DONE, ("unlock", "over")])
    assert world.run_to("2026-11-24 08:01") == Mode.UNLOCKED


def test_a_lock_down_at_the_very_end_of_a_window_says_nothing_of_the_hours(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 17:00")
    world.run_to("2026-11-23 17:59:59")
    world.order(Order.LOCK_DOWN)
    world.run()
    assert world.orders() == DONE


def test_a_second_lock_down_does_not_bring_back_the_window_that_the_first_one_ended(residents: Residents):
    lunch = {"id": "lunch", "windows": [{"days": WEEK, "start_min": 720, "end_min": 840}]}
    both = [*OFFICE["unlock_hours"], {"schedule": "lunch", "first_person_in": False}]
    put(residents, {**OFFICE, "schedules": [*OFFICE["schedules"], lunch], "unlock_hours": both})
    world = World(residents, "2026-11-23 09:00")
    for start, end in (("09:01", "11:59"), ("12:01", "17:59")):
        assert world.run_to(f"2026-11-23 {start}") == Mode.UNLOCKED
        world.order(Order.LOCK_DOWN)
        world.order(Order.RELEASE_LOCK_DOWN)
        assert world.run_to(f"2026-11-23 {end}") == Mode.LOCKED


def test_a_window_that_starts_during_a_lock_down_is_refused_once_and_over(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 07:00")
    world.order(Order.LOCK_DOWN)
    assert world.run_to("2026-11-23 12:00") == Mode.LOCKED_DOWN
    world.order(Order.RELEASE_LOCK_DOWN)
    assert world.run_to("2026-11-23 17:00") == Mode.LOCKED
    assert world.orders() == [("unlock", "accepted"), ("unlock", "refused"), ("unlock", "over")]


def test_a_lock_down_while_the_clock_is_not_trusted_ends_the_window_too(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    world.trusted = False
    world.run()
    world.order(Order.LOCK_DOWN)
    world.run()
    world.order(Order.RELEASE_LOCK_DOWN)
    world.trusted = True
    assert world.run() == Mode.LOCKED


def test_an_intermittent_lock_refuses_once_a_window(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 07:00", duty=LockDuty.INTERMITTENT)
    assert world.run_to("2026-11-23 17:00") == Mode.LOCKED
    assert world.orders() == [("unlock", "accepted"), ("unlock", "refused"), ("unlock", "over")]


def test_fire_and_a_manager_s_hold_open_neither_end_nor_repeat_it(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    world.order(Order.HOLD_OPEN)
    world.tell(LineChanged(Input.FIRE, active=True, at_s=world.now_s))
    assert world.run() == Mode.LOCKED_OPEN
    world.tell(LineChanged(Input.FIRE, active=False, at_s=world.now_s))
    world.order(Order.END_HOLD_OPEN)
    assert world.run() == Mode.UNLOCKED
    assert world.orders() == DONE


def test_hours_taken_out_of_the_roster_end_at_once(residents: Residents):
    put(residents, OFFICE)
    world = World(residents, "2026-11-23 12:00")
    world.run()
    put(residents, {"schedules": [], "holidays": [], "unlock_hours": []})
    assert world.run(minutes=1 / 6) == Mode.LOCKED


@pytest.mark.parametrize("stored", [None, 7, [["office"]], [[1, "office"]], {"office": 1}])
def test_damaged_facts_are_taken_as_absent(*, residents: Residents, stored: object):
    put(residents, OFFICE)
    assert World(residents, "2026-11-23 12:00", facts={"unlock_hours_over": stored}).run() == Mode.UNLOCKED


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("quality", ClockQuality)
def test_the_whole_agent_tends_the_hours_and_believes_only_a_good_clock(
    *, residents: Residents, tmp_path: Path, quality: ClockQuality, first: bool
):
    put(residents, hours((ALL_DAYS, 0, 24), first=first))
    with DoorAgent(parse(plain_door(tmp_path, MAGNET).encode()), "test") as agent:
        agent._clock.quality = lambda: quality
        controller = agent._controller
        unlocked = lambda: mode(controller.state) is Mode.UNLOCKED  # noqa: E731
        if first:
            controller.turn()
            controller.turn()
            assert not unlocked()
            controller.write(Record(Kind.ACCESS_TAKEN, {"person_id": "p-li"}))
        trusted = quality in (ClockQuality.NTP, ClockQuality.RTC)
        looked = agent._controller._others._hours
        assert turn_until(agent, unlocked if trusted else lambda: looked._due_s > agent._clock.now_s())
        assert unlocked() is trusted


def test_an_agent_that_starts_knows_which_windows_are_over(tmp_path: Path):
    """The whole agent on its own journal: what one run stored, the next one has."""
    config = parse(plain_door(tmp_path, MAGNET).encode())
    over = [["office", 1_795_000_000]]
    with DoorAgent(config, "test") as agent:
        agent._controller.write(Record(Kind.COMMAND, {"outcome": "over"}, facts={FACT: over}))
    with DoorAgent(config, "test") as agent:
        assert agent._controller._others._hours._over == {("office", 1_795_000_000)}
