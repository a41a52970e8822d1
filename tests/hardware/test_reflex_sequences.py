"""The guard's reflexes in any order: all short sequences, and random lives judged by a second, independent account."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from reflex_bench import DEBOUNCE_S, MAGNET, STRIKE, Bench

from hardware.reflex import (
    EXIT_AT_LEAST_S,
    EXIT_HOT_S,
    FIRE_REST_S,
    HEAT_LIMIT_S,
    MAX_LEASE_S,
    AgentGone,
    InputReport,
    Ordered,
    ReflexSettings,
    SecureOrdered,
)

pytestmark = pytest.mark.slow

MOVES = ("fire", "exit", "a", "b", "hold", "secure", "gone", "short", "long")


def _move(bench: Bench, move: str) -> None:
    match move:
        case "fire" | "exit":
            bench.set(move, active=not bench.levels[move])
        case "a" | "b":
            bench.give(Ordered(move, 1.0))
        case "hold":
            bench.give(Ordered("h", 1.0, hold=True))
        case "secure":
            bench.give(SecureOrdered())
        case "gone":
            bench.give(AgentGone())
        case "short":
            bench.run(0.5, 0.1)
        case _:
            bench.run(3.0, 0.5)


@pytest.mark.parametrize("limits", [STRIKE, MAGNET], ids=["intermittent", "continuous"])
def test_every_sequence_of_four_moves_ends_secured_unless_it_burns_and_open_if_it_does(limits: ReflexSettings):
    """9^4 sequences for either kind of lock: no state is a trap."""
    for moves in itertools.product(MOVES, repeat=4):
        one = Bench(limits)
        for move in moves:
            _move(one, move)
            assert one.state.energised or not (one.levels["fire"] and one.settings.continuous_duty), moves
        if one.levels["fire"]:
            assert one.state.why == "fire", moves
            _move(one, "fire")
        one.run(5.5, 0.5)
        assert not one.state.energised, moves
        if not one.levels["exit"]:
            _move(one, "exit")
            assert one.state.energised, moves


class Machine(RuleBasedStateMachine):
    """Anything in any order at any time, judged by an account that shares no code with the reflexes."""

    limits = MAGNET

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(self.limits)
        self.order_until_s = 0.0  # the furthest an honest lease may reach
        self.hold = False
        self.exit_from_s = self.exit_cut_s = -1000.0
        self.fire_since_s: float | None = None
        self.ordered_run_s: float | None = None  # since when nothing but orders keeps the relay up
        self.last_s = self.bench.now_s
        self.budget_s = HEAT_LIMIT_S
        self.rest_until_s = -1000.0
        self.was_exit = self.was_on = False

    def _after(self) -> None:
        bench = self.bench
        passed_s, self.last_s = bench.now_s - self.last_s, bench.now_s
        self.budget_s = min(HEAT_LIMIT_S, self.budget_s + (-passed_s if self.was_on else passed_s))
        for _, report in bench.told:
            match report:
                case InputReport("exit", active=True):
                    self.exit_from_s = max(bench.now_s, self.rest_until_s)
                    self.exit_cut_s = self.exit_from_s + 5.0
                case InputReport("fire", active=active):
                    self.fire_since_s = bench.now_s if active else None
                case _:
                    pass
        bench.told.clear()
        if self.was_exit and not bench.state.energised and self._hot():
            self.rest_until_s = bench.now_s + FIRE_REST_S
            if bench.now_s < self.exit_cut_s:  # what is left of a press comes after the rest
                self.exit_from_s, self.exit_cut_s = self.exit_from_s + FIRE_REST_S, self.exit_cut_s + FIRE_REST_S
        if not bench.state.energised or self._must() or self.hold:
            self.ordered_run_s = None
        elif self.ordered_run_s is None:
            self.ordered_run_s = bench.now_s
        self.was_on = bench.state.energised
        self.was_exit = self.was_on and bench.now_s < self.exit_cut_s and self.fire_since_s is None

    def _hot(self) -> bool:
        return not self.limits.continuous_duty and self.budget_s <= HEAT_LIMIT_S - EXIT_HOT_S + 1e-6

    def _must(self) -> bool:
        burning = self.fire_since_s is not None
        if burning and not self.limits.continuous_duty:
            assert self.fire_since_s is not None
            burning = (self.bench.now_s - self.fire_since_s) % (10.0 + FIRE_REST_S) < 10.0
        return burning or self.rest_until_s <= self.bench.now_s < self.exit_cut_s

    @rule(turns=st.integers(1, 60), turn_s=st.sampled_from([0.01, 0.05, 0.3]))
    def wait(self, turns: int, turn_s: float) -> None:
        for _ in range(turns):
            self.bench.run(turn_s, turn_s)
            self._after()
            self.judge()

    @rule(line=st.sampled_from(sorted(DEBOUNCE_S)), active=st.booleans())
    def level(self, *, line: str, active: bool) -> None:
        self.bench.levels[line] = active

    @rule(id_=st.sampled_from("abcd"), lease_s=st.floats(0.0, 5.0), hold=st.booleans(), left_s=st.floats(-1.0, 20.0))
    def order(self, *, id_: str, lease_s: float, hold: bool, left_s: float) -> None:
        now_s = self.bench.now_s
        self.bench.give(Ordered(id_, lease_s, hold, now_s + left_s))
        self.order_until_s = max(self.order_until_s, now_s + min(lease_s, MAX_LEASE_S, left_s))
        self.hold = hold and self.limits.continuous_duty
        self._after()

    @rule(times=st.integers(1, 12), every_turns=st.integers(0, 4))
    def chatter(self, times: int, every_turns: int) -> None:
        """People going out one after the other, or a bad contact."""
        for _ in range(times):
            self.bench.levels["exit"] = True
            self.wait(2, 0.05)
            self.bench.levels["exit"] = False
            self.wait(1 + 4 * every_turns, 0.3)

    @rule()
    def secure(self) -> None:
        self.bench.give(SecureOrdered())
        self.order_until_s = 0.0
        self.exit_cut_s = min(self.exit_cut_s, self.exit_from_s + EXIT_AT_LEAST_S)
        self._after()

    @rule()
    def gone(self) -> None:
        self.bench.give(AgentGone())
        self.order_until_s = 0.0
        self._after()

    @precondition(lambda self: self.bench.state.energised)
    @rule()
    def feed_on(self) -> None:
        lease = self.bench.state.lease
        if lease is not None:
            self.order(id_=lease.id, lease_s=1.0, hold=lease.hold, left_s=20.0)

    @invariant()
    def judge(self) -> None:
        now_s, energised = self.bench.now_s, self.bench.state.energised
        if self._must():
            assert energised, "a person or a fire is not let out"
        elif energised:
            assert self.fire_since_s is None, "a strike rests between the pulses of a fire"
            assert now_s < self.order_until_s, "energised without a cause"
            assert self.ordered_run_s is None or now_s - self.ordered_run_s <= self.limits.cap_s + 0.3, "past the bound"
            if not self.limits.continuous_duty:
                assert self.budget_s > -0.301, "the strike burns"


class StrikeMachine(Machine):
    limits = STRIKE


TestMagnet = Machine.TestCase
TestMagnet.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestStrike = StrikeMachine.TestCase
TestStrike.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
