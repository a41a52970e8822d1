"""What is written and shown when a door's facts change: one row per changed fact, in ONVIF's words, ids only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.core import door_table as table
from agent.core.access import Denial
from agent.core.door_state import DoorSettings, DoorState, Grant, facts, kept
from agent.core.events import (
    AccessAllowed,
    AccessRefused,
    Effect,
    Indicate,
    Json,
    Kind,
    Mode,
    ModeOrdered,
    Priority,
    Record,
    Release,
    Secure,
)

if TYPE_CHECKING:
    from agent.core.events import Indication

_RESULTS = {Kind.ACCESS_TAKEN, Kind.ACCESS_NOT_TAKEN, Kind.ACCESS_UNVERIFIED}
_STRICT = {Mode.LOCKED_DOWN, Mode.BLOCKED}


@dataclass(frozen=True, slots=True)
class Watch:
    """A fact whose every change makes one row. `body` always holds "state"."""

    kind: Kind
    body: Callable[[DoorState, DoorSettings], Mapping[str, Json]]
    priority: Priority


def _fault_body(state: DoorState, settings: DoorSettings) -> Mapping[str, Json]:
    found = table.faults(state, settings)
    return {"state": "FaultDetected" if found else "NotInFault", "faults": list(found)}


WATCHES: tuple[Watch, ...] = (
    Watch(Kind.FIRE, lambda s, _: {"state": "Alarm" if s.fire else "Normal"}, Priority.ALARM),
    Watch(Kind.DOOR_MODE, lambda s, _: {"state": table.mode(s).value}, Priority.NORMAL),
    Watch(Kind.LOCK_PHYSICAL, lambda s, cfg: {"state": table.lock_physical(s, cfg)}, Priority.NORMAL),
    Watch(Kind.DOOR_PHYSICAL, lambda s, _: {"state": table.door_physical(s)}, Priority.NORMAL),
    Watch(Kind.DOOR_ALARM, lambda s, _: {"state": table.alarm(s)}, Priority.ALARM),
    Watch(Kind.DOOR_TAMPER, lambda s, _: {"state": "TamperDetected" if s.tamper else "NotInTamper"}, Priority.ALARM),
    Watch(Kind.DOOR_FAULT, _fault_body, Priority.ALARM),
    Watch(Kind.LOCKOUT, lambda s, _: {"state": "Started" if table.locked_out(s) else "Ended"}, Priority.ALARM),
)


def changes(before: DoorState, after: DoorState, settings: DoorSettings) -> tuple[Record, ...]:
    """One row for each watched fact that differs."""
    found = []
    for watch in WATCHES:
        old, new = watch.body(before, settings), watch.body(after, settings)
        if old != new:
            found.append(Record(watch.kind, _explained(watch.kind, new, after), _priority(watch, before, after)))
    return tuple(found)


def _explained(kind: Kind, body: Mapping[str, Json], after: DoorState) -> Mapping[str, Json]:
    """The row's body with what caused it, where the state knows."""
    if kind is Kind.DOOR_MODE:
        return {**body, "cause": table.ruling(after).cause}
    if kind is Kind.LOCK_PHYSICAL:
        return {**body, "why": after.relay_why if after.lock_power else "lock-power-lost"}
    return body


def _priority(watch: Watch, before: DoorState, after: DoorState) -> Priority:
    if watch.kind is Kind.DOOR_MODE and {table.mode(before), table.mode(after)} & _STRICT:
        return Priority.HIGH
    return watch.priority


def orders(before: DoorState, after: DoorState) -> tuple[Release | Secure, ...]:
    """What the relay is told, if it has to be told anything. Nothing goes to a guard that is not there."""
    old, new = _order(before), _order(after)
    if new is not None:
        return (new,) if new != old else ()
    energised_unasked = after.relay_energised and not before.relay_energised
    return (Secure(),) if old is not None or energised_unasked else ()


def _order(state: DoorState) -> Release | None:
    return None if state.guard_missing_from_s is not None else table.wanted(state)


def shown(before: DoorState, after: DoorState, settings: DoorSettings) -> tuple[Indicate, ...]:
    """A changed indication."""
    old: Indication = table.indication(before, settings)
    new: Indication = table.indication(after, settings)
    return (Indicate(new),) if new is not old else ()


def with_facts(before: DoorState, after: DoorState, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """The effects, the last row carrying the surviving facts when one changed or a request ended.

    The row that ends a request tells the journal so even when its grant was never acted on: the intent row named it.
    """
    ended = any(isinstance(effect, Record) and effect.kind in _RESULTS for effect in effects)
    if kept(before) == kept(after) and not ended:
        return effects
    last = max((i for i, effect in enumerate(effects) if isinstance(effect, Record)), default=None)
    if last is None:
        return effects
    record = effects[last]
    assert isinstance(record, Record)  # noqa: S101  found by its type just above
    return (*effects[:last], replace(record, facts=facts(after)), *effects[last + 1 :])


def intent(state: DoorState, event: AccessAllowed) -> Record:
    """The row to commit before a grant is acted on. Its facts name the request, so a restart can account for it."""
    body: dict[str, Json] = {"request_id": event.request_id, "credential": event.credential.value}
    if event.person_id is not None:
        body["person_id"] = event.person_id
    if event.extended:
        body["extended"] = True
    return Record(Kind.ACCESS_GRANTED, body, facts=facts(state, event.request_id))


def unfinished(state: DoorState, stored: Mapping[str, Json] | None) -> tuple[Record, ...]:
    """Rows for grants whose result a restart swallowed: released perhaps, taken perhaps, never left unsaid."""
    pending = (stored or {}).get("pending")
    ids = [p for p in pending if isinstance(p, str)] if isinstance(pending, list) else []
    body = {"reason": "AgentRestarted"}
    return tuple(Record(Kind.ACCESS_UNVERIFIED, {"request_id": i, **body}, facts=facts(state)) for i in ids)


def duress(event: AccessAllowed) -> Record:
    """The silent alarm: nothing at the door shows it."""
    body: dict[str, Json] = {"request_id": event.request_id, "credential": event.credential.value}
    if event.person_id is not None:
        body["person_id"] = event.person_id
    return Record(Kind.DURESS, body, Priority.ALARM)


def result(kind: Kind, grant: Grant, reason: str | None = None) -> Record:
    """A grant's end: taken, not taken, or nothing can tell."""
    body: dict[str, Json] = {
        "request_id": grant.request_id,
        "credential": grant.credential.value,
        "lock_released": grant.released,
    }
    if grant.person_id is not None:
        body["person_id"] = grant.person_id
    if reason is not None:
        body["reason"] = reason
    return Record(kind, body)


def denied(event: AccessRefused) -> Record:
    """A refusal; people nobody knows have a kind of their own."""
    body: dict[str, Json] = {"credential": event.credential.value, "reason": event.reason}
    if event.person_id is not None:
        body["person_id"] = event.person_id
    if event.detail:
        body["detail"] = dict(event.detail)
    unknown = event.reason == Denial.CREDENTIAL_NOT_FOUND
    return Record(Kind.ACCESS_DENIED_UNKNOWN if unknown else Kind.ACCESS_DENIED, body)


def ordered(event: ModeOrdered, outcome: str, reason: str | None = None) -> Record:
    """What became of a standing order: done, refused, nothing-to-do."""
    body: dict[str, Json] = {"order": event.order.value, "actor": event.actor, "outcome": outcome}
    if event.request_id is not None:
        body["request_id"] = event.request_id
    if event.for_s is not None:
        body["for_s"] = event.for_s if abs(event.for_s) < float("inf") else str(event.for_s)
    if reason is not None:
        body["reason"] = reason
    return Record(Kind.COMMAND, body, Priority.HIGH)


def unexpected(event: object, reason: str) -> Record:
    """An event that changed nothing, and why."""
    return Record(Kind.UNEXPECTED, {"event": type(event).__name__, "reason": reason}, Priority.LOW)
