"""Commands from afar at the door: keys, challenges, used ids, and the staged replies to whoever asked."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyseto

from agent.controller import Intent
from agent.core.commands import (
    MAX_LEASE_CHALLENGE_AGE_S,
    WANT_CHALLENGE,
    Action,
    Book,
    Challenges,
    Command,
    Refusal,
    Rejected,
    judge,
)
from agent.core.events import AccessAllowed, Credential, Indication, Json, Kind, ModeOrdered, Order, Priority, Record
from agent.core.site_keys import PREFIX as SITE_KEYS
from agent.core.stream import CommandArrived
from agent.core.updates import Why
from agent.order_keys import public_order_key
from agent.rate import Rate
from agent.site_trust import SiteTrust

_ORDERS: Final = {
    Action.LOCK_DOWN: Order.LOCK_DOWN,
    Action.RELEASE_LOCK_DOWN: Order.RELEASE_LOCK_DOWN,
    Action.HOLD_OPEN: Order.HOLD_OPEN,
    Action.END_HOLD_OPEN: Order.END_HOLD_OPEN,
    Action.BLOCK: Order.BLOCK,
    Action.UNBLOCK: Order.UNBLOCK,
}
ROTATE_KEYS: Final = "rotate-keys"  # an order of the site's root, not of a manager
_UPDATING: Final = frozenset({Action.UPDATE, Action.CANCEL_UPDATE})
_SHOWING: Final = frozenset({Action.IDENTIFY, Action.DIAGNOSTICS})
_SECURING: Final = frozenset({Action.LOCK_DOWN, Action.BLOCK, Action.END_HOLD_OPEN})
_ORDERS_PER_S, _ORDERS_AT_ONCE = 1.0, 10.0  # of each kind: a stolen key must not wear the lock out or fill the journal
_CHALLENGES_PER_S: Final = 2.0
_REFUSALS_WRITTEN_PER_S: Final = 1.0  # the rest is counted, so junk can't fill the journal
_MAX_OPEN_REQUESTS: Final = 64


class Link(Protocol):
    """What this needs of the link to the server."""

    def reply(self, correlation: bytes | None, reply: Mapping[str, Any]) -> None:
        """Answer on up/reply."""


class Desk(Protocol):
    """What this needs of the controller."""

    def admit(self, intent: Intent) -> None:
        """Write down, then do."""

    def write(self, record: Record) -> None:
        """Write down."""

    def hint(self, indication: Indication) -> None:
        """Show at the door."""


class Updates(Protocol):
    """What this needs of whoever looks after updates (agent/updates/desk.py)."""

    def refusal(self, command: Command) -> str:
        """Why this order can't be taken, in one word; empty: it can."""

    def ordered(self, command: Command) -> None:
        """Begin, or call off."""


@dataclass(frozen=True, slots=True)
class _Asked:
    command_id: str
    correlation: bytes | None
    at_s: float


class RemoteDesk:
    """Used by the controller's thread only.

    `door` is "site/id"; `keys` maps key ids to public Ed25519 keys (PEM); `face_needed`: no phone alone opens it.
    `updates` None: this door takes no release from afar. `diagnostics`: how every part is, without anything of people.
    """

    def __init__(
        self, door: str, keys: Mapping[str, bytes], link: Link, desk: Desk, facts: Mapping[str, Any], *,
        face_needed: bool = False, updates: Updates | None = None,
        diagnostics: Callable[[], Mapping[str, Json]] = dict, trust: SiteTrust | None = None,
    ) -> None:  # fmt: skip
        self._updates, self._diagnostics = updates, diagnostics
        self._door, self._link, self._desk, self._face_needed = door, link, desk, face_needed
        self._trust = trust
        self.believe(keys)
        self._book = Book.from_fact(facts.get("commands"))
        self._challenges = Challenges()
        self._asked: dict[str, _Asked] = {}
        self._challenge_rate, self._refusal_rate = Rate(_CHALLENGES_PER_S), Rate(_REFUSALS_WRITTEN_PER_S)
        self._public_rate = Rate(_CHALLENGES_PER_S)
        # two, so that no flood of openings holds up a lock-down
        self._order_rates = {securing: Rate(_ORDERS_PER_S, _ORDERS_AT_ONCE) for securing in (False, True)}
        self._unwritten = 0

    def believe(self, keys: Mapping[str, bytes]) -> None:
        """Orders that these sign are taken from now on, and no others."""
        self._keys = {key_id: public_order_key(pem, key_id) for key_id, pem in keys.items()}

    def challenge(self) -> str | None:
        """The current challenge."""
        return self._challenges.current()

    def facts(self) -> dict[str, Json]:
        """For up/state: the current challenge, and which list of the site's keys this door has."""
        number = {} if self._trust is None else {"keys": self._trust.believed.number}
        return {"challenge": self.challenge(), **number}

    def renew_if_due(self, now_s: float) -> bool:
        """A new challenge where the last one is 30 s old. True when there is one to publish."""
        if now_s < self._challenges.due_s():
            return False
        self._challenges = self._challenges.renewed(secrets.token_urlsafe(18), now_s)
        return True

    def connected(self) -> None:
        """Every connection gets a challenge of its own."""
        self._challenges = Challenges()

    def answer(self, correlation: bytes | None, reply: Mapping[str, Any]) -> None:
        """Answer what was asked without a signature because the answer is public."""
        if self._public_rate.take(time.clock_gettime(time.CLOCK_BOOTTIME)):
            self._link.reply(correlation, reply)

    def fresh(self, challenge: str, now_s: float) -> bool:
        """Whether a challenge is this door's own and young enough for a lease: nothing is opened by it."""
        return self._challenges.fresh(challenge, now_s, MAX_LEASE_CHALLENGE_AGE_S)

    def arrived(self, event: CommandArrived, now_s: float) -> None:
        """A message on dn/command."""
        if event.unheard:
            self._write_refused(Refusal.TOO_MANY, None, now_s, event.unheard)
        if event.payload == WANT_CHALLENGE and not event.retained:
            if self._challenge_rate.take(now_s):
                self._challenges = self._challenges.renewed(secrets.token_urlsafe(18), now_s)
            self._link.reply(event.correlation, {"stage": "challenge", "challenge": self._challenges.current()})
            return
        if self._trust is not None and event.payload.startswith(SITE_KEYS):
            self._other_keys(self._trust, event, now_s)
            return
        judged = judge(
            event.payload,
            retained=event.retained,
            door=self._door,
            verify=self._verify,
            challenges=self._challenges,
            book=self._book,
            now_s=now_s,
            face_needed=self._face_needed,
        )
        if isinstance(judged, Command) and not self._order_rates[judged.action in _SECURING].take(now_s):
            judged = Rejected(Refusal.TOO_MANY, judged.command_id)
        if isinstance(judged, Rejected):
            self._refuse(judged, event.correlation, now_s)
        else:
            self._accept(judged, event.correlation, now_s)

    def stage(self, request_id: str, stage: str, reason: str | None) -> Mapping[str, Json]:
        """A request went on; answers whoever asked. Returns the facts that must be stored with it."""
        asked = self._asked.get(request_id)
        if asked is None:
            return {}
        body = {"id": asked.command_id, "stage": stage} | ({"reason": reason} if reason else {})
        self._link.reply(asked.correlation, body)
        if stage in ("accepted", "energised"):
            return {}
        del self._asked[request_id]
        self._book = self._book.with_result(asked.command_id, stage)
        return {"commands": self._book.to_fact()}

    def _accept(self, command: Command, correlation: bytes | None, now_s: float) -> None:
        self._book = self._book.with_command(command)
        facts: Mapping[str, Json] = {"commands": self._book.to_fact()}
        body: dict[str, Json] = {"command_id": command.command_id, "actor": command.actor, "key_id": command.key_id}
        request_id = f"cmd-{command.command_id}"
        if command.action in _SHOWING:
            self._show(command, correlation, body, facts)
            return
        if command.action in _UPDATING:
            self._update(command, correlation, body, facts)
            return
        if len(self._asked) >= _MAX_OPEN_REQUESTS:
            self._asked.pop(next(iter(self._asked)))
        self._asked[request_id] = _Asked(command.command_id, correlation, now_s)
        then = (
            AccessAllowed(request_id, Credential.REMOTE, extended=command.extended, duress=command.duress)
            if command.action is Action.OPEN
            else ModeOrdered(_ORDERS[command.action], command.actor, command.for_s, request_id)
        )
        self._desk.admit(Intent(request_id, then, body, facts))

    def _show(
        self, command: Command, correlation: bytes | None, body: dict[str, Json], facts: Mapping[str, Json]
    ) -> None:
        """What moves nothing at the door."""
        self._desk.write(Record(Kind.COMMAND, {**body, "action": str(command.action), "outcome": "done"}, facts=facts))
        answer: dict[str, Any] = {"id": command.command_id, "stage": "done"}
        if command.action is Action.IDENTIFY:
            self._desk.hint(Indication.IDENTIFY)
        else:
            answer["diagnostics"] = dict(self._diagnostics())
        self._link.reply(correlation, answer)

    def _update(
        self, command: Command, correlation: bytes | None, body: dict[str, Json], facts: Mapping[str, Json]
    ) -> None:
        """The order's own row first: its id and counter are used up whatever comes of it."""
        why = str(Why.UPDATES_OFF) if self._updates is None else self._updates.refusal(command)
        told = {"outcome": "refused", "reason": why} if why else {"outcome": "accepted"}
        priority = Priority.HIGH if why else Priority.NORMAL
        self._desk.write(Record(Kind.COMMAND, {**body, "action": str(command.action), **told}, priority, facts))
        if self._updates is not None and not why:
            self._updates.ordered(command)
        answer = {"stage": "refused", "reason": why} if why else {"stage": "done"}
        self._link.reply(correlation, {"id": command.command_id, **answer})

    def _other_keys(self, trust: SiteTrust, event: CommandArrived, now_s: float) -> None:
        """A list of the site's keys that its root signed; the one that this door has, once more, is no news."""
        found = trust.arrived(event.payload, retained=event.retained)
        if isinstance(found, Rejected):
            if found.reason is not Refusal.REPEATED:
                self._refuse(found, event.correlation, now_s)
            return
        body: dict[str, Json] = {"action": ROTATE_KEYS, "outcome": "done", "number": found.number}
        self._desk.write(Record(Kind.COMMAND, body, Priority.HIGH, trust.fact(event.payload)))
        trust.take(found)
        self._link.reply(event.correlation, {"id": f"keys-{found.number}", "stage": "done"})

    def _refuse(self, rejected: Rejected, correlation: bytes | None, now_s: float) -> None:
        answer: dict[str, Any] = {"id": rejected.command_id, "stage": "refused", "reason": str(rejected.reason)}
        if rejected.result is not None:
            answer["result"] = rejected.result
        if rejected.counter is not None:
            answer["counter"] = rejected.counter
        self._link.reply(correlation, answer)
        self._write_refused(rejected.reason, rejected.command_id, now_s)

    def _write_refused(self, reason: Refusal, command_id: str | None, now_s: float, count: int = 1) -> None:
        self._unwritten += count
        if not self._refusal_rate.take(now_s):
            return
        body: dict[str, Json] = {"outcome": "refused", "reason": str(reason)}
        body |= {"command_id": command_id} if command_id else {}
        body |= {"more_refused": self._unwritten - 1} if self._unwritten > 1 else {}
        self._unwritten = 0
        self._desk.write(Record(Kind.COMMAND, body, Priority.HIGH))

    def _verify(self, token: bytes, key_id: str) -> bytes | None:
        key = self._keys.get(key_id)
        if key is None:
            return None
        try:
            payload = pyseto.decode(key, token, implicit_assertion=self._door.encode()).payload
        except (pyseto.PysetoError, ValueError):
            return b""
        return payload if isinstance(payload, bytes) else b""
