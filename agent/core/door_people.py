"""People at the door: grants and their verdicts, refusals and the lockout that follows a series of them."""

from __future__ import annotations

from dataclasses import replace

from agent.core import door_records as rows
from agent.core.door_state import DoorSettings, DoorState, Grant
from agent.core.door_table import grant_refusal, locked_out
from agent.core.events import AccessAllowed, AccessRefused, Kind, Record

Told = tuple[DoorState, tuple[Record, ...]]  # the next state and the rows that say what happened


def pass_time(state: DoorState, settings: DoorSettings) -> Told:
    """Grants whose time is over leave; those not yet accounted for get their verdict after a moment's grace."""
    staying, lapsed = [], []
    for grant in state.grants:
        over_s = grant.until_s if grant.opened else grant.until_s + settings.contact_grace_s
        if state.at_s < over_s:
            staying.append(grant)
        elif not grant.opened:
            lapsed.append(_verdict(state, grant, settings))
    return replace(state, grants=tuple(staying)), tuple(lapsed)


def _verdict(state: DoorState, grant: Grant, settings: DoorSettings) -> Record:
    if grant.leaf_was_open:
        return rows.result(Kind.ACCESS_TAKEN, grant, "LeafAlreadyOpen")
    if not grant.released:
        return rows.result(Kind.ACCESS_NOT_TAKEN, grant, "LockNotReleased")
    if not (settings.has_contact and state.contact_known):
        return rows.result(Kind.ACCESS_UNVERIFIED, grant, "NoContact")
    return rows.result(Kind.ACCESS_NOT_TAKEN, grant)


def end_grants(state: DoorState, reason: str) -> Told:
    """No grant any more; those nobody used are not taken, for this reason."""
    ended = tuple(rows.result(Kind.ACCESS_NOT_TAKEN, g, reason) for g in state.grants if not g.opened)
    return replace(state, grants=()), ended


def more_open_time(state: DoorState, open_time_s: float) -> DoorState:
    """Somebody else may walk through a leaf that is open already: its time counts from them."""
    if not (state.contact_open and state.opened_lawfully):
        return state
    return replace(state, open_until_s=max(state.open_until_s, state.at_s + open_time_s))


def allowed(state: DoorState, event: AccessAllowed, settings: DoorSettings) -> Told:
    """A grant joins those that stand and makes one unbroken release with them, up to the cap."""
    if any(g.request_id == event.request_id for g in state.grants):
        return state, (rows.unexpected(event, f"request {event.request_id} is being acted on already"),)
    silent = (rows.duress(event),) if event.duress else ()
    grant = _grant(state, event, settings)
    refusal = grant_refusal(state, event.credential)
    if refusal is not None:
        return state, (*silent, rows.result(Kind.ACCESS_NOT_TAKEN, grant, refusal))
    joined = tuple(_joined(state, g, grant) for g in state.grants)
    after = replace(state, grants=(*joined, grant), grants_since_s=_unbroken_since_s(state), refusals=0)
    open_time_s = settings.extended_open_time_s if event.extended else settings.open_time_s
    return more_open_time(after, open_time_s), silent


def _unbroken_since_s(state: DoorState) -> float:
    """When the release by grants began that a grant of now would continue."""
    return state.grants_since_s if any(state.at_s < g.until_s for g in state.grants) else state.at_s


def _joined(state: DoorState, old: Grant, new: Grant) -> Grant:
    """One release, one end: somebody still on the way has the newcomer's time too."""
    waiting = not old.opened and state.at_s < old.until_s
    return replace(old, until_s=max(old.until_s, new.until_s)) if waiting else old


def _grant(state: DoorState, event: AccessAllowed, settings: DoorSettings) -> Grant:
    time_s = settings.extended_release_time_s if event.extended else settings.release_time_s
    return Grant(
        event.request_id,
        event.credential,
        event.person_id,
        until_s=min(state.at_s + time_s, _unbroken_since_s(state) + settings.cap_s),
        extended=event.extended,
        leaf_was_open=state.contact_known and state.contact_open,
    )


def refused(state: DoorState, event: AccessRefused, settings: DoorSettings) -> Told:
    """A refusal; a series of them starts a lockout."""
    row = (rows.denied(event),) if event.told else ()
    told = replace(state, refused_shown_until_s=state.at_s + settings.refused_shown_s)
    if not event.counts_for_lockout or locked_out(state):
        return told, row
    series = state.at_s <= state.refused_at_s + settings.lockout_window_s
    counted = replace(told, refusals=state.refusals + 1 if series else 1, refused_at_s=state.at_s)
    if counted.refusals < settings.lockout_refusals:
        return counted, row
    return replace(counted, refusals=0, lockout_until_s=state.at_s + settings.lockout_s), row
