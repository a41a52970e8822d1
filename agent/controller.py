"""The one loop: take what happened, ask the core what it means, do it.

Sole owner of the door's state. Deadlines are settled before an event is taken, so a backlog can't hold the relay.
A grant's intent row is committed before the relay is energised; a store that does not answer within INTENT_WAIT_S is
an alarm, not a locked door. Exit button and fire act first (in the guard) and are written afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agent.core import door
from agent.core.door_records import duress
from agent.core.events import (
    AccessAllowed,
    AccessRefused,
    DoorEvent,
    GuardChanged,
    Indicate,
    Indication,
    Json,
    Kind,
    LineChanged,
    ModeOrdered,
    Priority,
    Record,
    RelayReported,
    Release,
    Secure,
    Tick,
)
from agent.core.stream import Committed
from agent.mailbox import CallbackFailed, Mailbox

INTENT_WAIT_S = 0.3
BEAT_S = 0.25  # how often the guard hears that this loop lives, at the least
_HINT_S, _LONG_HINT_S = 2.0, {Indication.IDENTIFY: 4.0}
_LOUD = {Indication.ALARM, Indication.CLOSE_THE_DOOR}  # what a hint may not silence
_ENDS = {
    Kind.ACCESS_TAKEN: "taken",
    Kind.ACCESS_NOT_TAKEN: "not-taken",
    Kind.ACCESS_UNVERIFIED: "unverified",
}
_NOTHING_TO_DO = "nothing-to-do"
_ORDER_ENDS = {"done": "done", "refused": "refused", _NOTHING_TO_DO: "done"}


class Journal(Protocol):
    """Where rows go (the outbox)."""

    def append(self, record: Record, *, token: str | None = None) -> None:
        """Store; with a token, Committed(token) comes to the mailbox."""


class Guard(Protocol):
    """The process that owns the lines."""

    def release(self, until_s: float, *, hold: bool, echo: bool, request_id: str) -> None:
        """Keep the lock released until then (CLOCK_BOOTTIME); an echo only keeps, see core.events.Release."""

    def secure(self) -> None:
        """Drop the relay."""

    def indicate(self, indication: str) -> None:
        """Show on LED and buzzer."""

    def beat(self) -> None:
        """This loop lives: leases may be fed."""


class Others(Protocol):
    """The rest of the agent: everything that is not the door itself."""

    def news(self, event: object, now_s: float) -> None:
        """An event that is not the door's own."""

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> Mapping[str, Json]:
        """A request went on. Returns facts to store.

        Stages: accepted, then energised and taken, not-taken or unverified, or for a standing order done; or refused.
        """

    def wrote(self, record: Record) -> None:
        """A row went to the journal."""

    def changed(self, state: door.DoorState) -> None:
        """The door's facts, or what is shown at it, may have changed."""

    def tend(self, now_s: float) -> None:
        """Called in every turn, at least every BEAT_S: timers that are not the door's."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something decided that is written down before it is done. `body` and `facts` join the row."""

    request_id: str
    then: AccessAllowed | ModeOrdered
    body: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    until_s: float = 0.0  # set when it is written: acted on at the latest then


class Controller:
    """See the module's first lines. `turn` is one round of the loop, for tests with a scripted mailbox."""

    def __init__(
        self,
        settings: door.DoorSettings,
        mailbox: Mailbox,
        journal: Journal,
        guard: Guard,
        now_s: Callable[[], float],
        facts: Mapping[str, Any],
    ) -> None:
        self._settings, self._mailbox, self._journal, self._guard = settings, mailbox, journal, guard
        self._now_s = now_s
        self._others: Others | None = None
        self._state = door.initial(settings, facts, now_s())
        self._intents: dict[str, Intent] = {}
        self._hint_until_s: float | None = None
        self._shown = door.indication(self._state, settings)
        self._unfinished = door.unfinished(self._state, facts)

    @property
    def settings(self) -> door.DoorSettings:
        """How this door behaves."""
        return self._settings

    @property
    def state(self) -> door.DoorState:
        """The door as it stands."""
        return self._state

    @property
    def shown(self) -> Indication:
        """What LED and buzzer show now: the door's own indication, or a hint for a moment."""
        return self._shown

    @property
    def busy(self) -> bool:
        """Somebody was let in and has not gone through yet, or an order waits for its row."""
        return bool(self._intents or self._state.grants)

    def join(self, others: Others) -> None:
        """Say who hears about everything else. Before the first turn; rows a restart left unsaid are written now."""
        self._others = others
        for record in self._unfinished:
            self.write(record)

    def turn(self) -> None:
        """Settle deadlines, then take at most one event."""
        now_s = self._now_s()
        self._guard.beat()
        self._settle(now_s)
        if self._others is not None:
            self._others.tend(now_s)
        event = self._mailbox.take(self._wait_s())
        if event is not None:
            self._handle(event, self._now_s())

    def step(self, event: DoorEvent, now_s: float | None = None) -> None:
        """Let the core decide, then do what it says: relay first, then rows, then what is shown."""
        self._state, effects = door.step(self._state, event, self._now_s() if now_s is None else now_s, self._settings)
        for effect in effects:
            match effect:
                case Release():
                    self._guard.release(
                        effect.until_s, hold=effect.hold, echo=effect.echo, request_id=self._request_id()
                    )
                case Secure():
                    self._guard.secure()
                case Record():
                    self.write(effect)
                case Indicate():
                    self._hint_until_s = None
                    self._indicate(effect.indication)
        self._tell_changed()

    def write(self, record: Record, *, token: str | None = None) -> None:
        """Put a row into the journal, and tell the others."""
        stage, request_id = _end_told(record), record.body.get("request_id")
        if stage is not None and isinstance(request_id, str):
            record = _with_facts(record, self._stage(request_id, *stage))
        pending = (record.facts or {}).get("pending")
        if isinstance(pending, list):  # the core does not know of requests that still wait for their commit
            waiting = [r for r, i in self._intents.items() if isinstance(i.then, AccessAllowed) and r not in pending]
            record = _with_facts(record, {"pending": [*pending, *waiting]})
        self._journal.append(record, token=token)
        if self._others is not None:
            self._others.wrote(record)

    def admit(self, intent: Intent) -> None:
        """Commit the intent's row, then act on it: on Committed, or after INTENT_WAIT_S with an alarm."""
        then = intent.then
        if isinstance(then, AccessAllowed):
            refusal = door.grant_refusal(self._state, then.credential)
            if refusal is not None:
                facts = {**intent.facts, **self._stage(intent.request_id, "refused", reason=refusal)}
                self.step(AccessRefused(then.credential, refusal, then.person_id, counts_for_lockout=False))
                if then.duress:  # forced to a door that does not open: the silent alarm all the same
                    self.write(duress(then))
                if facts:
                    body: dict[str, Json] = {"request_id": intent.request_id, "outcome": refusal}
                    self.write(Record(Kind.COMMAND, body, facts=facts))
                return
        self._intents[intent.request_id] = replace(intent, until_s=self._now_s() + INTENT_WAIT_S)
        self.write(self._intent_row(intent), token=intent.request_id)

    def hint(self, indication: Indication) -> None:
        """Show a hint to the person at the door for a moment (come closer, uncover your face); never over an alarm."""
        if door.indication(self._state, self._settings) in _LOUD:
            return
        self._hint_until_s = self._now_s() + _LONG_HINT_S.get(indication, _HINT_S)
        self._indicate(indication)
        self._tell_changed()

    def _intent_row(self, intent: Intent) -> Record:
        then = intent.then
        if isinstance(then, AccessAllowed):
            row = door.intent(self._state, then)
            return replace(row, body={**row.body, **intent.body}, facts={**(row.facts or {}), **intent.facts})
        body: dict[str, Json] = {"order": then.order, "actor": then.actor, "request_id": intent.request_id}
        return Record(Kind.COMMAND, {**body, "outcome": "accepted", **intent.body}, Priority.HIGH, intent.facts)

    def _settle(self, now_s: float) -> None:
        due_s = door.next_deadline_s(self._state, self._settings)
        if due_s is not None and due_s <= now_s:
            self.step(Tick(), now_s)
        for request_id in [r for r, intent in self._intents.items() if intent.until_s <= now_s]:
            self.write(Record(Kind.STORE, {"state": "IntentNotStoredInTime", "request": request_id}, Priority.ALARM))
            self._act(request_id)
        if self._hint_until_s is not None and self._hint_until_s <= now_s:
            self._hint_until_s = None
            self._indicate(door.indication(self._state, self._settings))
            self._tell_changed()

    def _wait_s(self) -> float:
        now_s = self._now_s()
        ends = [door.next_deadline_s(self._state, self._settings), self._hint_until_s, now_s + BEAT_S]
        ends += [intent.until_s for intent in self._intents.values()]
        return max(0.0, min(end for end in ends if end is not None) - now_s)

    def _handle(self, event: object, now_s: float) -> None:
        match event:
            case RelayReported():
                self.step(event, now_s)
                if event.energised:
                    for grant in self._state.grants:
                        self._stage(grant.request_id, "energised", at_s=event.at_s)
            case LineChanged() | GuardChanged() | AccessRefused() | ModeOrdered():
                self.step(event, now_s)
            case Committed() if event.token in self._intents:
                self._act(event.token)
            case CallbackFailed():
                body: dict[str, Json] = {"where": event.where, "detail": event.detail}
                self.write(Record(Kind.CALLBACK_FAILED, body, Priority.HIGH))
            case _ if self._others is not None:
                self._others.news(event, now_s)

    def _act(self, request_id: str) -> None:
        intent = self._intents.pop(request_id, None)
        if intent is not None:
            self._stage(request_id, "accepted")
            self.step(intent.then)
            if self._state.relay_energised and isinstance(intent.then, AccessAllowed):
                self._stage(request_id, "energised")  # somebody else's release is still standing

    def _indicate(self, indication: Indication) -> None:
        self._shown = indication
        self._guard.indicate(indication)

    def _tell_changed(self) -> None:
        if self._others is not None:
            self._others.changed(self._state)

    def _stage(self, request_id: str, stage: str, reason: Json = None, at_s: float | None = None) -> Mapping[str, Json]:
        if self._others is None:
            return {}
        at_s = self._now_s() if at_s is None else at_s
        return self._others.stage(request_id, stage, at_s, reason if isinstance(reason, str) else None)

    def _request_id(self) -> str:
        return self._state.grants[-1].request_id if self._state.grants else "standing"


def _end_told(record: Record) -> tuple[str, Json] | None:
    """The last stage of a request that a row tells of, and its reason."""
    if record.kind is Kind.COMMAND:
        outcome = record.body.get("outcome")
        if not isinstance(outcome, str) or outcome not in _ORDER_ENDS:
            return None
        return _ORDER_ENDS[outcome], outcome if outcome == _NOTHING_TO_DO else record.body.get("reason")
    return (_ENDS[record.kind], record.body.get("reason")) if record.kind in _ENDS else None


def _with_facts(record: Record, facts: Mapping[str, Json]) -> Record:
    return replace(record, facts={**(record.facts or {}), **facts}) if facts else record
