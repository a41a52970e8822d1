"""The door's facts in the journal's file: lock-down, counters, what must survive a restart.

They stand in a table of their own, and the newest row that concerns them carries their digest, so that the chain
vouches for them as it does for rows.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from agent.core.events import Kind

DIGEST = "facts"  # its key in a row's body
_DIGEST_CHARS = 16  # finding other facts for one takes 2**64 tries, and a row has to stay small
_GROUPS = 64  # a door with thousands of phones has as many facts
_DECLARING = (Kind.EPOCH, Kind.CHECKPOINT, Kind.FOLDED, Kind.TOMBSTONE)  # stand in for rows that may have carried it
_STORED = "SELECT key, value FROM facts WHERE key NOT LIKE '.%' ORDER BY key"


class Facts:
    """The facts of an open journal, and their digest: of the digests of groups, so that one fact costs one group."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._groups: list[dict[str, str]] | None = None
        self._digests: list[bytes | None] = []

    def put(self, facts: Mapping[str, Any]) -> None:
        """Store facts, within a transaction; None deletes one."""
        groups = self._loaded()
        for name, value in facts.items():
            group = _group(name)
            self._digests[group] = None
            if value is None:
                groups[group].pop(name, None)
                self._db.execute("DELETE FROM facts WHERE key = ?", (name,))
            else:
                groups[group][name] = text = json.dumps(value)
                put_one(self._db, name, text)

    def digest(self) -> str:
        """Names all facts as they stand."""
        for n, facts in enumerate(self._loaded()):
            if self._digests[n] is None:
                lines = "".join(f"{name}\0{facts[name]}\n" for name in sorted(facts))
                self._digests[n] = hashlib.sha256(lines.encode()).digest()
        return hashlib.sha256(b"".join(d for d in self._digests if d is not None)).hexdigest()[:_DIGEST_CHARS]

    def read_again(self) -> None:
        """A transaction was taken back."""
        self._groups = None

    def _loaded(self) -> list[dict[str, str]]:
        if self._groups is None:
            self._groups, self._digests = [{} for _ in range(_GROUPS)], [None] * _GROUPS
            for name, value in self._db.execute(_STORED):
                self._groups[_group(name)][name] = f"{value}"
        return self._groups


def _group(name: str) -> int:
    return hashlib.sha256(f"{name}".encode()).digest()[0] % _GROUPS


def put_one(db: sqlite3.Connection, name: str, text: str) -> None:
    """Write one fact, or a note of the journal's own, as JSON text."""
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, text))


def one(db: sqlite3.Connection, name: str) -> Any:  # noqa: ANN401  whatever JSON was stored
    """A single fact, or None. Raises ValueError or TypeError for a spoiled one."""
    row = db.execute("SELECT value FROM facts WHERE key = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def readable(db: sqlite3.Connection) -> tuple[dict[str, Any], list[str]]:
    """The facts that can be read, and the names of those that can't."""
    facts: dict[str, Any] = {}
    spoiled: list[str] = []
    for name, value in db.execute(_STORED):
        try:
            facts[name] = json.loads(value)
        except (ValueError, TypeError, RecursionError):
            spoiled.append(str(name))
    return facts, spoiled


def vouched(db: sqlite3.Connection) -> tuple[int, str] | None:
    """Id of the newest row that says what the facts are, and what it says; None where none does."""
    query = f"""SELECT id, body FROM rows WHERE body LIKE '%"{DIGEST}":"%' ORDER BY id DESC"""  # noqa: S608  a fixed name
    for row_id, text in db.execute(query):
        body = json.loads(text)
        if isinstance(body.get(DIGEST), str) and "copy_of" not in body:
            return row_id, body[DIGEST]
    return None


def concerns(kind: Kind, facts: Mapping[str, Any]) -> bool:
    """Whether a row has to carry the digest."""
    return bool(facts) or kind in _DECLARING
