"""What the roster's file holds in each of its versions, and the ways between them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import StoreError
from agent.roster.file import Transaction
from agent.roster.seal import TextSeal, load_key

SCHEMA_VERSION: Final = 4
# what makes the next version out of 0 (an empty file), 1, …; never edited once released
_STEPS: Final = (
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
WAY_BACK: Final = {
    4: "UPDATE persons SET body = unseal('person', id, body); "
    "UPDATE managed SET body = unseal('managed ' || kind, id, body)",
    3: "DROP TABLE purges; DROP TABLE feed; DROP TABLE managed",
    2: "DROP TABLE site",
}


def bring_up_to_date(db: sqlite3.Connection, path: Path, seal: TextSeal) -> None:
    """Bring the file to this release's version.

    Raises:
        StoreError: a newer release wrote it.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written by a newer release (version {version}, this one reads {SCHEMA_VERSION}); "
            "go back to that release or move the file away"
        )
    if version < SCHEMA_VERSION:
        seal.teach(db)
        with Transaction(db, path):
            version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
            for statement in ";".join(_STEPS[version:]).split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def downgrade(path: Path, to_version: int) -> None:
    """Lead a roster's file back to an older version; nobody else may have it open.

    Raises:
        StoreError: there is no way back to that version.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        TextSeal(AESGCM(load_key(path.with_name("roster.key"), path)), path).teach(db)
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if any(version not in WAY_BACK for version in range(found, to_version, -1)):
            raise StoreError(f"{path}: version {found} has no way back to {to_version}")
        with Transaction(db, path):
            for version in range(found, to_version, -1):
                for statement in WAY_BACK[version].split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {min(found, to_version)}")
