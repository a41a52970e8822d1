"""What comes on `dn/roster`: checked, collected, applied to the store. Used by the roster's thread only."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
import time
from collections.abc import Callable
from typing import Any, Final

import pyseto

from agent.core.bounded import Rejected
from agent.core.roster_feed import (
    MAX_TOKEN_BYTES,
    Collected,
    Head,
    Held,
    Part,
    Refusal,
    Template,
    digest,
    read,
    refusal,
    seal_binding,
)
from agent.core.stream import RosterArrived
from agent.errors import StoreError
from agent.identity import Identity
from agent.roster.entries import FeedRefusedError
from agent.roster.news import RosterAnnounced, RosterRefused
from agent.roster.store import RosterStore

_TOLD_EVERY_S: Final = 1.0  # refusals: junk can't fill the journal
LENGTHS: Final = (0.84, 1.31)  # of a face's vector: models/scale.py, which this process does not load
PURPOSE: Final = "roster"


def bound_to(door: str) -> bytes:
    """The implicit assertion of roster tokens: an acknowledgement or a command never passes for one."""
    return f"{PURPOSE}:{door}".encode()


def signed(key: pyseto.KeyInterface, door: str, claims: dict[str, Any]) -> bytes:
    """The other end, for servers: one message of `dn/roster` for `door` ("site/id")."""
    footer = json.dumps({"door": door}).encode()
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    return bytes(pyseto.encode(key, payload, footer=footer, implicit_assertion=bound_to(door)))


class Intake:
    """`floor`: the highest revision that this door ever had, as its journal remembers it.

    `key` is the server's public key; None for a door without a server, whose roster is its own.
    """

    def __init__(
        self,
        door: str,
        post: Callable[[object], None],
        *,
        key: pyseto.KeyInterface | None,
        identity: Identity | None,
        floor: int,
    ) -> None:
        self._door, self._post, self._key, self._identity, self._floor = door, post, key, identity, floor
        self._collected = Collected()
        self._held = Held()
        self._looked: tuple[int, int] | None = None
        self._more, self._told_s = 0, float("-inf")

    def believe(self, key: pyseto.KeyInterface) -> None:
        """Another key of the server, from any thread."""
        self._key = key

    def missed(self) -> None:
        """A message that nobody had time for: the server sends again while the digests differ."""
        self._more += 1

    def look(self, store: RosterStore) -> Held:
        """What the store has of the server's roster; worked out again only where somebody changed it."""
        revision, version = store.revision, store.data_version()
        if self._looked != (revision, version):
            self._held = Held(revision, digest(store.entries()), max(self._floor, revision))
            self._floor, self._looked = self._held.floor, (revision, version)
        return self._held

    def message(self, store: RosterStore, event: RosterArrived) -> None:
        """Take one message; what came of it is posted."""
        if self._key is None:
            return
        found = self._opened(self._key, event.payload)
        if isinstance(found, Head):
            self._post(RosterAnnounced(found.revision, found.digest, None if event.retained else found.challenge))
        elif isinstance(found, Part):
            self._part(store, found, retained=event.retained)
        else:
            self._refuse(found)

    def _part(self, store: RosterStore, part: Part, *, retained: bool) -> None:
        held = self.look(store)
        reason = Refusal.RETAINED if retained else refusal(held, part)
        if reason is not None:
            self._refuse(RosterRefused(reason, "", part.revision))
            return
        self._collected = self._collected.with_part(part)
        operations = self._collected.complete()
        if operations is None:
            return
        self._collected = Collected()
        try:
            self._post(store.apply(part, operations, self._vector, int(time.time())))
        except FeedRefusedError as e:
            self._refuse(RosterRefused(e.reason, e.detail, part.revision))
        except StoreError as e:
            self._refuse(RosterRefused("not-stored", str(e)[:300], part.revision))
        self._looked = None

    def _opened(self, key: pyseto.KeyInterface, token: bytes) -> Head | Part | RosterRefused:
        """The signature is checked before any claim is read; whose it is, said by the footer, before the signature."""
        if len(token) > MAX_TOKEN_BYTES:
            return RosterRefused(Refusal.OVERSIZED)
        door = _footer_door(token)
        if door is None:
            return RosterRefused(Refusal.MALFORMED, "not a token for a door")
        if door != self._door:
            return RosterRefused(Refusal.OTHER_DOOR)
        try:
            payload = pyseto.decode(key, token, implicit_assertion=bound_to(self._door)).payload
        except (pyseto.PysetoError, ValueError, TypeError):
            return RosterRefused(Refusal.BAD_SIGNATURE)
        found = read(payload if isinstance(payload, bytes) else b"")
        return RosterRefused(Refusal.MALFORMED, found.reason) if isinstance(found, Rejected) else found

    def _vector(self, t: Template) -> bytes:
        binding = seal_binding(self._door, t.person_id, t.template_id, t.model_id, t.alignment_id)
        vector = self._identity.opened(t.sealed, binding) if self._identity is not None else None
        if vector is None:
            raise FeedRefusedError(Refusal.NOT_SEALED_FOR_ME, t.person_id)
        if not _is_a_face(vector):
            raise FeedRefusedError(Refusal.MALFORMED, f"{t.person_id}: {t.template_id} is not the vector of a face")
        return vector

    def _refuse(self, refused: RosterRefused) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < _TOLD_EVERY_S:
            self._more += 1
            return
        self._told_s, more, self._more = now_s, self._more, 0
        self._post(RosterRefused(str(refused.reason), refused.detail, refused.revision, more))


def _is_a_face(vector: bytes) -> bool:
    """float32 little endian, finite, of a length that says how clear a face is."""
    if not vector or len(vector) % 4:
        return False
    length = math.sqrt(sum(x * x for x in struct.unpack(f"<{len(vector) // 4}f", vector)))
    return LENGTHS[0] <= length <= LENGTHS[1]


def _footer_door(token: bytes) -> str | None:
    if not token.startswith(b"v4.public.") or token.count(b".") != 3:  # noqa: PLR2004  header (2), payload, footer
        return None
    footer = token.rsplit(b".", 1)[1]
    try:
        value = json.loads(base64.urlsafe_b64decode(footer + b"=" * (-len(footer) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    door = value.get("door") if isinstance(value, dict) else None
    return door if isinstance(door, str) else None
