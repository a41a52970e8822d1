"""What the guard's reflexes do in each case that a door knows."""

from __future__ import annotations

import itertools

import pytest
from reflex_bench import MAGNET, STRIKE, TURN_S, Bench, close, on_time_s

from hardware.reflex import (
    FIRE_REST_S,
    HEAT_LIMIT_S,
    MAX_LEASE_S,
    REST_S,
    AgentGone,
    FaultReport,
    InputReport,
    Ordered,
    SecureOrdered,
    State,
)


def test_a_fed_lease_releases_until_the_agent_says_secure(bench):
    bench.feed("a", 3.0)
    bench.give(SecureOrdered())
    bench.run(5.0)
    assert close(bench.relay(), [(0.0, True, "order"), (3.0, False, "secure")])


def test_an_unfed_lease_drops_the_relay_by_itself(bench):
    bench.give(Ordered("a", 1.5))
    bench.run(5.0)
    assert close(bench.relay(), [(0.0, True, "order"), (1.5, False, "feed-lost")])


def test_an_announced_end_is_kept_to_the_turn_whatever_is_fed(bench):
    for _ in range(8):
        bench.give(Ordered("a", 1.5, until_s=101.2))
        bench.run(0.25)
    assert close(bench.relay(), [(0.0, True, "order"), (1.2, False, "order")])


def test_a_message_read_too_late_releases_nothing(bench):
    bench.run(1.0)
    assert bench.give(Ordered("a", 2.0, until_s=100.9)) == []
    assert not bench.state.energised


def test_an_answer_to_a_reflex_that_is_over_energises_nothing():
    """A busy agent hears of a short fire when it is over and says released before it hears that."""
    bench = Bench(MAGNET)
    bench.set("fire", active=True)
    bench.set("fire", active=False)
    bench.give(Ordered("a", 1.5, hold=True, echo=True))
    bench.run(2.0)
    assert [up for _, up, _ in bench.relay()] == [True, False]


def test_an_answer_in_time_keeps_the_release():
    bench = Bench(MAGNET)
    bench.press_exit()
    bench.run(4.5)
    bench.give(Ordered("a", 1.5, echo=True))
    bench.run(5.0)
    assert close(bench.relay(), [(0.03, True, "exit"), (6.1, False, "feed-lost")])


def test_no_lease_is_longer_than_two_seconds(bench):
    bench.give(Ordered("a", 3600.0))
    bench.run(5.0)
    assert close(bench.relay(), [(0.0, True, "order"), (MAX_LEASE_S, False, "feed-lost")])


def test_the_bound_drops_a_grant_fed_for_ever_and_its_id_is_spent(bench):
    bench.feed("a", 30.0)
    assert close(bench.relay(), [(0.0, True, "order"), (10.0, False, "bound")])


def test_after_the_bound_a_new_id_releases_again_but_only_after_a_rest(bench):
    bench.feed("a", 10.0)
    bench.run(0.02)
    bench.feed("b", 2.5)
    bench.run(3.0)
    again_s = 10.0 + REST_S + 0.25
    assert close(bench.relay()[:2], [(0.0, True, "order"), (10.0, False, "bound")])
    assert 10.0 + REST_S <= bench.relay()[2][0] <= again_s


def test_grants_in_a_row_make_one_release_under_one_bound(bench):
    for number in range(8):
        bench.feed(f"person-{number}", 3.0)
    bench.run(3.0)
    runs = bench.relay()
    assert close(runs[:2], [(0.0, True, "order"), (10.0, False, "bound")])
    for (rise_s, up, _), (fall_s, down, _) in itertools.pairwise(runs):
        assert not (up and not down) or fall_s - rise_s <= 10.0 + TURN_S


def test_a_feed_that_was_on_its_way_when_another_took_its_place_energises_nothing_after_secure(bench):
    """The feeder's thread may send what it read a moment before the controller's thread replaced it and secured."""
    for id_ in ("a", "b", "c"):
        bench.give(Ordered(id_, 1.5))
        bench.run(0.5)
    bench.give(SecureOrdered())
    for id_ in ("a", "b", "c"):
        bench.give(Ordered(id_, 1.5))
        bench.run(0.1)
    assert [up for _, up, _ in bench.relay()] == [True, False]


def test_an_agent_that_stops_takes_its_leases_along_and_leaves_the_exit_alone(bench):
    bench.feed("a", 1.0)
    bench.press_exit()
    bench.give(SecureOrdered(leases_only=True))
    bench.run(8.0)
    assert close(bench.relay(), [(0.0, True, "order"), (6.03, False, "exit")])


def test_a_hold_outlasts_the_bound_only_on_a_lock_made_for_it():
    magnet, strike = Bench(MAGNET), Bench(STRIKE)
    for bench in (magnet, strike):
        bench.feed("open house", 60.0, hold=True)
    assert close(magnet.relay(), [(0.0, True, "order")])
    assert close(strike.relay(), [(0.0, True, "order"), (10.0, False, "bound")])
    magnet.feed("open house", 15.0)  # held no longer: from the last held feed the bound counts
    assert close(magnet.relay()[1:], [(69.75, False, "bound")])


def test_a_lost_agent_drops_its_lease_at_once_and_leaves_the_exit_alone(bench):
    bench.feed("a", 1.0)
    bench.press_exit()
    bench.give(AgentGone())
    bench.run(8.0)
    assert close(bench.relay(), [(0.0, True, "order"), (6.03, False, "exit")])
    bench.give(Ordered("b", 1.0))
    bench.give(AgentGone())
    assert [report[1:] for report in bench.relay()[2:]] == [(True, "order"), (False, "feed-lost")]


def test_a_fire_found_at_the_start_releases():
    burning = Bench(MAGNET, levels={"exit": False, "fire": True, "contact": False})
    burning.run(10.0)
    assert close(burning.relay(), [(0.03, True, "fire")])


def test_fire_releases_within_its_debounce_and_as_long_as_it_lasts():
    bench = Bench(MAGNET)
    bench.set("fire", active=True)
    for _ in range(100):
        bench.give(SecureOrdered())
        bench.give(AgentGone())
        bench.run(1.0, 0.1)
    bench.set("fire", active=False)
    assert close(bench.relay(), [(0.03, True, "fire"), (100.08, False, "fire")])


def test_fire_pulses_a_strike_that_must_not_be_held():
    bench = Bench(STRIKE)
    bench.set("fire", active=True)
    bench.run(32.0)
    period_s = 10.0 + FIRE_REST_S
    rises = [at_s for at_s, up, _ in bench.relay() if up]
    assert rises == pytest.approx([0.03, 0.03 + period_s, 0.03 + 2 * period_s], abs=0.03)
    bench.press_exit()  # in a rest or a pulse, exit always releases
    assert bench.state.energised


def test_an_agent_that_orders_during_a_fire_does_not_take_the_strikes_rests():
    """It wants the lock released as long as the fire lasts; how a strike is released then is the guard's matter."""
    bench = Bench(STRIKE)
    bench.set("fire", active=True)
    bench.feed("a", 44.0, hold=True)
    period_s = 10.0 + FIRE_REST_S
    wanted = [(0.03 + n * period_s + at_s, up, "fire") for n in range(3) for at_s, up in ((0, True), (10, False))]
    assert close(bench.relay(), wanted)


def test_a_line_is_believed_after_its_debounce_time_only(bench):
    for _ in range(20):  # 20 ms spikes
        bench.levels["exit"] = bench.levels["contact"] = True
        bench.run(0.02)
        bench.levels["exit"] = bench.levels["contact"] = False
        bench.run(0.02)
    assert bench.told == []
    bench.set("contact", active=True)
    assert [report for _, report in bench.told] == [InputReport("contact", active=True)]


def test_a_hot_strike_refuses_grants_until_cool_and_never_an_exit():
    bench = Bench(STRIKE)
    for number in range(12):
        bench.feed(f"g{number}", 9.0)
        bench.give(SecureOrdered())
        bench.run(0.1)
    energised_s = on_time_s(bench.relay(), bench.now_s - 100)
    assert energised_s < (bench.now_s - 100) / 2 + HEAT_LIMIT_S
    assert any("cool" in r.detail for _, r in bench.told if isinstance(r, FaultReport))
    bench.press_exit()
    assert bench.state.energised
    cooled = Bench(STRIKE, state=bench.state, now_s=bench.now_s)
    cooled.run(60.0)
    cooled.give(Ordered("later", 1.0))
    assert cooled.state.why == "order"


def test_a_release_that_heats_the_strike_too_far_is_ended_and_the_next_one_refused_with_the_waiting_time():
    bench = Bench(STRIKE, state=State(heat_s=25.0, at_s=100.0))
    bench.feed("a", 8.0)
    assert close(bench.relay(), [(0.0, True, "order"), (5.0, False, "bound")])
    bench.feed("b", 1.0)  # two seconds of rest have gone by, 27 of heat are left
    assert len(bench.relay()) == 2
    faults = [report.detail for _, report in bench.told if isinstance(report, FaultReport)]
    assert [fault.split(":")[0] for fault in faults] == ["release ended", "release refused"]
    assert "cool for 2 s" in faults[1]
    bench.run(3.0)
    bench.give(Ordered("c", 1.0))
    assert bench.state.energised


def test_a_spike_on_the_fire_line_in_the_first_moment_opens_nothing():
    bench = Bench(MAGNET, levels={"exit": False, "fire": True, "contact": False})
    bench.levels["fire"] = False
    bench.run(5.0)
    assert bench.relay() == []
