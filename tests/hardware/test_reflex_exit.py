"""What the guard's reflexes make of the exit button: presses, sticking, chatter, a strike that is hot."""

from __future__ import annotations

import itertools

import pytest
from reflex_bench import MAGNET, STRIKE, Bench, close, on_time_s

from hardware.reflex import (
    EXIT_AT_LEAST_S,
    EXIT_HOT_S,
    EXIT_UNBROKEN_S,
    FIRE_REST_S,
    FaultReport,
    SecureOrdered,
)


def test_an_exit_press_releases_for_the_release_time_and_a_second_one_prolongs(bench):
    bench.press_exit()
    bench.run(2.9)
    bench.press_exit()
    bench.run(8.0)
    assert close(bench.relay(), [(0.03, True, "exit"), (8.03, False, "exit")])


def test_a_stuck_exit_button_opens_once_and_is_reported_once(bench):
    bench.set("exit", active=True)
    bench.run(120.0)
    assert close(bench.relay(), [(0.03, True, "exit"), (5.03, False, "exit")])
    faults = [report.detail for _, report in bench.told if isinstance(report, FaultReport)]
    assert len(faults) == 1
    assert "stuck" in faults[0]
    bench.set("exit", active=False)
    bench.press_exit()
    assert bench.state.energised


def chatter(bench: Bench, for_s: float, every_s: float = 0.4) -> None:
    """A bad contact or wire: presses that nobody makes."""
    for _ in range(round(for_s / every_s)):
        bench.press_exit()
        bench.run(every_s - 0.1)


def faults(bench: Bench) -> list[str]:
    return [report.detail for _, report in bench.told if isinstance(report, FaultReport)]


def test_an_exit_button_that_chatters_is_told_once_each_time_it_holds_the_door_open():
    bench = Bench(MAGNET)
    for _ in range(2):
        chatter(bench, 2 * EXIT_UNBROKEN_S)
        bench.run(10.0)
    assert len(faults(bench)) == 2
    assert "60 s without a break" in faults(bench)[0]
    assert [up for _, up, _ in bench.relay()] == [True, False] * 2


def test_people_who_leave_one_after_the_other_are_no_fault(bench):
    for _ in range(40):
        bench.press_exit()
        bench.run(6.0)
    assert not any("without a break" in fault for fault in faults(bench))


def test_a_strike_whose_exit_button_chatters_gets_pulses_and_the_chatter_is_told():
    bench = Bench(STRIKE)
    chatter(bench, 600.0)
    assert on_time_s(bench.relay(), bench.now_s - 100) < EXIT_HOT_S + 600 * 10 / (10 + FIRE_REST_S) + 10
    runs = list(itertools.pairwise(bench.relay()))
    assert all(fall[0] - rise[0] < 10.1 for rise, fall in runs[2:] if rise[1])
    assert {why for at_s, up, why in bench.relay() if not up and at_s > EXIT_HOT_S} == {"bound"}
    assert len(faults(bench)) == 2  # unbroken; pulses


def test_a_press_while_a_hot_strike_rests_is_kept_and_let_out_after_it_for_the_whole_time():
    """Nobody is locked in: five seconds at most, then the release time that everybody gets."""
    bench = Bench(STRIKE)
    chatter(bench, 90.0)
    while bench.state.energised:
        bench.run(0.05)
    bench.run(1.0)
    asked_s = bench.now_s - 100
    bench.press_exit()
    bench.give(SecureOrdered())
    bench.told.clear()
    bench.run(FIRE_REST_S + 6.0)
    (rise_s, _, why), (fall_s, _, _) = bench.relay()
    assert why == "exit"
    assert rise_s - asked_s <= FIRE_REST_S
    assert fall_s - rise_s == pytest.approx(EXIT_AT_LEAST_S, abs=0.05)  # secure came; without it the whole time
    bench.run(300.0, 0.1)
    bench.press_exit()
    assert bench.state.energised  # cool again: at once


def test_a_press_a_moment_before_a_hot_strike_rests_has_its_time_after_the_rest():
    bench = Bench(STRIKE)
    chatter(bench, 90.0)
    while not (bench.state.energised and 9.5 < bench.now_s - bench.state.since_s < 9.8):
        bench.press_exit()
    bench.told.clear()
    bench.run(FIRE_REST_S + 8.0)
    assert [up for _, up, _ in bench.relay()] == [False, True, False]
    assert on_time_s(bench.relay()[1:], bench.now_s - 100) > 4.5


def test_an_exit_button_found_pressed_at_the_start_opens_nothing():
    stuck = Bench(MAGNET, levels={"exit": True, "fire": False, "contact": False})
    stuck.run(10.0)
    assert stuck.relay() == []


def test_secure_cannot_take_the_first_second_of_an_exit(bench):
    bench.set("exit", active=True)
    for _ in range(30):
        bench.give(SecureOrdered())
        bench.run(0.1)
    assert close(bench.relay(), [(0.03, True, "exit"), (0.03 + EXIT_AT_LEAST_S, False, "exit")])
