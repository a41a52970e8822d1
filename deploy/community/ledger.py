"""The server's memory: SQL that SQLite and PostgreSQL both understand, one connection, one owner.

Exactly-once is a matter of this file: rows, chain position and alarms of a message are written in one transaction, and
a row's place (door, epoch, seq) is unique.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent.core.journal import Row, canonical, originals
from agent.errors import StoreError
from deploy.community.ingest import Alarm, Chain, Taken

SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS doors (
        device TEXT PRIMARY KEY, heard_ms BIGINT NOT NULL, online INTEGER NOT NULL, state TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS chains (
        device TEXT NOT NULL, epoch TEXT NOT NULL, next BIGINT NOT NULL, hash TEXT NOT NULL, heard BIGINT NOT NULL,
        claimed BIGINT NOT NULL, claimed_hash TEXT NOT NULL, re TEXT NOT NULL, fork BIGINT NOT NULL,
        PRIMARY KEY (device, epoch))""",
    """CREATE TABLE IF NOT EXISTS events (
        id {serial}, device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL,
        priority INTEGER NOT NULL, wall_ms BIGINT NOT NULL, clock TEXT NOT NULL, boot_id TEXT NOT NULL,
        boottime_ms BIGINT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL, received_ms BIGINT NOT NULL,
        UNIQUE (device, epoch, seq))""",
    """CREATE TABLE IF NOT EXISTS previews (
        device TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL,
        wall_ms BIGINT NOT NULL, body TEXT NOT NULL, received_ms BIGINT NOT NULL, confirmed INTEGER NOT NULL,
        PRIMARY KEY (device, epoch, seq, hash))""",
    """CREATE TABLE IF NOT EXISTS missed (
        device TEXT NOT NULL, epoch TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, hash TEXT NOT NULL,
        declared BIGINT NOT NULL, PRIMARY KEY (device, epoch, first))""",
    """CREATE TABLE IF NOT EXISTS alarms (
        id {serial}, device TEXT NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL, at_ms BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS events_by_time ON events (wall_ms)",
)


class Connection(Protocol):
    """What is needed of a database: statements with `?`, each committed by itself unless between BEGIN and COMMIT."""

    serial: str

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, return its rows."""

    def hold(self, devices: Sequence[str]) -> None:
        """Within a transaction, before anything is read: nobody else works on these doors until it ends."""

    def close(self) -> None:
        """Let go."""


class SqliteConnection:
    """A file. WAL and FULL: what was acknowledged survives a power cut."""

    serial = "INTEGER PRIMARY KEY"

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"{path}: cannot be opened as the server's database ({e})") from e

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See Connection."""
        return self._db.execute(sql, params).fetchall()

    def hold(self, devices: Sequence[str]) -> None:
        """See Connection: a file has one server process, so there is nobody else."""

    def close(self) -> None:
        """See Connection."""
        self._db.close()


class Ledger:
    """What the server knows of all doors."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        with self.transaction(("schema",)):  # PostgreSQL fails two that make one table at the same moment
            for statement in _SCHEMA:
                db.execute(statement.format(serial=db.serial))
            found = db.execute("SELECT version FROM meta")
            if not found:
                db.execute("INSERT INTO meta VALUES (?)", (SCHEMA_VERSION,))
        if found and found[0][0] != SCHEMA_VERSION:
            raise StoreError(f"the server's database has version {found[0][0]}, this release reads {SCHEMA_VERSION}")

    def usable(self) -> bool:
        """True when a transaction goes through: what failed was then the message's fault, not the database's."""
        try:
            with self.transaction():
                self.db.execute("UPDATE meta SET version = version")
        except Exception:  # noqa: BLE001  each database has its own errors; any of them means no
            return False
        return True

    @contextlib.contextmanager
    def transaction(self, devices: Sequence[str] = ()) -> Iterator[None]:
        """All or nothing; several server processes on one PostgreSQL take turns at each of `devices`."""
        self.db.execute("BEGIN")
        try:
            if devices:
                self.db.hold(devices)
            yield
            self.db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):  # a lost connection has nothing to roll back
                self.db.execute("ROLLBACK")
            raise

    def chain(self, device: str, epoch: str) -> Chain | None:
        """What is held of an epoch."""
        found = self.db.execute(
            "SELECT epoch, next, hash, heard, claimed, claimed_hash, re, fork FROM chains"
            " WHERE device = ? AND epoch = ?",
            (device, epoch),
        )
        return Chain(*found[0]) if found else None

    def hash_of(self, device: str, epoch: str, seq: int) -> str | None:
        """The hash of a stored row."""
        found = self.db.execute(
            "SELECT hash FROM events WHERE device = ? AND epoch = ? AND seq = ?", (device, epoch, seq)
        )
        return str(found[0][0]) if found else None

    def apply(self, device: str, taken: Taken, now_ms: int) -> list[Alarm]:
        """Write what a message came to (within a transaction); returns the alarms to write: its own and the rows'."""
        c = taken.chain
        for row in taken.rows:
            if not self.had(row):
                self._add(row, now_ms)
        for m in taken.missed:
            values = (device, c.epoch, m.first, m.last, m.hash, m.declared)
            self.db.execute("INSERT INTO missed VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING", values)
        for row in taken.previews:
            self._preview(row, now_ms)
        self.db.execute(
            "INSERT INTO chains VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (device, epoch) DO UPDATE SET"
            " next = excluded.next, hash = excluded.hash, heard = excluded.heard, claimed = excluded.claimed,"
            " claimed_hash = excluded.claimed_hash, re = excluded.re, fork = excluded.fork",
            (device, c.epoch, c.next, c.hash, c.heard, c.claimed, c.claimed_hash, c.re, c.fork),
        )
        return [*taken.alarms, *(a for r in taken.rows if r.seq == 1 for a in self._succession(r))]

    def had(self, r: Row) -> bool:
        """True for a copy of a row that is here under its earlier name: its chain goes on, its event came already."""
        return any(self.hash_of(r.device, epoch, seq) == digest for epoch, seq, digest in originals(r.body))

    def _add(self, r: Row, now_ms: int) -> None:
        self.db.execute(
            "INSERT INTO events (device, epoch, seq, kind, priority, wall_ms, clock, boot_id, boottime_ms, body, hash,"
            " received_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (r.device, r.epoch, r.seq, r.kind, r.priority, r.wall_ms, str(r.clock), r.boot_id, r.boottime_ms,
             canonical(r.body), r.hash, now_ms),
        )  # fmt: skip
        self.db.execute(
            "UPDATE previews SET confirmed = 1 WHERE device = ? AND epoch = ? AND seq = ? AND hash = ?",
            (r.device, r.epoch, r.seq, r.hash),
        )

    def _preview(self, r: Row, now_ms: int) -> None:
        confirmed = int(self.hash_of(r.device, r.epoch, r.seq) == r.hash)
        self.db.execute(
            "INSERT INTO previews VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (r.device, r.epoch, r.seq, r.hash, r.kind, r.wall_ms, canonical(r.body), now_ms, confirmed),
        )

    def _succession(self, first: Row) -> list[Alarm]:
        """A new epoch names the last row known of the one before: what is missing up to there, or unnamed, is lost."""
        body = first.body
        before, last, why = body.get("previous_epoch"), body.get("last_seq"), body.get("reason")
        if not isinstance(before, str) or not isinstance(last, int):
            others = "SELECT epoch FROM chains WHERE device = ? AND epoch != ? LIMIT 1"
            if not self.db.execute(others, (first.device, first.epoch)):
                return []
            return [Alarm("rows-lost", f"a new journal ({why}) that names no earlier one, though this door had one")]
        chain = self.chain(first.device, before)
        have = chain.next - 1 if chain else 0
        lost = max(last, chain.heard if chain and why == "quarantined" else 0)
        alarms = []
        if why == "fork" and not (chain and chain.fork):  # the door saw it first, in an acknowledgement
            alarms.append(Alarm("fork", f"epoch {before}: the door's {last} rows are not those that came before"))
        match body.get("carries"):
            case [int(carried), int()]:  # from there on they come in this epoch, as copies
                lost = min(lost, carried - 1)
        if have < lost:
            alarms.append(Alarm("rows-lost", f"epoch {before}: rows {have + 1} to {lost} never came ({why})"))
        if body.get("lost"):
            alarms.append(Alarm("rows-lost", f"{body['lost']} rows of the damaged journal could not be read any more"))
        return alarms

    def alarm(self, device: str, alarm: Alarm, now_ms: int) -> None:
        """Keep an alarm."""
        self.db.execute(
            "INSERT INTO alarms (device, word, detail, at_ms) VALUES (?,?,?,?)",
            (device, alarm.word, alarm.detail, now_ms),
        )

    def heard(self, device: str, now_ms: int, state: dict[str, Any] | None = None) -> None:
        """A door said something; `state` when it said how it is."""
        self.db.execute(
            "INSERT INTO doors VALUES (?,?,1,'{}') ON CONFLICT (device) DO UPDATE SET heard_ms = excluded.heard_ms",
            (device, now_ms),
        )
        if state is not None:
            self.db.execute(
                "UPDATE doors SET online = ?, state = ? WHERE device = ?",
                (int(bool(state.get("online"))), json.dumps(state), device),
            )

    def doors(self) -> list[tuple[str, int, bool, dict[str, Any]]]:
        """Every door: name, when it was last heard, whether its link is up, its last state."""
        found = self.db.execute("SELECT device, heard_ms, online, state FROM doors ORDER BY device")
        return [(d, int(h), bool(o), json.loads(s)) for d, h, o, s in found]

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The newest events in the order of their arrival, oldest first, for the page."""
        found = self.db.execute(
            "SELECT device, epoch, seq, kind, priority, wall_ms, clock, body FROM events ORDER BY id DESC LIMIT ?",
            (count,),
        )
        names = ("device", "epoch", "seq", "kind", "priority", "wall_ms", "clock")
        return [dict(zip(names, f, strict=False)) | {"body": json.loads(f[7])} for f in reversed(found)]

    def forget(self, before_ms: int) -> None:
        """Events and alarms that came before then are deleted (within a transaction); every chain goes on from here."""
        for table, column in (("events", "received_ms"), ("previews", "received_ms"), ("alarms", "at_ms")):
            self.db.execute(f"DELETE FROM {table} WHERE {column} < ?", (before_ms,))  # noqa: S608  three fixed names

    def bodies(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Door and body of every event of a kind, oldest first."""
        found = self.db.execute("SELECT device, body FROM events WHERE kind = ? ORDER BY id", (str(kind),))
        return [(device, json.loads(body)) for device, body in found]

    def close(self) -> None:
        """Let go of the database."""
        self.db.close()
