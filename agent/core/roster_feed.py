"""The roster as the server sends it: entries with a revision and a digest, whole or as the difference to what is there.

A door's part of the site's roster is a set of entries: kind and id name one, its body is JSON. The digest of a set is
SHA-256 over its sorted lines, so both sides can say in 64 letters whether they hold the same. On `dn/roster` travel, as
PASETO v4.public tokens bound to the door:

    head    revision and digest that the door should have; kept by the broker. One that names the door's own fresh
            challenge proves that the server is there now: it renews the lease.
    part    number `number` of `parts` of the way to a revision: from nothing (`base` None) or from revision `base`

Parts are collected in memory, applied in one transaction, and only if the digest of what comes out is the one named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from agent.core.bounded import (
    BadValueError,
    Rejected,
    base64_bytes,
    integer,
    number,
    optional,
    parse,
    rows,
    text,
    word,
    written,
)
from agent.core.journal import canonical

MAX_TOKEN_BYTES: Final = 200 * 1024
MAX_PARTS: Final = 2048
MAX_OPERATIONS: Final = 2000  # of one part
MAX_BODY_BYTES: Final = 64 * 1024  # a person is far below it; hours of 200 schedules fit in
MAX_REVISION: Final = 2**53 - 1
PART_BYTES: Final = 96 * 1024  # of a part's operations as text; a third more as a token
WANT_SEALING_KEY: Final = b'{"want":"sealing-key"}'  # unsigned, as WANT_CHALLENGE: the answer is public
NOTHING: Final = hashlib.sha256(b"").hexdigest()

PERSON: Final = "person"
SITE: Final = "site"  # its one id is ""
REVOKED: Final = "revoked-pass"
WITHDRAWN: Final = "withdrawn"  # also of people whom only the door knows
KINDS: Final = (PERSON, SITE, REVOKED, WITHDRAWN)

Entries: TypeAlias = Mapping[tuple[str, str], str]  # (kind, id) -> body in canonical JSON


class Refusal(StrEnum):
    """Why something on `dn/roster` is not taken. Nothing of it is applied."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    OTHER_DOOR = "other-door"
    BAD_SIGNATURE = "bad-signature"
    RETAINED = "retained"  # a part that the broker kept
    ROLLED_BACK = "rolled-back"
    REPLAYED = "replayed"
    NO_SUCH_BASE = "no-such-base"
    BAD_DIGEST = "bad-digest"
    NOT_SEALED_FOR_ME = "not-sealed-for-this-door"
    FACE_MISSING = "face-missing"
    NOT_LAWFUL = "not-lawful"  # a face without the consent for it


def _json(value: object) -> str:
    """An object, kept as canonical JSON."""
    if not isinstance(value, dict):
        raise BadValueError("must be an object")
    try:
        found = canonical(value)
    except (ValueError, RecursionError) as error:
        raise BadValueError("has no canonical form") from error
    if len(found.encode()) > MAX_BODY_BYTES:
        raise BadValueError(f"is larger than {MAX_BODY_BYTES} bytes")
    return found


_Digest = Annotated[str, text(64)]
_Revision = Annotated[int, integer(1, MAX_REVISION)]
_Id = Annotated[str, text(128)]


@dataclass(frozen=True, slots=True)
class Head:
    """What a door should have."""

    TYPE: ClassVar = "head"
    revision: _Revision
    digest: _Digest
    challenge: Annotated[str | None, optional(text(64))] = None


@dataclass(frozen=True, slots=True)
class Put:
    """An entry, new or instead of the one there was."""

    TYPE: ClassVar = "put"
    kind: Annotated[str, word(*KINDS)]
    id: _Id
    body: Annotated[str, _json]


@dataclass(frozen=True, slots=True)
class Drop:
    """No such entry any more."""

    TYPE: ClassVar = "drop"
    kind: Annotated[str, word(*KINDS)]
    id: _Id


@dataclass(frozen=True, slots=True)
class Template:
    """A face template, sealed to the door's key and bound to door, person, template, network and alignment."""

    TYPE: ClassVar = "template"
    person_id: _Id
    template_id: _Id
    model_id: _Id
    alignment_id: _Id
    quality: Annotated[float, number(0, 1)]
    sealed: Annotated[bytes, base64_bytes(8192)]


Operation: TypeAlias = Put | Drop | Template
_OPERATIONS: Final[Mapping[str, type[Operation]]] = {kind.TYPE: kind for kind in (Put, Drop, Template)}


def _operation(value: object) -> Operation:
    found = parse(value, _OPERATIONS) if isinstance(value, dict) else Rejected("must be an object")
    if isinstance(found, Rejected):
        raise BadValueError(found.reason)
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """One of `parts` messages of the sending `sending`; `digest` is that of the whole result."""

    TYPE: ClassVar = "part"
    revision: _Revision
    base: Annotated[int | None, optional(integer(1, MAX_REVISION))]
    digest: _Digest
    sending: Annotated[str, text(32)]
    number: Annotated[int, integer(1, MAX_PARTS)]
    parts: Annotated[int, integer(1, MAX_PARTS)]
    operations: Annotated[tuple[Operation, ...], rows(_operation, MAX_OPERATIONS)]


_MESSAGES: Final[Mapping[str, type[Head | Part]]] = {kind.TYPE: kind for kind in (Head, Part)}


def read(claims: bytes) -> Head | Part | Rejected:
    """What a token said, once its signature holds."""
    try:
        value = json.loads(claims)
    except (ValueError, RecursionError):
        return Rejected("not JSON")
    return parse(value, _MESSAGES) if isinstance(value, dict) else Rejected("not an object")


def message(what: Head | Part) -> dict[str, Any]:
    """JSON-shaped: what `read` reads back as an equal message."""
    if isinstance(what, Head):
        return {"type": what.TYPE, **written(what)}
    told = {"type": what.TYPE, **written(replace(what, operations=()))}
    return told | {"operations": [_told(one) for one in what.operations]}


def _told(one: Operation) -> dict[str, Any]:
    told = {"type": one.TYPE, **written(one)}
    return told | {"body": json.loads(one.body)} if isinstance(one, Put) else told


def digest(entries: Entries) -> str:
    """SHA-256 (hex) over a line for each entry, in the order of kind and id: ["kind","id","SHA-256 of its body"]."""
    whole = hashlib.sha256()
    for (kind, name), body in sorted(entries.items()):
        line = canonical([kind, name, hashlib.sha256(body.encode()).hexdigest()])
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def difference(before: Entries, after: Entries) -> Iterator[Put | Drop]:
    """What leads from one set to the other; from {} it is everything."""
    for kind, name in sorted(before.keys() - after.keys()):
        yield Drop(kind, name)
    for (kind, name), body in sorted(after.items()):
        if before.get((kind, name)) != body:
            yield Put(kind, name, body)


def applied(before: Entries, operations: Iterable[Operation]) -> dict[tuple[str, str], str]:
    """The set that comes out."""
    found = dict(before)
    for one in operations:
        if isinstance(one, Put):
            found[one.kind, one.id] = one.body
        elif isinstance(one, Drop):
            found.pop((one.kind, one.id), None)
    return found


def cut(what: Part, operations: Iterable[Operation]) -> list[Part]:
    """`what` once for each message that its operations need; at least one."""
    groups: list[list[Operation]] = [[]]
    size = 0
    for one in operations:
        length = len(json.dumps(_told(one)))
        if groups[-1] and (size + length > PART_BYTES or len(groups[-1]) >= MAX_OPERATIONS):
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += length
    return [
        replace(what, number=n, parts=len(groups), operations=tuple(group)) for n, group in enumerate(groups, start=1)
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """What a door has: revision 0 is nothing yet. `floor` is the highest it ever had, as its journal remembers it."""

    revision: int = 0
    digest: str = NOTHING
    floor: int = 0


def refusal(held: Held, one: Part) -> Refusal | None:
    """Why this part can lead nowhere, or None. The same revision again is taken only to mend another digest."""
    if one.revision < max(held.revision, held.floor):
        return Refusal.ROLLED_BACK
    if one.revision == held.revision and one.digest == held.digest:
        return Refusal.REPLAYED
    if one.base is not None and one.base != held.revision:
        return Refusal.NO_SUCH_BASE
    return Refusal.MALFORMED if one.number > one.parts else None


@dataclass(frozen=True, slots=True)
class Collected:
    """The parts of one sending, as far as they came."""

    parts: tuple[Part, ...] = ()

    def with_part(self, one: Part) -> Collected:
        """A part of another sending, or one that contradicts the first, begins anew."""
        same = self.parts and _way(self.parts[0]) == _way(one)
        kept = tuple(p for p in self.parts if p.number != one.number) if same else ()
        return Collected((*kept, one))

    def complete(self) -> tuple[Operation, ...] | None:
        """Every operation in order, once every part is there."""
        if not self.parts or len(self.parts) < self.parts[0].parts:
            return None
        return tuple(one for p in sorted(self.parts, key=lambda p: p.number) for one in p.operations)


def _way(p: Part) -> tuple[object, ...]:
    return p.sending, p.revision, p.base, p.digest, p.parts


def seal_binding(door: str, person_id: str, template_id: str, model_id: str, alignment_id: str) -> bytes:
    """What a sealed template is bound to: it opens for no other door, person, template or network."""
    return json.dumps(["roster-template", door, person_id, template_id, model_id, alignment_id]).encode()
