"""What the roster store keeps of the server's roster: its entries as they came, the revision, and what was purged.

Part of RosterStore (roster_store.py): the same file and connection. The server's entries stand in `managed` as they
were sent, so that their digest can be told; `persons` is what follows from them and from what only this door knows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from agent.core import roster_feed
from agent.core.bounded import BadValueError, Rejected, integer
from agent.core.roster import SITE_PURPOSE, VERSION, Person, merged, parse, parse_person, person_json
from agent.core.roster_feed import PERSON, REVOKED, SITE, WITHDRAWN, Entries, Operation, Part, Refusal, RosterApplied
from agent.roster_seal import TextSeal

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


def purge_reason(person: Mapping[str, Any]) -> str:
    """Why somebody who stays has no face any more: a withdrawal stands against earlier consents, a removal does not."""
    consent = person.get("consent")
    return "withdrawn" if consent and consent.get("withdrawn_utc_s") is not None else "removed"


class FeedRefusedError(Exception):
    """A revision that is not applied; nothing of it was."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail[:300]


class FeedTables:
    """See the module's first lines."""

    _db: sqlite3.Connection
    _writable: bool
    _seal: TextSeal

    def _transaction(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def _put_person(self, person: dict[str, Any]) -> None:
        raise NotImplementedError

    def _sealed(self, template: StoredTemplate) -> tuple[str | float | bytes, ...]:
        raise NotImplementedError

    def person(self, person_id: str) -> dict[str, Any] | None:
        """One person, or None."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """Everybody and the site's hours."""
        raise NotImplementedError

    # ------------------------------------------------------------ what was sent

    @property
    def revision(self) -> int:
        """Of the server's roster; 0: none came yet."""
        return int(self._db.execute("SELECT revision FROM feed").fetchone()[0])

    def entries(self) -> dict[tuple[str, str], str]:
        """The server's entries as they came."""
        found = self._db.execute("SELECT kind, id, body FROM managed")
        return {(kind, name): self._seal.opened(f"managed {kind}", name, body) for kind, name, body in found}

    def managed(self) -> dict[str, frozenset[str]]:
        """Ids of the people whom the server keeps and of the passes that it revoked."""
        found = self._db.execute("SELECT kind, id FROM managed").fetchall()
        return {kind: frozenset(name for k, name in found if k == kind) for kind in (PERSON, REVOKED)}

    def heard_utc_s(self) -> int:
        """When the server's word was last known to be fresh, as this door's clock had it; 0: never."""
        return int(self._db.execute("SELECT heard_utc_s FROM feed").fetchone()[0])

    def heard(self, utc_s: int) -> None:
        """The server's word is fresh."""
        with self._transaction():
            self._db.execute("UPDATE feed SET heard_utc_s = ?", (utc_s,))

    # ------------------------------------------------------------ purging

    def scrub(self) -> bool:
        """Empty the write-ahead log, so that nothing deleted stands in it. False while something holds it up."""
        return self._writable and not self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def purges(self) -> list[Purge]:
        """Purges that no receipt was written for."""
        found = self._db.execute("SELECT person_id, at_utc_s, reason, templates FROM purges WHERE told = 0").fetchall()
        return [Purge(*row) for row in found]

    def told(self, purge: Purge) -> None:
        """The receipt is written. A withdrawal is remembered: what came before it is not taken again."""
        which = (purge.person_id, purge.at_utc_s)
        with self._transaction():
            self._db.execute("UPDATE purges SET told = 1 WHERE person_id = ? AND at_utc_s = ?", which)
            self._db.execute("DELETE FROM purges WHERE person_id = ? AND at_utc_s = ? AND reason = 'removed'", which)

    def withdrawn_utc_s(self, person_id: str) -> int | None:
        """When a consent was last withdrawn here, or by the server's word."""
        here = self._db.execute(
            "SELECT max(at_utc_s) FROM purges WHERE person_id = ? AND reason = 'withdrawn'", (person_id,)
        ).fetchone()[0]
        said = self._db.execute("SELECT body FROM managed WHERE kind = ? AND id = ?", (WITHDRAWN, person_id)).fetchone()
        sent = json.loads(self._seal.opened(f"managed {WITHDRAWN}", person_id, said[0])) if said else None
        times = [here, sent["at_utc_s"] if sent else None]
        return max((int(at) for at in times if at is not None), default=None)

    def _purge(self, person_ids: Iterable[str], reason: str, at_utc_s: int) -> None:
        """Delete templates within a transaction and remember that they were."""
        ids = json.dumps(list(person_ids))
        self._db.execute(
            "INSERT INTO purges SELECT person_id, ?, ?, count(*), 0 FROM templates "
            "WHERE person_id IN (SELECT value FROM json_each(?)) GROUP BY person_id "
            "ON CONFLICT DO UPDATE SET templates = templates + excluded.templates, reason = excluded.reason, told = 0",
            (at_utc_s, reason, ids),
        )
        self._db.execute("DELETE FROM templates WHERE person_id IN (SELECT value FROM json_each(?))", (ids,))

    # ------------------------------------------------------------ applying

    def apply(
        self, one: Part, operations: tuple[Operation, ...], opened: Callable[[roster_feed.Template], bytes], utc_s: int
    ) -> RosterApplied:
        """Take a complete sending in one transaction. `opened` gives a sealed template's vector.

        Raises:
            FeedRefusedError: it is not what it should be; nothing was changed.
            StoreError: it could not be written; nothing was changed.
        """
        with self._transaction():
            before = self.entries()
            after = roster_feed.applied(before if one.base is not None else {}, operations)
            if roster_feed.digest(after) != one.digest:
                raise FeedRefusedError(Refusal.BAD_DIGEST)
            self._write_entries(before, after)
            sent = [t for t in operations if isinstance(t, roster_feed.Template)]
            _People(self, before, after, sent, opened, utc_s).apply()
            found = parse({"v": VERSION, **self.snapshot_here()})
            if isinstance(found, Rejected):
                raise FeedRefusedError(Refusal.MALFORMED, found.reason)
            self._db.execute("UPDATE feed SET revision = ?", (one.revision,))
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
            templates = sum(len(person.faces) for person in found.persons.values())
        self.scrub()
        return RosterApplied(one.revision, one.digest, one.base, len(found.persons), templates)

    def snapshot_here(self) -> dict[str, Any]:
        """As `snapshot`, within a transaction that is open already."""
        raise NotImplementedError

    def _write_entries(self, before: Entries, after: Entries) -> None:
        gone = before.keys() - after.keys()
        self._db.executemany("DELETE FROM managed WHERE kind = ? AND id = ?", sorted(gone))
        fresh = [(kind, name, body) for (kind, name), body in after.items() if before.get((kind, name)) != body]
        new = [(kind, name, self._seal.sealed(f"managed {kind}", name, body)) for kind, name, body in fresh]
        self._db.executemany("INSERT OR REPLACE INTO managed VALUES (?, ?, ?)", new)

    def put_site(self, hours: Mapping[str, Any]) -> None:
        """The site's hours, within a transaction."""
        self._db.execute("UPDATE site SET body = ?", (json.dumps(hours, ensure_ascii=False, sort_keys=True),))

    def put_sent(self, person: Person, templates: Iterable[StoredTemplate], utc_s: int) -> None:
        """A person as the server and this door together know her, within a transaction."""
        if not person.faces:
            self._purge([person.id], purge_reason(person_json(person)), utc_s)
        self._put_person(person_json(person))
        listed = json.dumps([face.template_id for face in person.faces])
        self._db.execute(
            "DELETE FROM templates WHERE person_id = ? AND template_id NOT IN (SELECT value FROM json_each(?))",
            (person.id, listed),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", map(self._sealed, templates)
        )
        stored = self._db.execute("SELECT count(*) FROM templates WHERE person_id = ?", (person.id,)).fetchone()[0]
        if stored != len(person.faces):
            raise FeedRefusedError(Refusal.FACE_MISSING, person.id)

    def drop_sent(self, person_id: str, utc_s: int) -> None:
        """Somebody is no longer in the server's roster, within a transaction."""
        self._purge([person_id], "removed", utc_s)
        self._db.execute("DELETE FROM persons WHERE id = ?", (person_id,))


class _People:
    """What changed entries mean for the door's people; everything happens within one transaction."""

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
        for person_id in touched:
            self._person(person_id)

    def _site(self, body: str | None) -> None:
        hours = json.loads(body) if body is not None else {}
        if hours.keys() - NO_HOURS.keys():
            raise FeedRefusedError(Refusal.MALFORMED, "site: unknown key")
        self._store.put_site({**NO_HOURS, **hours})

    def _person(self, person_id: str) -> None:
        sent, before = self._parsed(self._after, person_id), self._parsed(self._before, person_id)
        stored = self._store.person(person_id)
        here = parse_person(stored) if stored else None
        if isinstance(here, Rejected):
            raise FeedRefusedError(Refusal.MALFORMED, here.reason)
        withdrawn = self._store.withdrawn_utc_s(person_id)
        if sent is not None:
            person = merged(sent, before, here, withdrawn)
            faces = {face.template_id for face in person.faces}
            fresh = [t for t in self._sent.get(person_id, []) if t.template_id in faces]
            self._store.put_sent(person, map(self._stored, fresh), self._utc_s)
        elif before is not None:
            self._store.drop_sent(person_id, self._utc_s)
        elif here is not None:  # only this door's own; the server says that a consent was withdrawn
            self._store.put_sent(merged(here, None, here, withdrawn), (), self._utc_s)

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
