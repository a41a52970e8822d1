"""Residents, their sealed face templates and the site's hours on disk.

Persons stand as sealed JSON (roster_seal.py), the site's schedules, holidays and unlock hours as one JSON row
(agent/core/roster.py says what they hold). Each template is sealed with AES-256-GCM under a key kept outside the
database file, bound to person, template, network and alignment: moved to another person it does not open. No picture is
ever stored. One connection, one thread; WAL, synchronous=FULL.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import StoreError
from agent.roster_file import Transaction, open_roster
from agent.roster_seal import TextSeal, load_key
from agent.roster_store_feed import FeedTables, StoredTemplate, purge_reason

__all__ = ["RosterStore", "StoredTemplate"]

SCHEMA_VERSION = 4
_NONCE_BYTES = 12
# what makes the next version out of 0 (an empty file), 1, …; never edited once released
_STEPS = (
    """
CREATE TABLE persons (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE templates (
  person_id TEXT NOT NULL REFERENCES persons(id) ON DELETE CASCADE,
  template_id TEXT NOT NULL, model_id TEXT NOT NULL, alignment_id TEXT NOT NULL, quality REAL NOT NULL,
  nonce BLOB NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (person_id, template_id)) STRICT, WITHOUT ROWID;
CREATE TABLE meta (epoch INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES (0);
""",
    """
CREATE TABLE site (body TEXT NOT NULL) STRICT;
INSERT INTO site VALUES ('{"holidays": [], "schedules": [], "unlock_hours": []}');
""",
    """
CREATE TABLE managed (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id))
  STRICT, WITHOUT ROWID;
CREATE TABLE feed (revision INTEGER NOT NULL, heard_utc_s INTEGER NOT NULL) STRICT;
INSERT INTO feed VALUES (0, 0);
CREATE TABLE purges (
  person_id TEXT NOT NULL, at_utc_s INTEGER NOT NULL, reason TEXT NOT NULL, templates INTEGER NOT NULL,
  told INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (person_id, at_utc_s)) STRICT, WITHOUT ROWID;
""",
    """
UPDATE persons SET body = seal('person', id, body);
UPDATE managed SET body = seal('managed ' || kind, id, body);
""",
)
# from version -> back to the one before; people stay. For an update that fails its health gate.
WAY_BACK = {
    4: "UPDATE persons SET body = unseal('person', id, body); "
    "UPDATE managed SET body = unseal('managed ' || kind, id, body)",
    3: "DROP TABLE purges; DROP TABLE feed; DROP TABLE managed",
    2: "DROP TABLE site",
}


def downgrade(path: Path, to_version: int) -> None:
    """Lead a roster's file back to an older version; nobody else may have it open.

    Raises:
        StoreError: there is no way back to that version.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        TextSeal(AESGCM(load_key(path.with_name("roster.key"), fresh=False)), path).teach(db)
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if any(version not in WAY_BACK for version in range(found, to_version, -1)):
            raise StoreError(f"{path}: version {found} has no way back to {to_version}")
        with Transaction(db, path):
            for version in range(found, to_version, -1):
                for statement in WAY_BACK[version].split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {min(found, to_version)}")


class RosterStore(FeedTables):
    """The door's own people. Raises StoreError, with what to do, for a file it cannot use."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "roster.db"
        self._cipher = AESGCM(load_key(folder / "roster.key", fresh=not self._path.exists()))
        self._seal = TextSeal(self._cipher, self._path)
        self._db, self._writable = open_roster(self._path, self._prepare)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def epoch(self) -> int:
        """Rises with every change."""
        return int(self._db.execute("SELECT epoch FROM meta").fetchone()[0])

    def data_version(self) -> int:
        """Changes when another process changed the file."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def snapshot(self) -> dict[str, Any]:
        """Epoch, everybody and the site's hours at one moment, as core/roster.py's JSON shape."""
        self._db.execute("BEGIN")  # one view, whatever another process writes meanwhile
        try:
            return self.snapshot_here()
        finally:
            self._db.execute("COMMIT")

    def snapshot_here(self) -> dict[str, Any]:
        """See FeedTables."""
        site = json.loads(self._db.execute("SELECT body FROM site").fetchone()[0])
        people = self._db.execute("SELECT id, body FROM persons ORDER BY id")
        persons = [json.loads(self._seal.opened("person", name, body)) for name, body in people]
        return {**site, "epoch": self.epoch, "persons": persons}

    def person(self, person_id: str) -> dict[str, Any] | None:
        """One person, or None."""
        row = self._db.execute("SELECT body FROM persons WHERE id = ?", (person_id,)).fetchone()
        return json.loads(self._seal.opened("person", person_id, row[0])) if row else None

    def template_count(self) -> int:
        """Templates of all networks."""
        return int(self._db.execute("SELECT count(*) FROM templates").fetchone()[0])

    def templates(
        self, model_id: str, alignment_id: str, people: Collection[str] | None = None
    ) -> Iterator[StoredTemplate]:
        """Opened templates of one network and alignment, of everybody or of these people.

        Raises:
            StoreError: a template does not open (wrong key, or the row was altered or moved).
        """
        rows = self._db.execute(
            "SELECT person_id, template_id, quality, nonce, sealed FROM templates "
            "WHERE model_id = ? AND alignment_id = ? AND (? IS NULL OR person_id IN (SELECT value FROM json_each(?)))",
            (model_id, alignment_id, *2 * (None if people is None else json.dumps(sorted(people)),)),
        ).fetchall()
        for person_id, template_id, quality, nonce, sealed in rows:
            bound = _bound_to(person_id, template_id, model_id, alignment_id)
            try:
                vector = self._cipher.decrypt(nonce, sealed, bound)
            except InvalidTag as e:
                raise StoreError(
                    f"{self._path}: a template of {person_id} does not open: the key file is another one or the row "
                    "was altered; remove this person's face and enrol it again"
                ) from e
            yield StoredTemplate(person_id, template_id, model_id, alignment_id, quality, vector)

    def put(self, person: dict[str, Any], templates: list[StoredTemplate] | None = None) -> int:
        """Store a person; `templates`, unless None, replace the stored ones. Returns the new epoch."""
        with self._transaction():
            self._put_person(person)
            if templates is not None:
                self._db.execute("DELETE FROM templates WHERE person_id = ?", (person["id"],))
                self._db.executemany("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", map(self._sealed, templates))
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        return self.epoch

    def learn(self, person: dict[str, Any], learnt: StoredTemplate, forget: Collection[str]) -> int:
        """One more template of a person in place of those named in `forget`. Returns the new epoch."""
        with self._transaction():
            self._put_person(person)
            gone = [(person["id"], template_id) for template_id in forget]
            self._db.executemany("DELETE FROM templates WHERE person_id = ? AND template_id = ?", gone)
            self._db.execute("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", self._sealed(learnt))
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        return self.epoch

    def withdraw(self, person_id: str, at_utc_s: int) -> bool:
        """Consent withdrawn: the face is purged, the person stays. False: nobody of this id."""
        with self._transaction():
            person = self.person(person_id)
            if person is not None:
                self._purge([person_id], "withdrawn", at_utc_s)
                consent = person.get("consent")
                kept = {**consent, "withdrawn_utc_s": consent.get("withdrawn_utc_s") or at_utc_s} if consent else None
                self._put_person({**person, "consent": kept, "faces": []})
                self._db.execute("UPDATE meta SET epoch = epoch + 1")
        self.scrub()
        return person is not None

    def replace(self, persons: list[dict[str, Any]], site: dict[str, Any], was_epoch: int) -> None:
        """Everybody and the site's hours in one transaction. People left out are forgotten as by `remove`.

        Templates stay with whoever stays, unless her `faces` are empty.

        Raises:
            StoreError: the roster is no longer at `was_epoch`; nothing was changed.
        """
        with self._transaction():
            if self.epoch != was_epoch:
                raise StoreError(f"{self._path}: somebody else changed the roster meanwhile; do it again")
            ids = json.dumps([person["id"] for person in persons])
            out = self._db.execute("SELECT id FROM persons WHERE id NOT IN (SELECT value FROM json_each(?))", (ids,))
            self._purge([i for (i,) in out.fetchall()], "removed", int(time.time()))
            self._db.execute("DELETE FROM persons WHERE id NOT IN (SELECT value FROM json_each(?))", (ids,))
            for person in persons:
                self._put_person(person)
            for person in persons:
                if not person.get("faces"):
                    self._purge([person["id"]], purge_reason(person), int(time.time()))
            self._db.execute("UPDATE site SET body = ?", (_text(site),))
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        self.scrub()

    def remove(self, person_id: str) -> bool:
        """Forget a person; freed pages are overwritten, the write-ahead log emptied. False: nobody of this id."""
        with self._transaction():
            self._purge([person_id], "removed", int(time.time()))
            gone = self._db.execute("DELETE FROM persons WHERE id = ?", (person_id,)).rowcount > 0
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        self.scrub()
        return gone

    def _put_person(self, person: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT INTO persons VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (person["id"], self._seal.sealed("person", person["id"], _text(person))),
        )

    def _sealed(self, template: StoredTemplate) -> tuple[str | float | bytes, ...]:
        names = (template.person_id, template.template_id, template.model_id, template.alignment_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (*names, template.quality, nonce, self._cipher.encrypt(nonce, template.vector, _bound_to(*names)))

    def _transaction(self) -> contextlib.AbstractContextManager[None]:
        if not self._writable:
            self._db.close()
            self._db, self._writable = open_roster(self._path, self._prepare)
        return Transaction(self._db, self._path)

    def _prepare(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path}: written by a newer release (version {version}, this one reads {SCHEMA_VERSION}); "
                "go back to that release or move the file away"
            )
        if version < SCHEMA_VERSION:
            self._seal.teach(db)
            with Transaction(db, self._path):
                version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
                for statement in ";".join(_STEPS[version:]).split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _bound_to(person_id: str, template_id: str, model_id: str, alignment_id: str) -> bytes:
    return json.dumps([person_id, template_id, model_id, alignment_id]).encode()
