"""Signed commands from afar: bytes -> Command, or Rejected with the one reason why not.

A captured, delayed, repeated or forged message never opens a door. Freshness needs no clock: the door publishes a
random challenge (at connect, every 30 s, and when the server asks with WANT_CHALLENGE), and the command names it. Its
age is judged on the door's own CLOCK_BOOTTIME, so a reboot voids all of them. The token is PASETO v4.public (Ed25519)
with the door's name as implicit assertion; checking the signature is handed in.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from agent.core.events import Json
from agent.core.updates import Bundle

MAX_TOKEN_BYTES: Final = 2048
MAX_CHALLENGE_AGE_S: Final = 10.0
MAX_LEASE_CHALLENGE_AGE_S: Final = 70.0  # of a roster's lease: opens nothing, only says that the server was there then
CHALLENGE_EVERY_S: Final = 30.0
MAX_COUNTER: Final = 2**53 - 1  # what every reader of JSON keeps whole
WANT_CHALLENGE: Final = b'{"want":"challenge"}'  # unsigned: it only makes the door publish a new random number
_CHALLENGES_MOST: Final = 32  # the door makes two a second at most
_REMEMBERED_RESULTS: Final = 128
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # the name of a file in the door's command keys
_NAME = re.compile(r"[A-Za-z0-9._@:/ -]{1,80}")
_HEADER: Final = b"v4.public."
PHONE_ACTOR: Final = "phone:"  # before the actor of an order that a resident's phone gave the server
_CLAIMS: Final = frozenset(
    {"id", "door", "action", "actor", "counter", "challenge", "for_s", "duress", "extended", "bundle"}
)


class Action(StrEnum):
    """What a command may order."""

    OPEN = "open"
    LOCK_DOWN = "lock-down"
    RELEASE_LOCK_DOWN = "release-lock-down"
    HOLD_OPEN = "hold-open"
    END_HOLD_OPEN = "end-hold-open"
    BLOCK = "block"  # one door out of use: its lock is broken, its leaf is being painted
    UNBLOCK = "unblock"
    IDENTIFY = "identify"
    DIAGNOSTICS = "diagnostics"  # how every part is, in the answer
    UPDATE = "update"  # fetch this release, and install it when nobody is at the door
    CANCEL_UPDATE = "cancel-update"  # as long as it is not being installed


class Refusal(StrEnum):
    """Why a command is refused: in the answer, and in a row; at most one a second, which counts the rest."""

    RETAINED = "retained"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_DOOR = "wrong-door"
    STALE_CHALLENGE = "stale-challenge"
    COUNTER_NOT_ABOVE = "counter-not-above"
    REPEATED = "repeated"
    TOO_MANY = "too-many"
    FACE_NEEDED = "face-needed"  # a resident's phone from afar at a door that wants the face as well


@dataclass(frozen=True, slots=True)
class Command:
    """A command that may be carried out, once its id and counter are committed."""

    command_id: str
    action: Action
    actor: str
    key_id: str
    counter: int
    for_s: float | None = None
    duress: bool = False  # the phone said so: opens as always, and raises the silent alarm
    extended: bool = False  # for somebody who needs longer to the door: a long release
    bundle: Bundle | None = None  # of UPDATE alone

    @property
    def of_a_phone(self) -> bool:
        """An opening that a resident's phone asked the server for."""
        return self.action is Action.OPEN and self.actor.startswith(PHONE_ACTOR)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that opens nothing. `result` is the stored one when the same id came before.

    `counter`, with COUNTER_NOT_ABOVE: the key's highest here. Only who signed the order is told.
    """

    reason: Refusal
    command_id: str | None = None
    result: str | None = None
    counter: int | None = None


@dataclass(frozen=True, slots=True)
class Challenges:
    """The current and the previous challenge, and all of the last 10 s, with when they were issued (CLOCK_BOOTTIME).

    Whoever asks renews: if two only were kept, the presses of others would make stale what a manager just signed.
    """

    issued: tuple[tuple[str, float], ...] = ()

    def renewed(self, value: str, now_s: float) -> Challenges:
        """A new current one; what was current becomes the previous."""
        young = (one for one in self.issued[1:_CHALLENGES_MOST] if now_s - one[1] <= MAX_CHALLENGE_AGE_S)
        return Challenges(((value, now_s), *self.issued[:1], *young))

    def current(self) -> str | None:
        """What `up/state` publishes."""
        return self.issued[0][0] if self.issued else None

    def due_s(self) -> float:
        """When the next one is due."""
        return self.issued[0][1] + CHALLENGE_EVERY_S if self.issued else 0.0

    def fresh(self, value: str, now_s: float, max_age_s: float = MAX_CHALLENGE_AGE_S) -> bool:
        """Was it ours, and issued within the last 10 s (or `max_age_s`)?"""
        return any(known == value and 0 <= now_s - at_s <= max_age_s for known, at_s in self.issued)


@dataclass(frozen=True, slots=True)
class Book:
    """Which ids and counters were used. The fact "commands", stored with every intent row: it survives a reboot."""

    counters: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)

    def with_command(self, command: Command) -> Book:
        """The book once this command's intent is committed."""
        kept = dict(list(self.results.items())[-(_REMEMBERED_RESULTS - 1) :])
        return Book({**self.counters, command.key_id: command.counter}, {**kept, command.command_id: "accepted"})

    def with_result(self, command_id: str, result: str) -> Book:
        """The book once the door knows how a command ended."""
        return replace(self, results={**self.results, command_id: result}) if command_id in self.results else self

    def to_fact(self) -> dict[str, Json]:
        """For the journal's facts table."""
        return {"counters": dict(self.counters), "results": dict(self.results)}

    @classmethod
    def from_fact(cls, fact: object) -> Book:
        """From the journal; anything that is not one is an empty book."""
        if not isinstance(fact, Mapping):
            return cls()
        counters, results = fact.get("counters"), fact.get("results")
        return cls(
            {str(k): v for k, v in counters.items() if type(v) is int} if isinstance(counters, Mapping) else {},
            {str(k): str(v) for k, v in results.items()} if isinstance(results, Mapping) else {},
        )


# (token, key id) -> the signed claims as bytes; None: no such key; b"": the signature is wrong
Verify = Callable[[bytes, str], bytes | None]


def judge(
    token: bytes,
    *,
    retained: bool,
    door: str,
    verify: Verify,
    challenges: Challenges,
    book: Book,
    now_s: float,
    face_needed: bool = False,
) -> Command | Rejected:
    """Decide on one message of `dn/command`.

    `door` is "site/id". `face_needed`: a resident's phone alone opens nothing here. The signature is checked before any
    claim is read.
    """
    if retained:
        return Rejected(Refusal.RETAINED)
    if len(token) > MAX_TOKEN_BYTES:
        return Rejected(Refusal.OVERSIZED)
    key_id = _key_id(token)
    if key_id is None:
        return Rejected(Refusal.MALFORMED)
    claims = verify(token, key_id)
    if not claims:
        return Rejected(Refusal.UNKNOWN_KEY if claims is None else Refusal.BAD_SIGNATURE)
    read = _read(claims, key_id)
    found = _judge_claims(read, door, challenges, book, now_s) if read else Rejected(Refusal.MALFORMED)
    if face_needed and isinstance(found, Command) and found.of_a_phone:
        return Rejected(Refusal.FACE_NEEDED, found.command_id)
    return found


def _judge_claims(
    read: tuple[Command, str, str], door: str, challenges: Challenges, book: Book, now_s: float
) -> Command | Rejected:
    command, named_door, challenge = read
    if named_door != door:
        return Rejected(Refusal.WRONG_DOOR, command.command_id)
    if command.command_id in book.results:
        return Rejected(Refusal.REPEATED, command.command_id, book.results[command.command_id])
    if not challenges.fresh(challenge, now_s):
        return Rejected(Refusal.STALE_CHALLENGE, command.command_id)
    highest = book.counters.get(command.key_id, 0)
    if command.counter <= highest:
        return Rejected(Refusal.COUNTER_NOT_ABOVE, command.command_id, counter=highest)
    return command


def _key_id(token: bytes) -> str | None:
    if not token.startswith(_HEADER) or token.count(b".") != _HEADER.count(b".") + 1:
        return None
    payload, footer = map(decoded, token[len(_HEADER) :].split(b"."))
    if payload is None or footer is None:
        return None
    try:
        value = json.loads(footer)
    except (ValueError, RecursionError):
        return None
    key_id = value.get("kid") if isinstance(value, dict) else None
    return key_id if isinstance(key_id, str) and is_key_id(key_id) else None


def is_key_id(text: str) -> bool:
    """Whether a key can be known by this name: 1 to 64 of A-Z a-z 0-9 _ -."""
    return _KEY_ID.fullmatch(text) is not None


def decoded(part: bytes) -> bytes | None:
    """Unpadded base64url in its one form: decoders that skip strange letters would take a token altered on its way."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == part else None


def _read(  # noqa: PLR0911  one return for each kind of fault
    claims: bytes, key_id: str
) -> tuple[Command, str, str] | None:
    try:
        value = json.loads(claims)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) - _CLAIMS:
        return None
    texts = [value.get(name) for name in ("id", "door", "action", "actor", "challenge")]
    counter, for_s = value.get("counter"), value.get("for_s")
    if not all(isinstance(text, str) for text in texts) or type(counter) is not int or not 0 < counter <= MAX_COUNTER:
        return None
    duress, extended = value.get("duress", False), value.get("extended", False)
    if for_s is not None and (type(for_s) not in (int, float) or not 0 < for_s <= 86_400):  # noqa: PLR2004  one day
        return None
    command_id, door, action, actor, challenge = (str(text) for text in texts)
    if type(duress) is not bool or type(extended) is not bool or action not in set(Action):
        return None
    if not _ID.fullmatch(command_id) or not _NAME.fullmatch(actor):
        return None
    bundle = Bundle.read(value["bundle"]) if "bundle" in value else None
    if (bundle is not None) != (action == Action.UPDATE) or (bundle is None and "bundle" in value):
        return None
    return Command(command_id, Action(action), actor, key_id, counter, for_s, duress, extended, bundle), door, challenge
