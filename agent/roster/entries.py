"""What changed entries of the server's roster mean for the door's people; everything within one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from agent.core import roster_feed
from agent.core.bounded import BadValueError, Rejected, integer
from agent.core.roster import SITE_PURPOSE, Person, merged, parse_person
from agent.core.roster_feed import PERSON, REVOKED, SITE, WITHDRAWN, Entries, Refusal
from agent.errors import StoreError

if TYPE_CHECKING:
    from agent.roster.store_feed import FeedTables

NO_HOURS: Final[Mapping[str, Any]] = {"schedules": [], "holidays": [], "unlock_hours": []}
_utc_s = integer(0, 2**40)


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """One template, opened; `vector` is float32 little-endian bytes."""

    person_id: str
    template_id: str
    model_id: str
    alignment_id: str
    quality: float
    vector: bytes


@dataclass(frozen=True, slots=True)
class Purge:
    """Templates of somebody were deleted. `reason`: withdrawn or removed."""

    person_id: str
    at_utc_s: int
    reason: str
    templates: int


def purge_reason(person: Person) -> str:
    """Why somebody who stays has no face any more: a withdrawal stands against earlier consents, a removal does not."""
    consent = person.consent
    return "withdrawn" if consent is not None and consent.withdrawn_utc_s is not None else "removed"


class UnfitError(StoreError, ValueError):
    """What was to be written could not be read again; nothing was."""


class FeedRefusedError(Exception):
    """A revision that is not applied; nothing of it was."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail[:300]


class ChangedPeople:
    """See the module's first line."""

    def __init__(
        self,
        store: FeedTables,
        before: Entries,
        after: Entries,
        sent: list[roster_feed.Template],
        opened: Callable[[roster_feed.Template], bytes],
        utc_s: int,
    ) -> None:
        self._store, self._before, self._after, self._utc_s = store, before, after, utc_s
        self._opened = opened
        self._sent: dict[str, list[roster_feed.Template]] = {}
        for template in sent:
            self._sent.setdefault(template.person_id, []).append(template)

    def apply(self) -> None:
        """Everybody whom the difference concerns. Raises FeedRefusedError, UnfitError."""
        touched = {
            i: None for kind, i in self._before.keys() | self._after.keys() if kind == PERSON and i in self._sent
        }
        for one in roster_feed.difference(self._before, self._after):
            body = self._after.get((one.kind, one.id))
            if one.kind in (PERSON, WITHDRAWN):
                touched[one.id] = None
            elif one.kind == SITE:
                self._site(body)
            if one.kind in (WITHDRAWN, REVOKED) and body is not None:
                _checked_time(json.loads(body), "at_utc_s" if one.kind == WITHDRAWN else "until_s")
        self._phones(touched)
        for person_id in touched:
            self._person(person_id)

    def _site(self, body: str | None) -> None:
        hours = json.loads(body) if body is not None else {}
        if hours.keys() - NO_HOURS.keys():
            raise FeedRefusedError(Refusal.MALFORMED, "site: unknown key")
        self._store.put_hours({**NO_HOURS, **hours})

    def _phones(self, touched: Iterable[str]) -> None:
        """A phone is whose the server says it is: somebody of this door's own who had it goes on without it."""
        own_ids = self._store.ids() - self._store.managed()[PERSON]
        people = (self._parsed(self._after, person_id) for person_id in (touched if own_ids else ()))
        sent = {phone.key_id for person in people if person is not None for phone in person.phones}
        for person_id in own_ids if sent else ():
            own = self._store.known(person_id)
            if isinstance(own, Person) and any(phone.key_id in sent for phone in own.phones):
                self._store.write(replace(own, phones=tuple(p for p in own.phones if p.key_id not in sent)))

    def _person(self, person_id: str) -> None:
        sent, before = self._parsed(self._after, person_id), self._parsed(self._before, person_id)
        here = self._store.known(person_id)
        withdrawn = self._store.withdrawn_utc_s(person_id)
        own = here if isinstance(here, Person) else None  # of an entry that cannot be read nothing is kept
        if sent is not None:
            person = merged(sent, before, own, withdrawn)
            faces = {face.template_id for face in person.faces}
            fresh = [t for t in self._sent.get(person_id, []) if t.template_id in faces]
            self._store.put_sent(person, map(self._stored, fresh), self._utc_s)
        elif before is not None or isinstance(here, Rejected):
            reason = "removed" if before is not None else "withdrawn"
            self._store.drop_sent(person_id, reason, (withdrawn if before is None else None) or self._utc_s)
        elif own is not None:  # only this door's own; the server says that a consent was withdrawn
            self._store.put_sent(merged(own, None, own, withdrawn), (), self._utc_s)

    def _parsed(self, entries: Entries, person_id: str) -> Person | None:
        body = entries.get((PERSON, person_id))
        if body is None:
            return None
        value = json.loads(body)
        found = parse_person(value)
        if isinstance(found, Rejected) or found.id != person_id:
            raise FeedRefusedError(Refusal.MALFORMED, found.reason if isinstance(found, Rejected) else "another id")
        consent = found.consent
        if value.get("faces") and (consent is None or not consent.lawful or consent.purpose != SITE_PURPOSE):
            raise FeedRefusedError(Refusal.NOT_LAWFUL, person_id)
        return found

    def _stored(self, t: roster_feed.Template) -> StoredTemplate:
        return StoredTemplate(t.person_id, t.template_id, t.model_id, t.alignment_id, t.quality, self._opened(t))


def _checked_time(body: object, key: str) -> None:
    try:
        _utc_s(body.get(key) if isinstance(body, dict) else None)
    except BadValueError as e:
        raise FeedRefusedError(Refusal.MALFORMED, f"{key} {e}") from None
