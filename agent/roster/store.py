"""Residents, their sealed face templates and the site's hours on disk.

Persons stand as sealed JSON (roster/seal.py), the site's schedules, holidays and unlock hours as one JSON row
(agent/core/roster.py says what they hold). Each template is sealed with AES-256-GCM under a key kept outside the
database file, bound to person, template, network and alignment: moved to another person it does not open. No picture is
ever stored. One connection, one thread; WAL, synchronous=FULL.

Whatever is written can be read again: before a transaction is kept, everybody it touched is looked at as a reader would
(`_verify`), and it is undone where a reader would stumble.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.core.bounded import BadValueError, Rejected
from agent.core.roster import Person, parse_person, person_json
from agent.core.roster_stored import read_hours
from agent.errors import StoreError
from agent.roster.entries import NO_HOURS, StoredTemplate, UnfitError
from agent.roster.file import Transaction, open_roster
from agent.roster.schema import SCHEMA_VERSION, bring_up_to_date, downgrade
from agent.roster.seal import TextSeal, load_key
from agent.roster.store_feed import FeedTables
from agent.roster.verify import Written

__all__ = ["SCHEMA_VERSION", "RosterStore", "StoredTemplate", "UnfitError", "downgrade"]

_NONCE_BYTES: Final = 12
_MAX_VECTOR_BYTES: Final = 4 * 512
_TEMPLATES: Final = (
    "SELECT person_id, template_id, quality, nonce, sealed FROM templates WHERE model_id = ? AND alignment_id = ?"
)
_OF_THESE: Final = "AND person_id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Look:
    """What the file holds at one moment. `rows`: id and sealed entry of each person."""

    epoch: int
    hours: str
    rows: list[tuple[str, str]]


class RosterStore(FeedTables):
    """The door's own people. Raises StoreError, with what to do, for a file it cannot use."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "roster.db"
        self._cipher = AESGCM(load_key(folder / "roster.key", self._path))
        self._seal = TextSeal(self._cipher, self._path)
        self._written = Written()
        self._db, self._writable = open_roster(self._path, self._prepare)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ------------------------------------------------------------ reading

    @property
    def epoch(self) -> int:
        """Rises with every change."""
        return int(self._db.execute("SELECT epoch FROM meta").fetchone()[0])

    def data_version(self) -> int:
        """Changes when another process changed the file."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def look(self) -> Look:
        """Everybody, sealed, and the site's hours, at one moment whatever another process writes meanwhile."""
        self._db.execute("BEGIN")
        try:
            return self.look_here()
        finally:
            self._db.execute("COMMIT")

    def look_here(self) -> Look:
        """The same within a transaction."""
        hours = self._db.execute("SELECT body FROM site").fetchone()[0]
        return Look(self.epoch, hours, self._db.execute("SELECT id, body FROM persons ORDER BY id").fetchall())

    def hours(self) -> dict[str, Any]:
        """The site's hours, JSON-shaped; none where they cannot be read."""
        try:
            found = json.loads(self._db.execute("SELECT body FROM site").fetchone()[0])
            read_hours(found)
        except (ValueError, RecursionError):
            return dict(NO_HOURS)
        return dict(found)

    def opened(self, person_id: str, sealed: str) -> Any:  # noqa: ANN401  JSON-shaped
        """One entry of a `Look`. Raises StoreError where it does not open, ValueError where it is no JSON."""
        return json.loads(self._seal.opened("person", person_id, sealed))

    def snapshot(self) -> dict[str, Any]:
        """Epoch, everybody and the site's hours at one moment, as core/roster.py's JSON shape."""
        look = self.look()
        persons = [self.opened(name, body) for name, body in look.rows]
        return {**json.loads(look.hours), "epoch": look.epoch, "persons": persons}

    def person(self, person_id: str) -> dict[str, Any] | None:
        """One person, or None."""
        row = self._db.execute("SELECT body FROM persons WHERE id = ?", (person_id,)).fetchone()
        return self.opened(person_id, row[0]) if row else None

    def ids(self) -> set[str]:
        """Of everybody, also of those whose entry cannot be read."""
        return {person_id for (person_id,) in self._db.execute("SELECT id FROM persons")}

    def known(self, person_id: str) -> Person | Rejected | None:
        """One person as a reader sees her: Rejected where the entry cannot be read, None where there is none."""
        row = self._db.execute("SELECT body FROM persons WHERE id = ?", (person_id,)).fetchone()
        return self.read(person_id, row[0]) if row else None

    def read(self, person_id: str, sealed: str) -> Person | Rejected:
        """One row of a `Look` as a person, or why it is none."""
        try:
            found = parse_person(self.opened(person_id, sealed))
        except (StoreError, ValueError) as e:
            return Rejected(f"does not open: {e}")
        return found if isinstance(found, Rejected) or found.id == person_id else Rejected("is the entry of another id")

    def template_count(self) -> int:
        """Templates of all networks."""
        return int(self._db.execute("SELECT count(*) FROM templates").fetchone()[0])

    def template_ids(self, person_id: str) -> set[str]:
        """Of one person, of all networks."""
        return {i for (i,) in self._db.execute("SELECT template_id FROM templates WHERE person_id = ?", (person_id,))}

    def templates(
        self,
        model_id: str,
        alignment_id: str,
        people: Collection[str] | None = None,
        unreadable: set[str] | None = None,
    ) -> Iterator[StoredTemplate]:
        """Opened templates of one network and alignment, of everybody or of these people.

        Of one that does not open, the person's id is added to `unreadable`, if that is given.

        Raises:
            StoreError: a template does not open (wrong key, or the row was altered or moved).
        """
        query, values = _TEMPLATES, [model_id, alignment_id]
        if people is not None:  # a query of its own, so that a few people cost a few rows however many there are
            query, values = f"{_TEMPLATES} {_OF_THESE}", [*values, json.dumps(sorted(people))]
        rows = self._db.execute(query, values).fetchall()
        for person_id, template_id, quality, nonce, sealed in rows:
            bound = _bound_to(person_id, template_id, model_id, alignment_id)
            try:
                vector = self._cipher.decrypt(nonce, sealed, bound)
            except InvalidTag as e:
                if unreadable is not None:
                    unreadable.add(person_id)
                    continue
                raise StoreError(
                    f"{self._path}: a template of {person_id} does not open: the key file is another one or the row "
                    "was altered; remove this person's face and enrol it again"
                ) from e
            yield StoredTemplate(person_id, template_id, model_id, alignment_id, quality, vector)

    # ------------------------------------------------------------ writing

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Everything within or nothing.

        Raises:
            StoreBusyError: another process is writing.
            UnfitError: what was written could not be read again; nothing is kept.
            StoreError: it could not be written; nothing is kept.
        """
        if not self._writable:
            self._db.close()
            self._db, self._writable = open_roster(self._path, self._prepare)
        self._written = written = Written()
        return Transaction(self._db, self._path, lambda: written.verify(self))

    def put(self, person: Person, templates: Collection[StoredTemplate] | None = None) -> int:
        """`write` as a transaction of its own. Returns the new epoch."""
        with self.transaction():
            self.write(person, templates)
        return self.epoch

    def write(self, person: Person, templates: Collection[StoredTemplate] | None = None) -> None:
        """A person as she is now, within a transaction; `templates`, unless None, replace the stored ones.

        Raises:
            UnfitError: she could not be read again.
        """
        self._written.add(person, self.known(person.id))
        self._db.execute(
            "INSERT INTO persons VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (person.id, self._seal.sealed("person", person.id, _text(person_json(person)))),
        )
        if templates is not None:
            self._db.execute("DELETE FROM templates WHERE person_id = ?", (person.id,))
            self.add_templates(templates)
        self.changed()

    def add_templates(self, templates: Iterable[StoredTemplate]) -> None:
        """Templates beside those that are there, or in place of those of the same id, within a transaction."""
        self._db.executemany(
            "INSERT OR REPLACE INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", map(self._sealed, templates)
        )

    def keep_only(self, person: Person, fresh: Iterable[StoredTemplate]) -> None:
        """Delete what is not listed as this person's, add `fresh`, within a transaction."""
        listed = json.dumps([face.template_id for face in person.faces])
        self._db.execute(
            "DELETE FROM templates WHERE person_id = ? AND template_id NOT IN (SELECT value FROM json_each(?))",
            (person.id, listed),
        )
        self.add_templates(fresh)

    def drop(self, person_id: str) -> bool:
        """Delete somebody within a transaction. False: nobody of this id."""
        gone = self._db.execute("DELETE FROM persons WHERE id = ?", (person_id,)).rowcount > 0
        self.changed()
        return gone

    def put_hours(self, hours: Mapping[str, Any]) -> None:
        """The site's hours, within a transaction.

        Raises:
            UnfitError: they could not be read again.
        """
        try:
            read_hours(dict(hours))
        except BadValueError as e:
            raise UnfitError(f"hours: {e}; nothing was stored") from e
        self._db.execute("UPDATE site SET body = ?", (_text(hours),))
        self.changed()

    def changed(self) -> None:
        """The roster is another one, within a transaction."""
        self._db.execute("UPDATE meta SET epoch = epoch + 1")

    # ------------------------------------------------------------ parts

    def _prepare(self, db: sqlite3.Connection) -> None:
        bring_up_to_date(db, self._path, self._seal)

    def _sealed(self, template: StoredTemplate) -> tuple[str | float | bytes, ...]:
        size = len(template.vector)
        if not 0 < size <= _MAX_VECTOR_BYTES or size % 4:
            raise UnfitError(f"{template.person_id}: a template of {size} bytes is none; nothing was stored")
        names = (template.person_id, template.template_id, template.model_id, template.alignment_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (*names, template.quality, nonce, self._cipher.encrypt(nonce, template.vector, _bound_to(*names)))


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _bound_to(person_id: str, template_id: str, model_id: str, alignment_id: str) -> bytes:
    return json.dumps([person_id, template_id, model_id, alignment_id]).encode()
