"""The priority order, proven over every combination of facts, and every event in every one of them."""

import itertools
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import pytest

from agent.core import door
from agent.core.door import DoorSettings, DoorState, Grant, LockDuty, LockType
from agent.core.door_records import WATCHES
from agent.core.events import (
    AccessAllowed,
    AccessRefused,
    Credential,
    DoorEvent,
    GuardChanged,
    Indicate,
    Input,
    LineChanged,
    Mode,
    ModeOrdered,
    Order,
    Record,
    RelayReported,
    Release,
    Secure,
    Tick,
)
from agent.core.journal import canonical

NOW_S = 100.0
LATER_S, EARLIER_S = 103.0, 99.0
MAGNET = DoorSettings(lock_type=LockType.FAIL_SAFE, lock_duty=LockDuty.CONTINUOUS)
STRIKE = DoorSettings(lock_type=LockType.FAIL_SECURE)

CAUSES: dict[str, list[dict[str, Any]]] = {
    "fire": [{"fire": False}, {"fire": True}],
    "exit": [{"exit_until_s": -inf}, {"exit_until_s": LATER_S}],
    "lock-down": [{"locked_down": False}, {"locked_down": True}],
    "block": [{"blocked": False}, {"blocked": True}],
    "hold open": [{"hold_open_until_s": None}, {"hold_open_until_s": LATER_S}, {"hold_open_until_s": EARLIER_S}],
    "unlocked hours": [{"unlocked_until_s": None}, {"unlocked_until_s": inf}],
    "grant": [
        {"grants": ()},
        {"grants": (Grant("old", Credential.FACE, "p", LATER_S),), "grants_since_s": EARLIER_S},
        {"grants": (Grant("old", Credential.FACE, "p", LATER_S, opened=True),), "grants_since_s": EARLIER_S},
        {"grants": (Grant("old", Credential.FACE, "p", 99.8),), "grants_since_s": EARLIER_S},  # in its grace
    ],
}
REST: dict[str, list[dict[str, Any]]] = {
    "contact": [
        {},
        {"contact_known": True},
        {"contact_known": True, "contact_open": True, "open_until_s": LATER_S},
        {"contact_known": True, "contact_open": True, "open_until_s": EARLIER_S},
        {"contact_known": True, "contact_open": True, "opened_lawfully": False},
    ],
    "relay": [{}, {"relay_energised": True, "relay_since_s": EARLIER_S, "relay_why": "order"}],
    "guard": [{}, {"guard_missing_from_s": EARLIER_S}],
}
EVENTS: list[DoorEvent] = [
    Tick(),
    *(LineChanged(line, active, NOW_S) for line in Input for active in (True, False)),
    *(RelayReported(energised=True, why=why, at_s=NOW_S) for why in ("order", "exit", "fire")),
    *(RelayReported(energised=False, why=why, at_s=NOW_S) for why in ("secure", "bound", "?")),
    GuardChanged(up=True),
    GuardChanged(up=False),
    AccessAllowed("new", Credential.FACE, "p2"),
    AccessAllowed("new", Credential.REMOTE),
    AccessAllowed("old", Credential.PHONE, "p", extended=True, duress=True),
    AccessRefused(Credential.FACE, "CredentialNotFound"),
    *(ModeOrdered(order, "m", 60.0) for order in Order),
]
STORED: set[str] = set()
MAY_RELEASE = (AccessAllowed, LineChanged, RelayReported, ModeOrdered)
Bodies = list[Mapping[str, Any]]


def states(*groups: dict[str, list[dict[str, Any]]]) -> Iterator[DoorState]:
    choices = [values for group in groups for values in group.values()]
    for facts in itertools.product(*choices):
        given = {"at_s": NOW_S} | {name: value for fact in facts for name, value in fact.items()}
        yield DoorState(**given)


def rule(s: DoorState) -> tuple[Mode, bool]:  # noqa: PLR0911  one line for each rule of the house
    """The house's order in plain words: mode, and whether the lock is to be released."""
    held_open = s.hold_open_until_s is not None and s.hold_open_until_s > s.at_s
    unlocked = s.unlocked_until_s is not None and s.unlocked_until_s > s.at_s
    if s.fire:
        return Mode.LOCKED_OPEN, True
    if s.exit_until_s > s.at_s:
        return Mode.ACCESSED, True
    if s.locked_down:
        return Mode.LOCKED_DOWN, False
    if s.blocked:
        return Mode.BLOCKED, False
    if held_open:
        return Mode.LOCKED_OPEN, True
    if unlocked:
        return Mode.UNLOCKED, True
    if any(g.until_s > s.at_s for g in s.grants):
        return Mode.ACCESSED, True
    return Mode.LOCKED, False


def test_the_table_is_the_house_order_over_every_combination_of_causes():
    seen = set()
    for state in states(CAUSES):
        assert (door.mode(state), door.should_release(state)) == rule(state), state
        seen.add(door.mode(state))
    assert seen == set(Mode)


def test_a_release_lasts_as_long_as_the_longest_cause_above_the_first_that_secures():
    ends = {"fire": inf, "exit": LATER_S, "hold open": LATER_S, "unlocked hours": inf, "grant": LATER_S}
    for state in states(CAUSES):
        release = door.wanted(state)
        if release is None:
            continue
        holding = [row.cause for row in door.PRIORITY if row.until_s(state) is not None]
        securing = [cause for cause in holding if cause in {"lock-down", "block", "none"}]
        above = holding[: holding.index(securing[0])]
        assert release.until_s == max(ends[cause] for cause in above)
        assert release.hold == bool({"fire", "hold open", "unlocked hours"} & set(above))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [MAGNET, STRIKE], ids=["magnet", "strike"])
def test_every_event_in_every_state_has_an_answer_that_keeps_the_order(settings: DoorSettings):
    """(mode causes x contact x relay x guard) x events: total, in order, one row for each changed fact."""
    few = {name: values[:2] for name, values in CAUSES.items()}
    for fresh in states(few, REST):
        state = door.step(fresh, Tick(), NOW_S, settings)[0]  # what time alone brings is settled before the event
        bodies = [watch.body(state, settings) for watch in WATCHES]
        for event in EVENTS:
            after, effects = door.step(state, event, NOW_S, settings)
            assert (door.mode(after), door.should_release(after)) == rule(after)
            check_relay(state, event, after, effects)
            check_rows(bodies, [watch.body(after, settings) for watch in WATCHES], effects)
            due_s = door.next_deadline_s(after, settings)
            assert due_s is None or NOW_S < due_s < inf


def check_relay(state: DoorState, event: DoorEvent, after: DoorState, effects: tuple[object, ...]) -> None:
    """The relay is told what the table wants, once, first of all; nothing but a cause releases."""
    told = [effect for effect in effects if isinstance(effect, Release | Secure)]
    assert list(effects[: len(told)]) == told
    assert len(told) <= 1
    wants = door.wanted(after) if after.guard_missing_from_s is None else None
    had = door.wanted(state) if state.guard_missing_from_s is None else None
    if wants != had or told:
        assert told == ([Secure()] if wants is None else [wants])
    if not door.should_release(state) and door.should_release(after):
        assert isinstance(event, MAY_RELEASE)
        assert not (after.locked_down or after.blocked) or after.fire or after.exit_until_s > NOW_S
    if isinstance(event, AccessAllowed) and (after.locked_down or after.blocked or after.guard_missing_from_s):
        assert len(after.grants) <= len(state.grants)
    if event == LineChanged(Input.FIRE, active=True, at_s=NOW_S):
        assert door.should_release(after)
    if event == LineChanged(Input.EXIT, active=True, at_s=NOW_S) and state.guard_missing_from_s is None:
        assert door.should_release(after)


def check_rows(before: Bodies, after: Bodies, effects: tuple[Any, ...]) -> None:
    """One row for each watched fact that changed, and each can be stored."""
    rows = [effect for effect in effects if isinstance(effect, Record)]
    for watch, old, new in zip(WATCHES, before, after, strict=True):
        found = [row.body["state"] for row in rows if row.kind is watch.kind]
        assert found == ([new["state"]] if new != old else [])
    for row in rows:
        if repr(row) not in STORED:
            STORED.add(repr(row))
            canonical(row.body)  # a journal can store it
            canonical(row.facts or {})
    shown = [effect for effect in effects if isinstance(effect, Indicate)]
    assert len(shown) <= 1
