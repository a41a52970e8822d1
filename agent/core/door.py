"""The door: step(state, event, now_s, settings) -> (state, effects). Total: every event in every state has an answer.

The relay is told first, then the rows are given, then what is shown. Deadlines that passed are settled before the event
is looked at. An event that the state has no place for changes nothing and says so in a row of its own.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite
from typing import assert_never

from agent.core import door_lines as lines
from agent.core import door_people as people
from agent.core import door_records as rows
from agent.core.door_people import Told, end_grants, pass_time
from agent.core.door_records import intent, unfinished
from agent.core.door_state import DoorSettings, DoorState, Grant, LockDuty, LockType, facts, initial
from agent.core.door_table import (
    PRIORITY,
    alarm,
    door_physical,
    faults,
    forced,
    grant_refusal,
    held,
    indication,
    lock_physical,
    lock_released,
    locked_out,
    mode,
    muted,
    relay_due_s,
    should_release,
    wanted,
)
from agent.core.events import (
    AccessAllowed,
    AccessRefused,
    DoorEvent,
    Effect,
    GuardChanged,
    LineChanged,
    ModeOrdered,
    Order,
    RelayReported,
    Tick,
)

__all__ = [
    "PRIORITY",
    "DoorSettings",
    "DoorState",
    "Grant",
    "LockDuty",
    "LockType",
    "alarm",
    "door_physical",
    "facts",
    "faults",
    "forced",
    "grant_refusal",
    "held",
    "indication",
    "initial",
    "intent",
    "lock_physical",
    "locked_out",
    "mode",
    "next_deadline_s",
    "should_release",
    "step",
    "unfinished",
    "wanted",
]

Effects = tuple[Effect, ...]


def step(state: DoorState, event: DoorEvent, now_s: float, settings: DoorSettings) -> tuple[DoorState, Effects]:
    """The next state and what to do about it, in order. `now_s` going backwards counts as standing still."""
    timed, lapsed = pass_time(replace(state, at_s=max(state.at_s, now_s)), settings)
    timed = _settle(state, timed, settings)
    after, said = _apply(timed, event, settings)
    after = _settle(timed, after, settings)
    effects: Effects = (
        *rows.orders(state, after),
        *rows.changes(state, timed, settings),
        *lapsed,
        *said,
        *rows.changes(timed, after, settings),
        *rows.shown(state, after, settings),
    )
    return after, rows.with_facts(state, after, effects)


def next_deadline_s(state: DoorState, settings: DoorSettings) -> float | None:
    """When `step` has to be called again with Tick if nothing else happens; always later than the state's time."""
    ends = [row.until_s(state) or inf for row in PRIORITY]
    ends += [g.until_s for g in state.grants]
    ends += [g.until_s + settings.contact_grace_s for g in state.grants if not g.opened]
    ends += [state.lockout_until_s, state.refused_shown_until_s, relay_due_s(state, settings)]
    if state.guard_missing_from_s is not None:
        ends.append(state.guard_missing_from_s)
    if state.exit:
        ends.append(state.exit_since_s + settings.exit_stuck_s)
    if state.contact_open and not muted(state):
        ends += [state.open_until_s - settings.pre_alarm_time_s, state.open_until_s]
    return min((end for end in ends if state.at_s < end < inf), default=None)


def _apply(state: DoorState, event: DoorEvent, settings: DoorSettings) -> Told:  # noqa: PLR0911  one return for each event
    match event:
        case Tick():
            return state, ()
        case LineChanged():
            return lines.line(state, event, settings)
        case RelayReported():
            return lines.relay(state, event, settings)
        case GuardChanged():
            return lines.guard(state, event)
        case AccessAllowed():
            return people.allowed(state, event, settings)
        case AccessRefused():
            return people.refused(state, event, settings)
        case ModeOrdered():
            return _ordered(state, event, settings)
        case _:
            assert_never(event)


def _settle(before: DoorState, after: DoorState, settings: DoorSettings) -> DoorState:
    """What follows from any change.

    Since when a release is (not) wanted, whether the relay follows, for which grants the lock was released, and a fresh
    open time for a leaf that is still open after muted hours.
    """
    if should_release(before) != should_release(after):
        after = replace(after, wanted_since_s=after.at_s)
    dead = not after.relay_energised
    if dead != after.relay_dead and (not dead or after.at_s >= relay_due_s(after, settings)):
        after = replace(after, relay_dead=dead)
    if lock_released(after, settings) and not all(g.released for g in after.grants):
        after = replace(after, grants=tuple(replace(g, released=True) for g in after.grants))
    if after.contact_open and muted(before) and not muted(after):
        after = replace(after, opened_lawfully=True, open_until_s=after.at_s + settings.open_time_s)
    return after


# ---------------------------------------------------------------- standing orders


def _ordered(state: DoorState, event: ModeOrdered, settings: DoorSettings) -> Told:
    refusal = _order_refusal(state, event, settings)
    if refusal is not None:
        return state, (rows.ordered(event, "refused", refusal),)
    until_s = inf if event.for_s is None else state.at_s + event.for_s
    after = _with_order(state, event.order, until_s)
    if after == state:
        return state, (rows.ordered(event, "nothing-to-do"),)
    after, ended = _secured_by(after, event.order)
    return after, (rows.ordered(event, "done"), *ended)


def _with_order(state: DoorState, order: Order, until_s: float) -> DoorState:  # noqa: PLR0911  one for each order
    match order:
        case Order.LOCK_DOWN:
            return replace(state, locked_down=True)
        case Order.RELEASE_LOCK_DOWN:
            return replace(state, locked_down=False)
        case Order.BLOCK:
            return replace(state, blocked=True)
        case Order.UNBLOCK:
            return replace(state, blocked=False)
        case Order.HOLD_OPEN:
            return replace(state, hold_open_until_s=until_s)
        case Order.END_HOLD_OPEN:
            return replace(state, hold_open_until_s=None)
        case Order.UNLOCK:
            return replace(state, unlocked_until_s=until_s)
        case Order.LOCK:
            return replace(state, unlocked_until_s=None)
        case _:
            assert_never(order)


def _secured_by(state: DoorState, order: Order) -> Told:
    """Lock-down and block end every order to stay open: taking them back must not open a door by itself."""
    if order not in {Order.LOCK_DOWN, Order.BLOCK}:
        return state, ()
    reason = "LockedDown" if order is Order.LOCK_DOWN else "Blocked"
    return end_grants(replace(state, hold_open_until_s=None, unlocked_until_s=None), reason)


def _order_refusal(state: DoorState, event: ModeOrdered, settings: DoorSettings) -> str | None:
    """Why an order to stay open is not followed; every other order is."""
    if event.order not in {Order.HOLD_OPEN, Order.UNLOCK}:
        return None
    if settings.lock_duty is not LockDuty.CONTINUOUS:
        return "an intermittent-duty lock burns when it is held released"
    if event.for_s is not None and not (isfinite(event.for_s) and event.for_s > 0):
        return "the duration is not a positive number of seconds"
    if state.locked_down or state.blocked:
        return "LockedDown" if state.locked_down else "Blocked"
    return None
