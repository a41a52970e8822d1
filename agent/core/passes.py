"""Passes held before the camera: bytes of a QR code -> Accepted, or Rejected with the one reason why not.

Works with the phone and the door offline: the door keeps only public keys, so a stolen door mints nothing. The bytes
are hostile until the signature holds: bounded first, then parsed at fixed offsets, then checked; nothing of them
reaches a file name, a query or a shell. In the picture: base45 (RFC 9285, for QR's alphanumeric mode) of

    phone    01 01 key_ref[8] door_ref[8] step[4] nonce[8] flags[1]                          signature[64]
    visitor  01 02 key_ref[8] pass_id[8] from[4] until[4] uses[1] count[1] door_ref[8]*count  signature[64]

`key_ref` is the start of SHA-256 of the public key (SubjectPublicKeyInfo), `door_ref` that of "site/door" (zeros: any
door of the site), numbers are big endian, times seconds since 1970, `step` time // 5 s, the signature ECDSA P-256 with
SHA-256 (r, s) over all before it. A phone's step must be above the last one used with its key at this door: that alone
makes a code good for one opening, with or without a clock. What was used while the door knew no time is remembered
step by step, so that a phone whose clock was in the future then is not locked out for good (decisions/0007).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from agent.core.pass_book import Book, Steps

STEP_S: Final = 5
MAX_AGE_S: Final = 30  # of a phone's code; phones and doors are both within seconds of true time when they know it
MAX_AHEAD_S: Final = 30
MAX_UNKNOWN_S: Final = 400 * 86_400  # a door that knows no time was off for less than that: later steps are wrong
MAX_TEXT_BYTES: Final = 512
MAX_DOORS: Final = 16
REF_BYTES: Final = 8
ANY_DOOR: Final = bytes(REF_BYTES)
DURESS: Final = 1
_SIGNATURE_BYTES: Final = 64
_ALPHABET: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_PHONE: Final = struct.Struct(">BB8s8sI8sB")
_VISITOR: Final = struct.Struct(">BB8s8sIIBB")
_PASS_ID: Final = slice(2 + REF_BYTES, 2 + 2 * REF_BYTES)
_VERSION: Final = 1
_MAX_VISITS: Final = 20_000  # passes for a number of uses that were shown here and are good still: 600 new ones a day


class Refusal(StrEnum):
    """Why a code opens nothing."""

    MALFORMED = "Malformed"
    UNKNOWN_KEY = "UnknownKey"
    REVOKED = "Revoked"
    BAD_SIGNATURE = "BadSignature"
    WRONG_DOOR = "WrongDoor"
    NOT_YET_VALID = "NotYetValid"
    EXPIRED = "Expired"
    REPLAYED = "Replayed"
    USED_UP = "UsedUp"
    TOO_MANY_PASSES = "TooManyPasses"
    CLOCK_NOT_TRUSTED = "ClockNotTrusted"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that may sign passes. `person_id` None: the site's own key for visitor passes."""

    public: bytes
    person_id: str | None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """A code that proves its owner. `book` is what to store with the intent; `person_id` None is a visitor."""

    person_id: str | None
    pass_id: str
    duress: bool
    book: Book


@dataclass(frozen=True, slots=True)
class Rejected:
    """A code that opens nothing. `person_id` or, of a visitor, `pass_id` where the signature proved whose it is.

    `forced`: fresh, made under duress, and refused only because the phone or the person is switched off.
    """

    reason: Refusal
    person_id: str | None = None
    pass_id: str | None = None
    forced: Accepted | None = None


Revoked = Container[str]  # hex of pass_id
Keys = Callable[[bytes], Key | None]  # key_ref -> key
Verify = Callable[[bytes, bytes, bytes], bool]  # public key, message, signature -> is it so


def judge(  # noqa: PLR0911  one return for each reason, in the order they are checked
    text: bytes,
    *,
    door: str,
    keys: Keys,
    verify: Verify,
    book: Book,
    utc_s: float | None,
    floor_utc_s: float = 0.0,
    revoked: Revoked = frozenset(),
) -> Accepted | Rejected:
    """Decide on one code. `door` is "site/id"; `utc_s` None is an untrusted clock: then only the floor counts."""
    raw = base45_decode(text) if len(text) <= MAX_TEXT_BYTES else None
    if raw is None or len(raw) < _SIGNATURE_BYTES + 2:
        return Rejected(Refusal.MALFORMED)
    message, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    kind = {1: _PHONE, 2: _VISITOR}.get(message[1])
    if message[0] != _VERSION or kind is None or len(message) < kind.size:
        return Rejected(Refusal.MALFORMED)
    key_ref = message[2 : 2 + REF_BYTES]
    key = keys(key_ref)
    if key is None or (key.person_id is None) is not (kind is _VISITOR):
        return Rejected(Refusal.UNKNOWN_KEY)
    if not verify(key.public, message, signature):
        return Rejected(Refusal.BAD_SIGNATURE)
    if kind is _PHONE:
        found = _phone(message, key, door, book, utc_s, floor_utc_s)
        return found if key.enabled else _switched_off(found, key)
    if not key.enabled:
        return Rejected(Refusal.REVOKED)
    pass_id = message[_PASS_ID].hex()
    if pass_id in revoked:
        return Rejected(Refusal.REVOKED, pass_id=pass_id)
    return _visitor(message, pass_id, door, book, utc_s, floor_utc_s)


def _phone(
    message: bytes, key: Key, door: str, book: Book, utc_s: float | None, floor_utc_s: float
) -> Accepted | Rejected:
    if len(message) != _PHONE.size:
        return Rejected(Refusal.MALFORMED)
    _, _, key_ref, door_ref, step, nonce, flags = _PHONE.unpack(message)
    made_s, name = step * STEP_S, key_ref.hex()
    if door_ref not in (ANY_DOOR, reference(door.encode())):
        return Rejected(Refusal.WRONG_DOOR, key.person_id)
    steps = book.steps.get(name, Steps())
    if utc_s is not None:
        steps = steps.at((int(utc_s) + MAX_AHEAD_S) // STEP_S)
    if step <= max(book.since_step, steps.last if utc_s is None else steps.all_to):
        return Rejected(Refusal.REPLAYED, key.person_id)
    if made_s + STEP_S + MAX_AGE_S < (floor_utc_s if utc_s is None else utc_s):
        return Rejected(Refusal.EXPIRED, key.person_id)
    if made_s - MAX_AHEAD_S > _newest_s(utc_s, floor_utc_s):
        return Rejected(Refusal.NOT_YET_VALID, key.person_id)
    used = book.with_steps(name, steps.used(step, time_known=utc_s is not None))
    return Accepted(key.person_id, nonce.hex(), bool(flags & DURESS), used)


def _switched_off(found: Accepted | Rejected, key: Key) -> Rejected:
    """Refused as always, but whoever is forced with such a phone is still heard."""
    forced = found if isinstance(found, Accepted) and found.duress else None
    return Rejected(Refusal.REVOKED, key.person_id, forced=forced)


def _newest_s(utc_s: float | None, floor_utc_s: float) -> float:
    """The latest that it can be now, as far as this door knows."""
    if utc_s is not None:
        return utc_s
    return floor_utc_s + MAX_UNKNOWN_S if floor_utc_s else inf


def _visitor(  # noqa: PLR0911  as above
    message: bytes, pass_id: str, door: str, book: Book, utc_s: float | None, floor_utc_s: float
) -> Accepted | Rejected:
    _, _, _, _, from_s, until_s, uses, count = _VISITOR.unpack(message[: _VISITOR.size])
    refs = message[_VISITOR.size :]
    if not 0 < count <= MAX_DOORS or len(refs) != count * REF_BYTES:
        return Rejected(Refusal.MALFORMED)
    if not {ANY_DOOR, reference(door.encode())} & {refs[i : i + REF_BYTES] for i in range(0, len(refs), REF_BYTES)}:
        return Rejected(Refusal.WRONG_DOOR, pass_id=pass_id)
    if until_s <= (floor_utc_s if utc_s is None else utc_s):
        return Rejected(Refusal.EXPIRED, pass_id=pass_id)
    if utc_s is None:
        return Rejected(Refusal.CLOCK_NOT_TRUSTED, pass_id=pass_id)
    if utc_s < from_s:
        return Rejected(Refusal.NOT_YET_VALID, pass_id=pass_id)
    if not uses:
        return Accepted(None, pass_id, duress=False, book=book)
    if pass_id in book.visits and book.visits[pass_id].used >= uses:
        return Rejected(Refusal.USED_UP, pass_id=pass_id)
    after = book.with_visit(pass_id, until_s, utc_s)
    if len(after.visits) > _MAX_VISITS:  # forgetting one would make it good again
        return Rejected(Refusal.TOO_MANY_PASSES, pass_id=pass_id)
    return Accepted(None, pass_id, duress=False, book=after)


def phone_message(public_key: bytes, door: str | None, utc_s: float, nonce: bytes, *, duress: bool = False) -> bytes:
    """What a phone signs. `door` None: any door of the site; `nonce` 8 bytes."""
    door_ref = ANY_DOOR if door is None else reference(door.encode())
    flags = DURESS if duress else 0
    return _PHONE.pack(_VERSION, 1, reference(public_key), door_ref, int(utc_s) // STEP_S, nonce, flags)


def visitor_message(
    public_key: bytes, doors: tuple[str, ...], from_s: int, until_s: int, uses: int, pass_id: bytes
) -> bytes:
    """What the site's pass key signs. `doors` empty: any door; `uses` 0: without limit; `pass_id` 8 bytes."""
    refs = [reference(door.encode()) for door in doors] or [ANY_DOOR]
    head = _VISITOR.pack(_VERSION, 2, reference(public_key), pass_id, from_s, until_s, uses, len(refs))
    return head + b"".join(refs)


def reference(data: bytes) -> bytes:
    """The first 8 bytes of SHA-256: names a key or a door in a pass."""
    return hashlib.sha256(data).digest()[:REF_BYTES]


def base45_encode(data: bytes) -> bytes:
    """RFC 9285."""
    out = bytearray()
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        value = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            value, digit = divmod(value, 45)
            out.append(_ALPHABET[digit])
    return bytes(out)


def base45_decode(text: bytes) -> bytes | None:
    """RFC 9285; None for text that is not base45."""
    values = [_VALUES.get(letter, -1) for letter in text]
    if -1 in values or len(values) % 3 == 1:
        return None
    out = bytearray()
    for at in range(0, len(values), 3):
        group = values[at : at + 3]
        value = sum(digit * 45**place for place, digit in enumerate(group))
        size = len(group) - 1
        if value >= 256**size:
            return None
        out += value.to_bytes(size, "big")
    return bytes(out)
