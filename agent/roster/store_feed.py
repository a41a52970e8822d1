"""What the roster store keeps of the server's roster: its entries as they came, the revision, and what was purged.

Part of RosterStore (roster/store.py): the same file and connection. The server's entries stand in `managed` as they
were sent, so that their digest can be told; `persons` is what follows from them and from what only this door knows.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from agent.core import roster_feed
from agent.core.bounded import Rejected
from agent.core.roster import Consent, Person, parse_person
from agent.core.roster_feed import PERSON, REVOKED, WITHDRAWN, Entries, Operation, Part, Refusal
from agent.errors import StoreError
from agent.roster.entries import ChangedPeople, FeedRefusedError, Purge, StoredTemplate, UnfitError, purge_reason
from agent.roster.news import RosterApplied
from agent.roster.seal import TextSeal


class FeedTables:
    """See the module's first lines."""

    _db: sqlite3.Connection
    _writable: bool
    _seal: TextSeal

    def transaction(self) -> AbstractContextManager[None]:
        """See RosterStore, as for the rest of these."""
        raise NotImplementedError

    def known(self, person_id: str) -> Person | Rejected | None:
        """See RosterStore."""
        raise NotImplementedError

    def write(self, person: Person, templates: Collection[StoredTemplate] | None = None) -> None:
        """See RosterStore."""
        raise NotImplementedError

    def keep_only(self, person: Person, fresh: Iterable[StoredTemplate]) -> None:
        """See RosterStore."""
        raise NotImplementedError

    def drop(self, person_id: str) -> bool:
        """See RosterStore."""
        raise NotImplementedError

    def ids(self) -> set[str]:
        """See RosterStore."""
        raise NotImplementedError

    def put_hours(self, hours: Mapping[str, Any]) -> None:
        """See RosterStore."""
        raise NotImplementedError

    def template_count(self) -> int:
        """See RosterStore."""
        raise NotImplementedError

    # ------------------------------------------------------------ what was sent

    @property
    def revision(self) -> int:
        """Of the server's roster; 0: none came yet."""
        return int(self._db.execute("SELECT revision FROM feed").fetchone()[0])

    def entries(self) -> dict[tuple[str, str], str]:
        """The server's entries as they came; one that was altered is none: the digest tells, the server mends it."""
        found = {}
        for kind, name, body in self._db.execute("SELECT kind, id, body FROM managed"):
            with contextlib.suppress(StoreError):
                found[kind, name] = self._seal.opened(f"managed {kind}", name, body)
        return found

    def managed(self) -> dict[str, frozenset[str]]:
        """Ids of the people whom the server keeps and of the passes that it revoked."""
        found = self._db.execute("SELECT kind, id FROM managed").fetchall()
        return {kind: frozenset(name for k, name in found if k == kind) for kind in (PERSON, REVOKED)}

    def manages(self, person_id: str) -> bool:
        """Whether the server keeps this person."""
        found = self._db.execute("SELECT 1 FROM managed WHERE kind = ? AND id = ?", (PERSON, person_id))
        return found.fetchone() is not None

    def heard_utc_s(self) -> int:
        """When the server's word was last known to be fresh, as this door's clock had it; 0: never."""
        return int(self._db.execute("SELECT heard_utc_s FROM feed").fetchone()[0])

    def heard(self, utc_s: int) -> None:
        """The server's word is fresh."""
        with self.transaction():
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
        with self.transaction():
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

    def sent_consent(self, person_id: str) -> Consent | None:
        """The consent of which the server's entry of this person speaks."""
        row = self._db.execute("SELECT body FROM managed WHERE kind = ? AND id = ?", (PERSON, person_id)).fetchone()
        with contextlib.suppress(StoreError, ValueError):
            found = parse_person(json.loads(self._seal.opened(f"managed {PERSON}", person_id, row[0]))) if row else None
            return found.consent if isinstance(found, Person) else None
        return None

    def remember_withdrawal(self, person_id: str, at_utc_s: int) -> None:
        """Also of somebody who had no template here: what was agreed to before does not count again."""
        row = (person_id, at_utc_s)
        self._db.execute("INSERT INTO purges VALUES (?, ?, 'withdrawn', 0, 1) ON CONFLICT DO NOTHING", row)

    def purge(self, person_ids: Iterable[str], reason: str, at_utc_s: int) -> None:
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
        try:
            with self.transaction():
                self._apply(one, operations, opened, utc_s)
        except UnfitError as e:
            raise FeedRefusedError(Refusal.MALFORMED, str(e)) from e
        self.scrub()
        people = self._db.execute("SELECT count(*) FROM persons").fetchone()[0]
        return RosterApplied(one.revision, one.digest, one.base, people, self.template_count())

    def _apply(
        self, one: Part, operations: tuple[Operation, ...], opened: Callable[[roster_feed.Template], bytes], utc_s: int
    ) -> None:
        before = self.entries()
        after = roster_feed.applied(before if one.base is not None else {}, operations)
        if roster_feed.digest(after) != one.digest:
            raise FeedRefusedError(Refusal.BAD_DIGEST)
        spoiled = self._write_entries(before, after)
        sent = [t for t in operations if isinstance(t, roster_feed.Template)]
        ChangedPeople(self, before, after, sent, opened, utc_s).apply()
        for person_id in sorted(spoiled):  # no difference names whose entry could not be read any more
            self.drop_sent(person_id, "removed", utc_s)
        self._db.execute("UPDATE feed SET revision = ?", (one.revision,))
        self._db.execute("UPDATE meta SET epoch = epoch + 1")

    def _write_entries(self, before: Entries, after: Entries) -> set[str]:
        """Returns people who are not there any more and were not in `before` either: their entries did not open."""
        gone = {(kind, name) for kind, name in self._db.execute("SELECT kind, id FROM managed")} - after.keys()
        self._db.executemany("DELETE FROM managed WHERE kind = ? AND id = ?", sorted(gone))
        fresh = [(kind, name, body) for (kind, name), body in after.items() if before.get((kind, name)) != body]
        new = [(kind, name, self._seal.sealed(f"managed {kind}", name, body)) for kind, name, body in fresh]
        self._db.executemany("INSERT OR REPLACE INTO managed VALUES (?, ?, ?)", new)
        return {name for kind, name in gone - before.keys() if kind == PERSON}

    def put_sent(self, person: Person, templates: Iterable[StoredTemplate], utc_s: int) -> None:
        """A person as the server and this door together know her, within a transaction."""
        if not person.faces:
            withdrawn = person.consent.withdrawn_utc_s if person.consent is not None else None
            self.purge([person.id], purge_reason(person), utc_s if withdrawn is None else withdrawn)
        self.write(person)
        self.keep_only(person, templates)
        stored = self._db.execute("SELECT count(*) FROM templates WHERE person_id = ?", (person.id,)).fetchone()[0]
        if stored != len(person.faces):
            raise FeedRefusedError(Refusal.FACE_MISSING, person.id)

    def drop_sent(self, person_id: str, reason: str, utc_s: int) -> None:
        """Somebody is no longer in the server's roster, within a transaction. `reason` as in Purge."""
        self.purge([person_id], reason, utc_s)
        self.drop(person_id)
