"""A door's random life against the promises: hypothesis drives the core with a guard that obeys, lags or misbehaves."""

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.core import door
from agent.core.door import DoorSettings, LockDuty, LockType
from agent.core.door_records import WATCHES
from agent.core.events import (
    AccessAllowed,
    AccessRefused,
    Credential,
    DoorEvent,
    GuardChanged,
    Input,
    Kind,
    LineChanged,
    ModeOrdered,
    Order,
    Record,
    RelayReported,
    Release,
    Secure,
    Tick,
)

pytestmark = pytest.mark.slow

LIVES = int(
    os.environ.get("DOOR_LIVES", "100")
)  # more for a campaign: DOOR_LIVES=5000 pytest tests/core/test_door_life.py
RESULTS = {Kind.ACCESS_TAKEN, Kind.ACCESS_NOT_TAKEN, Kind.ACCESS_UNVERIFIED}


class Life(RuleBasedStateMachine):
    """The controller's part is played here: intent rows, facts kept, deadlines looked at before each event."""

    @initialize(
        lock_type=st.sampled_from(LockType),
        duty=st.sampled_from(LockDuty),
        has_contact=st.booleans(),
        relock=st.booleans(),
        obedient=st.booleans(),
    )
    def begin(self, *, lock_type: LockType, duty: LockDuty, has_contact: bool, relock: bool, obedient: bool) -> None:
        self.settings = DoorSettings(
            lock_type=lock_type, lock_duty=duty, has_contact=has_contact, relock_on_close=relock
        )
        self.obedient = obedient
        self.now_s = 1000.0
        self.kept: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.requests = 0
        self.start()

    def start(self) -> None:
        self.state = door.initial(self.settings, self.kept, self.now_s)
        self.order: Release | None = None  # what the guard was last told
        self.only_grants_since_s = self.now_s
        self.told = {w.kind: w.body(self.state, self.settings)["state"] for w in WATCHES}
        self.keep(door.unfinished(self.state, self.kept))

    def happen(self, event: DoorEvent) -> None:
        """One step with everything that holds for every step."""
        before = self.state
        if self.order is None or self.now_s >= self.order.until_s:  # held or not: the guard ended it by itself
            self.only_grants_since_s = self.now_s
        self.state, effects = door.step(before, event, self.now_s, self.settings)
        self.keep(effects)
        orders = [effect for effect in effects if isinstance(effect, Release | Secure)]
        assert len(orders) <= 1
        for order in orders:
            self.order = order if isinstance(order, Release) else None
            assert isinstance(order, Release) or not door.should_release(self.state) or not self.guard_up
        if event == LineChanged(Input.FIRE, active=True, at_s=self.now_s):
            assert door.should_release(self.state)
        if event == LineChanged(Input.EXIT, active=True, at_s=self.now_s) and self.guard_up and not before.exit:
            assert door.should_release(self.state)
        if not door.should_release(self.state) or self.standing:
            self.only_grants_since_s = self.now_s
        if self.obedient and orders and self.guard_up:
            self.obey()

    def obey(self) -> None:
        if (self.order is not None) != self.state.relay_energised:
            why = "order" if self.order else "secure"
            self.happen(RelayReported(self.order is not None, why, self.now_s))

    def keep(self, effects: tuple[Any, ...]) -> None:
        for effect in effects:
            if not isinstance(effect, Record):
                continue
            self.kept.update(effect.facts or {})
            if effect.kind in RESULTS:
                self.ended[str(effect.body["request_id"])] += 1
            if effect.kind in self.told:
                said = effect.body["state"]
                assert said != self.told[effect.kind] or effect.kind is Kind.DOOR_FAULT
                self.told[effect.kind] = said

    @property
    def guard_up(self) -> bool:
        return self.state.guard_missing_from_s is None

    @property
    def standing(self) -> bool:
        s = self.state
        return s.fire or self.now_s < max(s.exit_until_s, s.hold_open_until_s or 0, s.unlocked_until_s or 0)

    # ------------------------------------------------------------ what happens

    @rule(for_s=st.sampled_from([0.01, 0.3, 0.5, 1.0, 4.0, 9.0, 31.0]))
    def time_passes(self, for_s: float) -> None:
        """A tick before a deadline does nothing; each deadline comes later than the one before."""
        self.happen(Tick())
        end_s = self.now_s + for_s
        while (due_s := door.next_deadline_s(self.state, self.settings)) is not None and due_s <= end_s:
            assert due_s > self.now_s
            self.now_s = (self.now_s + due_s) / 2
            assert door.step(self.state, Tick(), self.now_s, self.settings)[1] == ()
            self.now_s = due_s
            self.happen(Tick())
        self.now_s = end_s
        assert door.step(self.state, Tick(), self.now_s, self.settings)[1] == ()
        self.happen(Tick())

    @rule(for_s=st.sampled_from([0.2, 3.0, 12.0, 40.0]))
    def nobody_looks_at_the_clock(self, for_s: float) -> None:
        """The loop was busy: the next event comes after deadlines that nobody settled."""
        self.now_s += for_s

    @rule(credential=st.sampled_from(Credential), extended=st.booleans(), duress=st.booleans(), again=st.integers(0, 4))
    def let_in(self, *, credential: Credential, extended: bool, duress: bool, again: int) -> None:
        if again == 0:
            self.happen(Tick())  # a request that ends in this very moment is not being acted on any more
        repeated = again == 0 and self.state.grants
        if not repeated:
            self.requests += 1
        request_id = self.state.grants[0].request_id if repeated else f"r{self.requests}"
        event = AccessAllowed(request_id, credential, "p1", extended=extended, duress=duress)
        if not repeated:
            self.asked[request_id] += 1
            self.keep((door.intent(self.state, event),))
            if self.requests % 7 == 0:
                self.restart()  # the power goes between intent and relay
                return
        self.happen(event)

    @rule(counts=st.booleans(), told=st.booleans(), times=st.integers(1, 5))
    def refuse(self, *, counts: bool, told: bool, times: int) -> None:
        for _ in range(times):
            refused = AccessRefused(Credential.FACE, "CredentialNotFound", counts_for_lockout=counts, told=told)
            self.happen(refused)

    @rule(order=st.sampled_from(Order), for_s=st.sampled_from([None, 5.0, 60.0, 0.0, float("inf")]))
    def order_mode(self, order: Order, for_s: float | None) -> None:
        self.happen(ModeOrdered(order, "manager", for_s))

    @rule(line=st.sampled_from(Input), active=st.booleans(), late_s=st.sampled_from([0.0, 0.05, 2.0]))
    def line(self, *, line: Input, active: bool, late_s: float) -> None:
        self.happen(LineChanged(line, active, self.now_s - late_s))

    @rule(energised=st.booleans(), why=st.sampled_from(["order", "exit", "fire", "bound", "feed-lost", "secure"]))
    def relay_says(self, *, energised: bool, why: str) -> None:
        self.happen(RelayReported(energised, why, self.now_s))

    @rule(up=st.booleans())
    def guard(self, *, up: bool) -> None:
        self.happen(GuardChanged(up))

    @rule()
    def restart(self) -> None:
        """Power cut: locked down, blocked and locked out as before, and nothing released."""
        before = self.state
        if self.now_s % 2 < 1:
            self.now_s = 5.0  # CLOCK_BOOTTIME began anew
        self.start()
        assert self.state.locked_down == before.locked_down
        assert self.state.blocked == before.blocked
        assert max(0, self.state.lockout_until_s - self.now_s) >= before.lockout_until_s - before.at_s - 0.001
        assert not door.should_release(self.state)
        assert self.ended == self.asked

    # ------------------------------------------------------------ what always holds

    @invariant()
    def grants_alone_never_pass_the_cap(self) -> None:
        if self.order is not None and not self.order.hold and not self.standing:
            assert self.order.until_s <= self.only_grants_since_s + self.settings.cap_s + 1e-9

    @invariant()
    def the_guard_was_told_what_is_wanted(self) -> None:
        wanted = door.wanted(self.state) if self.guard_up else None
        assert self.order == wanted

    @invariant()
    def locked_down_means_secured(self) -> None:
        s = self.state
        if (s.locked_down or s.blocked) and not s.fire and s.at_s >= s.exit_until_s:
            assert not door.should_release(s)
            assert not s.grants
            assert (s.hold_open_until_s, s.unlocked_until_s) == (None, None)

    @invariant()
    def an_unused_grant_holds_the_release(self) -> None:
        for grant in self.state.grants:
            if self.state.at_s < grant.until_s:
                assert self.order is not None
                assert self.order.until_s >= grant.until_s

    @invariant()
    def every_change_was_written_and_nothing_else(self) -> None:
        for watch in WATCHES:
            assert self.told[watch.kind] == watch.body(self.state, self.settings)["state"]

    @invariant()
    def every_request_ends_exactly_once(self) -> None:
        waiting = {grant.request_id for grant in self.state.grants if not grant.opened}
        assert all(count == 1 for count in self.ended.values())
        assert set(self.asked) == set(self.ended) | waiting
        assert set(self.ended).isdisjoint(waiting)
        assert waiting <= set(self.kept.get("pending", []))

    @invariant()
    def forced_and_held_exclude_each_other_and_fire(self) -> None:
        assert not (door.forced(self.state) and door.held(self.state))
        assert door.alarm(self.state) == "Normal" or not self.state.fire


class TestLife(Life.TestCase):
    settings = settings(
        max_examples=LIVES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
