"""What the lines, the relay and their guard report."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import assert_never

from agent.core import door_records as rows
from agent.core.door_people import Told, end_grants, more_open_time
from agent.core.door_state import DoorSettings, DoorState
from agent.core.door_table import lock_released, should_release
from agent.core.events import GuardChanged, Input, Kind, LineChanged, Record, RelayReported

_REFLEXES = {"exit", "fire"}  # the guard released by itself and says for whom
_BROKEN_OFF = {"bound", "feed-lost", "fault"}  # the guard dropped a release that was still wanted


def line(state: DoorState, event: LineChanged, settings: DoorSettings) -> Told:
    """An input line changed; a line that says what is known already changes nothing."""
    match event.line:
        case Input.CONTACT:
            return _contact(state, event, settings)
        case Input.EXIT:
            return _exit(state, active=event.active, settings=settings)
        case Input.FIRE:
            return replace(state, fire=event.active), ()
        case Input.TAMPER:
            return replace(state, tamper=event.active), ()
        case Input.LOCK_POWER:
            return replace(state, lock_power=event.active), ()
        case Input.DOORBELL:
            rung = event.active and state.guard_missing_from_s is None
            return state, (Record(Kind.DOORBELL, {"state": "Rung"}),) if rung else ()
        case _:
            assert_never(event.line)


def _exit(state: DoorState, *, active: bool, settings: DoorSettings) -> Told:
    """The press counts, not the level: a stuck button opens once and is a fault, like in the guard.

    A level found before the guard is up is no press.
    """
    if active == state.exit:
        return state, ()
    if not active:
        return replace(state, exit=False), ()
    found = replace(state, exit=True, exit_since_s=state.at_s)
    if state.guard_missing_from_s is not None:
        return found, ()
    pressed = replace(found, exit_until_s=state.at_s + settings.exit_release_time_s)
    row = Record(Kind.REQUEST_TO_EXIT, {"credential": "exit-button"})
    return more_open_time(pressed, settings.open_time_s), (row,)


def _contact(state: DoorState, event: LineChanged, settings: DoorSettings) -> Told:
    if not settings.has_contact:
        return state, (rows.unexpected(event, "no contact is configured"),)
    if state.contact_known and event.active == state.contact_open:
        return state, ()
    if not event.active:
        return _closed(state, settings), ()
    if not state.contact_known:
        return _found_open(state, settings), ()
    return _opened(state, min(event.at_s, state.at_s), settings)


def _found_open(state: DoorState, settings: DoorSettings) -> DoorState:
    """Nobody saw it open, so nobody is accused; an alarm that stood goes on."""
    until_s = state.open_until_s if state.contact_open else state.at_s + settings.open_time_s
    lawfully = state.opened_lawfully or not state.contact_open
    return replace(state, contact_known=True, contact_open=True, opened_lawfully=lawfully, open_until_s=until_s)


def _opened(state: DoorState, edge_s: float, settings: DoorSettings) -> Told:
    let_go_s = max(state.exit_until_s, state.relay_since_s if not state.relay_energised else -inf)
    lawfully = (
        should_release(state)
        or lock_released(state, settings)
        or bool(state.grants)
        or edge_s <= let_go_s + settings.contact_grace_s
    )
    entering = [g for g in state.grants if not g.opened]
    extended = any(g.extended for g in entering)
    open_time_s = settings.extended_open_time_s if extended else settings.open_time_s
    opened = replace(
        state,
        contact_open=True,
        opened_lawfully=lawfully,
        open_until_s=state.at_s + open_time_s,
        grants=tuple(replace(g, opened=True) for g in state.grants),
    )
    return opened, tuple(rows.result(Kind.ACCESS_TAKEN, g) for g in entering)


def _closed(state: DoorState, settings: DoorSettings) -> DoorState:
    """Re-lock on close, unless somebody let in while the leaf was open may still be on the way."""
    grants = state.grants
    if settings.relock_on_close and all(g.opened for g in grants):
        end_s = state.at_s + settings.relock_delay_s
        grants = tuple(replace(g, until_s=min(g.until_s, end_s)) for g in grants)
    return replace(state, contact_known=True, contact_open=False, opened_lawfully=True, open_until_s=inf, grants=grants)


def relay(state: DoorState, event: RelayReported, settings: DoorSettings) -> Told:
    """The guard's word on the relay. A reflex of its own counts as the same cause here, for one release time."""
    since_s = state.relay_since_s if event.energised == state.relay_energised else min(event.at_s, state.at_s)
    after = replace(state, relay_energised=event.energised, relay_why=event.why, relay_since_s=since_s)
    if event.energised:
        if event.why in _REFLEXES and not after.fire:
            # Bounded, so that our own feeding of the guard's release can't keep it alive for ever.
            until_s = after.at_s + settings.exit_release_time_s
            after = replace(after, exit_until_s=max(after.exit_until_s, until_s))
        return after, ()
    if event.why in _BROKEN_OFF and any(after.at_s < g.until_s for g in after.grants):
        return end_grants(after, "LockDropped")
    return after, ()


def guard(state: DoorState, event: GuardChanged) -> Told:
    """The guard came (see GuardChanged for what is posted before) or went: then nobody's grant can be kept."""
    if event.up:
        # Whatever is wanted is wanted of the new guard from now.
        return replace(state, guard_missing_from_s=None, wanted_since_s=state.at_s), ()
    if state.guard_missing_from_s is not None:
        return state, ()
    gone = replace(
        state,
        guard_missing_from_s=state.at_s,
        contact_known=False,
        relay_energised=False,
        relay_why="guard-missing",
        relay_since_s=state.at_s,
        exit_until_s=-inf,  # the guard let them out by itself, and the next one knows nothing of it
    )
    return end_grants(gone, "Fault")
