"""Takes what comes on `dn/roster`: checks, collects, applies; and sees that what was purged is gone from the disk.

One thread with a connection of its own to the store: a whole roster can take seconds to write on an SD card, and the
controller, which holds the relay, never waits for it. What came of it is posted; the controller reads the store anew
when it sees that it changed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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
    RosterAnnounced,
    RosterRefused,
    Template,
    digest,
    read,
    refusal,
    seal_binding,
)
from agent.core.stream import RosterArrived
from agent.errors import StoreError
from agent.identity import Identity
from agent.mailbox import guarded
from agent.roster_store import RosterStore
from agent.roster_store_feed import FeedRefusedError, Purge

_WAITING: Final = 4096
_TOLD_EVERY_S: Final = 1.0  # refusals: junk can't fill the journal
_PURGES_EVERY_S: Final = 1.0
_EXPIRED_EVERY_S: Final = 3600.0
_PURGE_AGAIN_S: Final = 30.0  # a receipt whose commit was not heard of is written again, rather twice than never
PURPOSE: Final = "roster"


def bound_to(door: str) -> bytes:
    """The implicit assertion of roster tokens: an acknowledgement or a command never passes for one."""
    return f"{PURPOSE}:{door}".encode()


def signed(key: pyseto.KeyInterface, door: str, claims: dict[str, Any]) -> bytes:
    """The other end, for servers: one message of `dn/roster` for `door` ("site/id")."""
    footer = json.dumps({"door": door}).encode()
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    return bytes(pyseto.encode(key, payload, footer=footer, implicit_assertion=bound_to(door)))


@dataclass(frozen=True, slots=True)
class Purged:
    """Templates of somebody are gone from the store and its write-ahead log; the receipt is to be written."""

    purge: Purge


class RosterClerk:
    """`floor`: the highest revision that this door ever had, as its journal remembers it.

    `key` is the server's public key; None for a door without a server, whose roster is its own. `expired` is called
    once an hour with the store, to forget people whose time is over.
    """

    def __init__(
        self,
        door: str,
        folder: Path,
        post: Callable[[object], None],
        *,
        key: pyseto.KeyInterface | None = None,
        identity: Identity | None = None,
        floor: int = 0,
        expired: Callable[[RosterStore], None] | None = None,
    ) -> None:
        self._door, self._folder, self._key, self._identity, self._post = door, folder, key, identity, post
        self._floor, self._expired = floor, expired
        self._inbox: queue.Queue[RosterArrived | Callable[[RosterStore], None] | None] = queue.Queue(_WAITING)
        self._purges_told_s: dict[Purge, float] = {}
        self._expired_due_s = 0.0
        self._collected = Collected()
        self._held = Held()
        self._more, self._told_s = 0, float("-inf")
        self._thread = threading.Thread(target=self._run, name="roster", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def take(self, event: RosterArrived) -> None:
        """From any thread. A full inbox drops the message: the server sends again while the digests differ."""
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            self._more += 1

    def heard(self, utc_s: int) -> None:
        """The server's word was fresh at this wall time: survives a restart."""
        self._put(lambda store: store.heard(utc_s))

    def told(self, purge: Purge) -> None:
        """The receipt of a purge is in the journal."""
        self._put(lambda store: store.told(purge))

    def _put(self, work: Callable[[RosterStore], None]) -> None:
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(work)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what waits and end. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join(timeout_s)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        store = RosterStore(self._folder)
        try:
            self._look(store)
            message = guarded(self._post, "roster", functools.partial(self._work, store))
            purges = guarded(self._post, "purges", self._look_for_purges)
            due_s = 0.0
            while True:
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + _PURGES_EVERY_S
                    purges(store)
                with contextlib.suppress(queue.Empty):
                    work = self._inbox.get(timeout=_PURGES_EVERY_S)
                    if work is None:
                        return
                    message(work)
        finally:
            store.close()

    def _work(self, store: RosterStore, work: RosterArrived | Callable[[RosterStore], None]) -> None:
        if not isinstance(work, RosterArrived):
            work(store)
        elif self._key is not None:
            self._message(store, self._key, work)

    def _look_for_purges(self, store: RosterStore) -> None:
        now_s = time.monotonic()
        if self._expired is not None and now_s >= self._expired_due_s:
            self._expired_due_s = now_s + _EXPIRED_EVERY_S
            self._expired(store)
        waiting = [p for p in store.purges() if now_s - self._purges_told_s.get(p, -_PURGE_AGAIN_S) >= _PURGE_AGAIN_S]
        if waiting and store.scrub():  # a reader that holds the log up is waited for
            for purge in waiting:
                self._purges_told_s[purge] = now_s
                self._post(Purged(purge))

    def _look(self, store: RosterStore) -> None:
        revision = store.revision
        self._held = Held(revision, digest(store.entries()), max(self._floor, revision))
        self._floor = self._held.floor

    def _message(self, store: RosterStore, key: pyseto.KeyInterface, event: RosterArrived) -> None:
        found = self._opened(key, event.payload)
        if isinstance(found, Head):
            self._post(RosterAnnounced(found.revision, found.digest, None if event.retained else found.challenge))
        elif isinstance(found, Part):
            self._part(store, found, retained=event.retained)
        else:
            self._refuse(found)

    def _part(self, store: RosterStore, part: Part, *, retained: bool) -> None:
        self._look(store)
        reason = Refusal.RETAINED if retained else refusal(self._held, part)
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
        self._look(store)

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
        return vector

    def _refuse(self, refused: RosterRefused) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < _TOLD_EVERY_S:
            self._more += 1
            return
        self._told_s, more, self._more = now_s, self._more, 0
        self._post(RosterRefused(str(refused.reason), refused.detail, refused.revision, more))


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
