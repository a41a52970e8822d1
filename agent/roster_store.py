"""Residents, their sealed face templates and the site's hours on disk.

Persons stand as JSON, the site's schedules, holidays and unlock hours as one JSON row (agent/core/roster.py says what
they hold). Each template is sealed with AES-256-GCM under a key
kept outside the database file, with person, template, network and alignment as associated data, so a row moved to
another person does not open. No picture is ever stored. One connection, one thread; WAL, synchronous=FULL.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import StoreError

SCHEMA_VERSION = 2
_KEY_BYTES = 32
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
)


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """One template, opened; `vector` is float32 little-endian bytes."""

    person_id: str
    template_id: str
    model_id: str
    alignment_id: str
    quality: float
    vector: bytes


class RosterStore:
    """The door's own people. Raises StoreError, with what to do, for a file it cannot use."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "roster.db"
        self._cipher = AESGCM(_load_key(folder / "roster.key", fresh=not self._path.exists()))
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._prepare()
        except sqlite3.DatabaseError as e:
            raise StoreError(f"{self._path}: not a usable roster ({e}); move it away, then enrol again") from e
        self._path.chmod(0o600)

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
            site = json.loads(self._db.execute("SELECT body FROM site").fetchone()[0])
            people = self._db.execute("SELECT body FROM persons ORDER BY id")
            return {**site, "epoch": self.epoch, "persons": [json.loads(body) for (body,) in people]}
        finally:
            self._db.execute("COMMIT")

    def person(self, person_id: str) -> dict[str, Any] | None:
        """One person, or None."""
        row = self._db.execute("SELECT body FROM persons WHERE id = ?", (person_id,)).fetchone()
        return json.loads(row[0]) if row else None

    def template_count(self) -> int:
        """Templates of all networks."""
        return int(self._db.execute("SELECT count(*) FROM templates").fetchone()[0])

    def templates(self, model_id: str, alignment_id: str) -> Iterator[StoredTemplate]:
        """Opened templates of one network and alignment.

        Raises:
            StoreError: a template does not open (wrong key, or the row was altered or moved).
        """
        rows = self._db.execute(
            "SELECT person_id, template_id, quality, nonce, sealed FROM templates "
            "WHERE model_id = ? AND alignment_id = ?",
            (model_id, alignment_id),
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
            self._db.execute("DELETE FROM persons WHERE id NOT IN (SELECT value FROM json_each(?))", (ids,))
            for person in persons:
                self._put_person(person)
            self._db.execute(
                "DELETE FROM templates WHERE person_id IN "
                "(SELECT id FROM persons WHERE json_array_length(body, '$.faces') = 0)"
            )
            self._db.execute("UPDATE site SET body = ?", (_text(site),))
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove(self, person_id: str) -> bool:
        """Forget a person; freed pages are overwritten, the write-ahead log emptied. False: nobody of this id."""
        with self._transaction():
            gone = self._db.execute("DELETE FROM persons WHERE id = ?", (person_id,)).rowcount > 0
            self._db.execute("UPDATE meta SET epoch = epoch + 1")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def _put_person(self, person: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT INTO persons VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (person["id"], _text(person)),
        )

    def _sealed(self, template: StoredTemplate) -> tuple[str | float | bytes, ...]:
        names = (template.person_id, template.template_id, template.model_id, template.alignment_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (*names, template.quality, nonce, self._cipher.encrypt(nonce, template.vector, _bound_to(*names)))

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._path)

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "mmap_size=0", "secure_delete=ON", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path}: written by a newer release (version {version}, this one reads {SCHEMA_VERSION}); "
                "go back to that release or move the file away"
            )
        if version < SCHEMA_VERSION:
            with self._transaction():
                version = self._db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
                for statement in ";".join(_STEPS[version:]).split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


class _Transaction:
    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.OperationalError as e:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StoreError(
                f"{self._path}: could not be written ({e}); free some space on the card and try again"
            ) from e


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _bound_to(person_id: str, template_id: str, model_id: str, alignment_id: str) -> bytes:
    return json.dumps([person_id, template_id, model_id, alignment_id]).encode()


def _load_key(path: Path, *, fresh: bool) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not fresh:
            raise StoreError(
                f"{path}: the key of the roster is gone, its templates cannot be opened; put the key back, or move "
                "roster.db away and enrol again"
            ) from None
        key = secrets.token_bytes(_KEY_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(key)
            f.flush()
            os.fsync(f.fileno())
    except OSError as e:
        raise StoreError(f"{path}: cannot be read ({e.strerror}); it belongs to the agent's user, mode 0600") from e
    if len(key) != _KEY_BYTES:
        raise StoreError(f"{path}: is {len(key)} bytes, a roster key has {_KEY_BYTES}; put the right file back")
    return key
