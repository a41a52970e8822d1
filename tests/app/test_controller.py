"""The loop: intent before relay, deadlines before events, a silent store is an alarm and not a locked door."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.controller import INTENT_WAIT_S, Controller, Intent
from agent.core.door import DoorSettings, DoorState, LockType, mode
from agent.core.events import (
    AccessAllowed,
    Credential,
    GuardChanged,
    Indication,
    Input,
    Kind,
    LineChanged,
    Mode,
    ModeOrdered,
    Order,
    Record,
    RelayReported,
)
from agent.core.stream import Committed
from agent.mailbox import CallbackFailed, Mailbox
from hardware.indicate import PATTERNS


@dataclass
class World:
    """Everything around the controller, on one virtual clock; `log` is what it did, in order."""

    store_answers: bool = True
    now_s: float = 100.0
    log: list[Any] = field(default_factory=list)
    shown: list[Indication] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    mailbox: Mailbox = field(default_factory=Mailbox)

    def __post_init__(self) -> None:
        settings = DoorSettings(lock_type=LockType.FAIL_SECURE)
        self.controller = Controller(settings, self.mailbox, self, self, lambda: self.now_s, self.facts)
        self.controller.join(self)
        self.tell(LineChanged(Input.CONTACT, active=False, at_s=self.now_s))
        self.tell(GuardChanged(up=True))
        self.log.clear()

    # the journal
    def append(self, record: Record, *, token: str | None = None) -> None:
        self.log.append(record.kind)
        self.facts.update(record.facts or {})
        if token is not None and self.store_answers:
            self.mailbox.post(Committed(token, "e", 1))

    # the guard
    def release(self, until_s: float, *, hold: bool, echo: bool, request_id: str) -> None:
        self.log.append(("release", round(until_s - self.now_s, 3)))

    def secure(self) -> None:
        self.log.append("secure")

    def indicate(self, indication: str) -> None:
        pass

    def beat(self) -> None:
        pass

    # the others
    def news(self, event: object, now_s: float) -> None:
        self.log.append(event)

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> Mapping[str, Any]:
        self.log.append((request_id, stage) if reason is None else (request_id, stage, reason))
        return {"result": stage} if stage in ("done", "refused") else {}

    def wrote(self, record: Record) -> None:
        pass

    def changed(self, state: DoorState) -> None:
        self.shown.append(self.controller.shown)

    def tend(self, now_s: float) -> None:
        pass

    def tell(self, *events: object) -> None:
        """Post, then let time stand still until all is handled."""
        for event in events:
            self.mailbox.post(event)
        while (event := self.mailbox.take(0)) is not None:
            self.controller._handle(event, self.now_s)

    def turn_until(self, end_s: float) -> None:
        """Turn the loop with time running in steps of 50 ms and an empty mailbox never waited for."""
        while self.now_s < end_s:
            self.now_s = round(self.now_s + 0.05, 3)
            self.controller._settle(self.now_s)
            self.tell()


GRANT = Intent("r1", AccessAllowed("r1", Credential.FACE, "p-anna"))


def test_the_intent_row_is_committed_before_the_relay_is_asked_for():
    world = World()
    world.controller.admit(GRANT)
    assert world.log == [Kind.ACCESS_GRANTED]
    world.tell()
    assert world.log[:3] == [Kind.ACCESS_GRANTED, ("r1", "accepted"), ("release", 5.0)]


def test_a_store_that_does_not_answer_is_an_alarm_and_the_door_still_opens():
    world = World(store_answers=False)
    world.controller.admit(GRANT)
    world.turn_until(100.0 + INTENT_WAIT_S - 0.05)
    assert world.log == [Kind.ACCESS_GRANTED]
    world.turn_until(100.0 + INTENT_WAIT_S)
    assert world.log[1:4] == [Kind.STORE, ("r1", "accepted"), ("release", 5.0)]


def test_a_commit_that_comes_late_does_not_open_a_second_time():
    world = World(store_answers=False)
    world.controller.admit(GRANT)
    world.turn_until(101.0)
    before = list(world.log)
    late = Committed("r1", "e", 1)
    world.tell(late)
    assert world.log == [*before, late]  # the others hear of it, the door does nothing


def test_deadlines_are_settled_before_a_backlog():
    world = World()
    world.controller.admit(GRANT)
    world.tell(RelayReported(energised=True, why="order", at_s=100.0))
    for n in range(5000):
        world.mailbox.post(("junk", n))
    world.log.clear()
    world.now_s = 105.0
    world.controller.turn()
    assert world.log[0] == "secure"


def test_lines_of_the_door_overtake_everything_else():
    world = World()
    for n in range(5000):
        world.mailbox.post(("junk", n))
    world.mailbox.post(LineChanged(Input.FIRE, active=True, at_s=100.0))
    world.controller.turn()
    assert mode(world.controller.state) is Mode.LOCKED_OPEN
    assert ("release", float("inf")) in world.log


def test_a_flood_is_bounded_and_never_costs_a_line():
    world = World()
    for n in range(20_000):
        world.mailbox.post(("junk", n))
    assert world.mailbox.dropped == 10_000
    world.mailbox.post(LineChanged(Input.EXIT, active=True, at_s=100.0))
    world.controller.turn()
    assert [entry for entry in world.log if entry[0] == "release"]


def test_stages_of_a_request_follow_what_the_guard_and_the_contact_say():
    world = World()
    world.controller.admit(GRANT)
    world.tell()
    world.tell(RelayReported(energised=True, why="order", at_s=100.1))
    world.tell(LineChanged(Input.CONTACT, active=True, at_s=101.0))
    stages = [entry[1] for entry in world.log if isinstance(entry, tuple) and entry[0] == "r1"]
    assert stages == ["accepted", "energised", "taken"]


def test_nothing_is_granted_while_the_guard_is_gone_and_that_is_not_kept_for_later():
    world = World()
    world.tell(GuardChanged(up=False))
    world.log.clear()
    world.controller.admit(GRANT)
    assert ("r1", "refused", "Fault") in world.log
    world.tell(GuardChanged(up=True))
    assert not [entry for entry in world.log if isinstance(entry, tuple) and entry[0] == "release"]


def test_a_standing_order_is_written_before_it_is_followed():
    world = World()
    world.controller.admit(Intent("c1", ModeOrdered(Order.LOCK_DOWN, "li"), {"command_id": "c1"}))
    assert mode(world.controller.state) is Mode.LOCKED
    world.tell()
    assert mode(world.controller.state) is Mode.LOCKED_DOWN
    assert world.log[0] is Kind.COMMAND


def test_a_callback_that_failed_is_a_row():
    world = World()
    world.tell(CallbackFailed("on_message", "ValueError: x"))
    assert world.log == [Kind.CALLBACK_FAILED]


def test_a_result_written_meanwhile_does_not_forget_a_request_that_waits_for_its_commit():
    world = World()
    world.controller.admit(GRANT)
    world.tell(RelayReported(energised=True, why="order", at_s=100.1))
    world.store_answers = False
    world.controller.admit(Intent("r2", AccessAllowed("r2", Credential.FACE, "p-bai")))
    world.tell(LineChanged(Input.CONTACT, active=True, at_s=101.0))
    assert world.facts["pending"] == ["r2"]


@pytest.mark.parametrize("opened", [True, False])
def test_an_opening_that_a_restart_swallowed_is_closed_as_unverified(*, opened: bool):
    first = World()
    first.controller.admit(GRANT)
    first.tell(RelayReported(energised=True, why="order", at_s=100.1))
    if opened:
        first.tell(LineChanged(Input.CONTACT, active=True, at_s=101.0))
    again = World(facts=dict(first.facts))
    again.log.clear()
    fresh = Controller(
        DoorSettings(lock_type=LockType.FAIL_SECURE), Mailbox(), again, again, lambda: 5.0, dict(first.facts)
    )
    fresh.join(again)
    unverified = [entry for entry in again.log if entry is Kind.ACCESS_UNVERIFIED]
    assert len(unverified) == (0 if opened else 1)


def test_a_hint_is_on_the_page_for_as_long_as_the_lamps_show_it():
    """Whoever looks at the console or the manager's page sees what the person at the door sees."""
    world = World()
    world.shown.clear()
    world.controller.hint(Indication.SHOW_AGAIN)
    assert world.shown[-1] is Indication.SHOW_AGAIN
    world.now_s += 2.1
    world.controller.turn()
    assert world.shown[-1] is Indication.IDLE


def test_who_looks_for_a_door_sees_it_blink_to_the_end():
    """Four seconds are promised and drawn; the idle lamps came after two."""
    world = World()
    world.controller.hint(Indication.IDENTIFY)
    pattern_s = sum(for_s for _, for_s in PATTERNS["identify"].steps)
    world.now_s += pattern_s - 0.1
    world.controller.turn()
    assert world.shown[-1] is Indication.IDENTIFY
    world.now_s += 0.2
    world.controller.turn()
    assert world.shown[-1] is Indication.IDLE


def test_a_hint_does_not_silence_an_alarm_nor_the_warning_before_it():
    """Whoever stands before the camera of a forced door must not end its noise."""
    world = World()
    world.tell(LineChanged(Input.CONTACT, active=True, at_s=world.now_s))
    assert world.controller.shown is Indication.ALARM
    world.controller.hint(Indication.COME_CLOSER)
    assert world.controller.shown is Indication.ALARM


def test_what_the_door_says_ends_a_hint_and_is_not_said_again_when_its_time_is_over():
    world = World()
    world.controller.hint(Indication.COME_CLOSER)
    world.tell(LineChanged(Input.CONTACT, active=True, at_s=world.now_s))
    assert world.controller.shown is Indication.ALARM
    world.shown.clear()
    world.turn_until(world.now_s + 4.0)
    assert world.shown == []


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (ModeOrdered(Order.LOCK_DOWN, "li", request_id="o1"), ("o1", "done")),
        (ModeOrdered(Order.RELEASE_LOCK_DOWN, "li", request_id="o1"), ("o1", "done", "nothing-to-do")),
        (
            ModeOrdered(Order.HOLD_OPEN, "li", 60.0, "o1"),
            ("o1", "refused", "an intermittent-duty lock burns when it is held released"),
        ),
    ],
)
def test_a_standing_order_is_answered_with_what_came_of_it_and_the_result_is_stored_with_its_row(order, told):
    """A refused hold-open used to be told as accepted, and nothing after it."""
    world = World()
    world.controller.admit(Intent("o1", order))
    assert world.log == [Kind.COMMAND]
    world.tell()
    stages = [entry for entry in world.log if isinstance(entry, tuple)]
    assert stages == [("o1", "accepted"), told]
    assert world.facts["result"] == told[1]
