"""site.db: what the server keeps beside people: doors, revisions, passes, withdrawals, receipts, presses of phones."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.errors import StoreError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS change (number INTEGER NOT NULL);
INSERT INTO change SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM change);
CREATE TABLE IF NOT EXISTS receipts_read (event INTEGER NOT NULL);
INSERT INTO receipts_read SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM receipts_read);
CREATE TABLE IF NOT EXISTS doors (
  device TEXT PRIMARY KEY, groups TEXT NOT NULL, sealing BLOB, sealing_name TEXT NOT NULL DEFAULT '',
  revision INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL DEFAULT '',
  heard_utc_s INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS published (
  device TEXT NOT NULL, revision INTEGER NOT NULL, digest TEXT NOT NULL, entries TEXT NOT NULL,
  at_utc_s INTEGER NOT NULL,
  PRIMARY KEY (device, revision)) STRICT;
CREATE TABLE IF NOT EXISTS passes (
  pass_id TEXT PRIMARY KEY, body TEXT NOT NULL, until_utc_s INTEGER NOT NULL, revoked_utc_s INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS withdrawals (person_id TEXT PRIMARY KEY, at_utc_s INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS receipts (
  person_id TEXT NOT NULL, device TEXT NOT NULL, utc_s INTEGER NOT NULL, reason TEXT NOT NULL,
  templates INTEGER NOT NULL, receipt TEXT NOT NULL, PRIMARY KEY (person_id, device, utc_s)) STRICT;
CREATE TABLE IF NOT EXISTS pressed (nonce TEXT PRIMARY KEY, at_utc_s INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS pressed_at ON pressed (at_utc_s);
"""
_PRESSES_KEPT_S: Final = 86_400  # each is good for a minute; a clock that is set back must not make one good again


class SiteFile:
    """Opened for each piece of work, so that any thread and any process may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.site() as db:
            db.executescript(_SCHEMA)

    def site_change(self) -> int:
        """Rises with every change of this file that a door might have to hear of."""
        with self.site() as db:
            return int(db.execute("SELECT number FROM change").fetchone()[0])

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """As `site`, for what a door might have to hear of: that it changed is committed with the change."""
        with self.site() as db:
            yield db
            db.execute("UPDATE change SET number = number + 1")

    def receipts_read(self) -> int:
        """The event of the ledger up to which doors' receipts have been taken for sure."""
        with self.site() as db:
            return int(db.execute("SELECT event FROM receipts_read").fetchone()[0])

    def read_receipts(self, event: int) -> None:
        """They have been taken up to this event."""
        with self.site() as db:
            db.execute("UPDATE receipts_read SET event = ?", (event,))

    def press(self, nonce: str, at_utc_s: int) -> bool:
        """Note a request of a phone, made at that time. False: it was used before, whichever run of the server."""
        with self.site() as db:
            db.execute("DELETE FROM pressed WHERE at_utc_s < ?", (at_utc_s - _PRESSES_KEPT_S,))
            return db.execute("INSERT OR IGNORE INTO pressed VALUES (?, ?)", (nonce, at_utc_s)).rowcount > 0

    @contextlib.contextmanager
    def site(self) -> Iterator[sqlite3.Connection]:
        """The connection to site.db for one piece of work; committed at the end."""
        path = self.folder / "site.db"
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as db, db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                yield db
        except sqlite3.Error as e:
            raise StoreError(f"{path}: cannot be used ({e})") from e
