"""The server's memory: SQL that SQLite and PostgreSQL both understand, one connection, one owner.

Exactly-once is a matter of this file: rows, chain position and alarms of a message are written in one transaction, and
a row's place (door, epoch, seq) is unique.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.core.events import Kind, Priority
from agent.core.journal import ClockQuality, Row, canonical, originals
from deploy.community.boot_times import RECKONED, BootTimes, Placed
from deploy.community.database import Connection
from deploy.community.ingest import Alarm, Chain, Taken
from deploy.community.ledger_schema import prepare

_EPOCH: Final = re.compile("[0-9a-f]{32}")
_PREVIEW: Final = ("device", "epoch", "seq", "kind", "wall_ms", "received_ms", "body")
_EVENT: Final = (*_PREVIEW, "priority", "clock", "at_ms", "at_clock")
_AHEAD: Final = f"""SELECT {", ".join(f"p.{name}" for name in _PREVIEW)} FROM previews p
    JOIN chains c ON c.device = p.device AND c.epoch = p.epoch
    WHERE confirmed = 0 AND seq >= next AND fork = 0 ORDER BY received_ms DESC LIMIT ?"""  # noqa: S608  our names
_FORGET_AT_ONCE: Final = 5000  # rows a turn: the doors wait meanwhile


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of writing a message: alarms to tell; its rows and previews that are new here, with their times."""

    alarms: list[Alarm]
    rows: list[tuple[Row, Placed]]
    previews: list[tuple[Row, Placed]]


class Ledger:
    """What the server knows of all doors."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self._boots = BootTimes(db)
        with self.transaction(("schema",)):  # PostgreSQL fails two that make one table at the same moment
            prepare(db)

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
            self._boots.forget()
            with contextlib.suppress(Exception):  # a lost connection has nothing to roll back
                self.db.execute("ROLLBACK")
            raise

    def chain(self, device: str, epoch: str) -> Chain | None:
        """What is held of an epoch."""
        found = self.db.execute(
            "SELECT epoch, next, hash, heard, claimed, claimed_hash, re, fork, run FROM chains"
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

    def apply(self, device: str, taken: Taken, now_ms: int) -> Stored:
        """Write what a message came to (within a transaction). Alarms are given back, not written."""
        c = taken.chain
        fresh = [r for r in taken.rows if not self._had(r)]
        placed = list(zip(fresh, self._boots.place(fresh, now_ms), strict=True))
        alarms = [*taken.alarms, *self._contradictions(device, c.epoch, taken)]
        for row, at in placed:
            self._add(row, at, now_ms)
        for m in taken.missed:
            values = (device, c.epoch, m.first, m.last, m.hash, m.declared)
            self.db.execute("INSERT INTO missed VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING", values)
        ahead = []
        for row in taken.previews:
            first, contradicted = self._preview(row, now_ms)
            ahead += [row] if first else []
            alarms += contradicted
        self.db.execute(
            "INSERT INTO chains VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (device, epoch) DO UPDATE SET"
            " next = excluded.next, hash = excluded.hash, heard = excluded.heard, claimed = excluded.claimed,"
            " claimed_hash = excluded.claimed_hash, re = excluded.re, fork = excluded.fork, run = excluded.run",
            (device, c.epoch, c.next, c.hash, c.heard, c.claimed, c.claimed_hash, c.re, c.fork, c.run),
        )
        alarms += [a for r in taken.rows if r.seq == 1 for a in self._succession(r)]
        return Stored(alarms, placed, [(r, self._boots.seen(r)) for r in ahead])

    def _had(self, r: Row) -> bool:
        """True for a copy of a row that is here under its earlier name: its chain goes on, its event came already."""
        names = ((epoch, seq, digest) for epoch, seq, digest in originals(r.body) if _is_place(epoch, seq))
        return any(self.hash_of(r.device, epoch, seq) == digest for epoch, seq, digest in names)

    def _add(self, r: Row, at: Placed, now_ms: int) -> None:
        self.db.execute(
            "INSERT INTO events (device, epoch, seq, kind, priority, wall_ms, clock, boot_id, boottime_ms, body, hash,"
            " received_ms, at_ms, at_clock) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (r.device, r.epoch, r.seq, r.kind, r.priority, r.wall_ms, str(r.clock), r.boot_id, r.boottime_ms,
             canonical(r.body), r.hash, now_ms, *at),
        )  # fmt: skip

    def _contradictions(self, device: str, epoch: str, taken: Taken) -> list[Alarm]:
        """Alarms that were shown ahead of the chain, now that their places are reached: confirmed, or contradicted."""
        spans = [(r.seq, r.seq) for r in taken.rows[:1]] + [(m.first, m.last) for m in taken.missed]
        if taken.rows:
            spans[0] = (taken.rows[0].seq, taken.rows[-1].seq)
        came = {r.seq: r.hash for r in taken.rows}
        alarms = []
        for first, last in spans:
            for seq, hash_ in self.db.execute(
                "SELECT seq, hash FROM previews WHERE device = ? AND epoch = ? AND seq BETWEEN ? AND ?"
                " AND confirmed = 0",
                (device, epoch, first, last),
            ):
                right = came.get(seq) == hash_
                self.db.execute(
                    "UPDATE previews SET confirmed = ? WHERE device = ? AND epoch = ? AND seq = ? AND hash = ?",
                    (1 if right else -1, device, epoch, seq, hash_),
                )
                alarms += [] if right else [_contradicted(seq, came=seq in came)]
        return alarms

    def _preview(self, r: Row, now_ms: int) -> tuple[bool, list[Alarm]]:
        """Whether this is the first that is heard of it, and what it contradicts."""
        held = self.hash_of(r.device, r.epoch, r.seq)
        confirmed = 0 if held is None else 1 if held == r.hash else -1
        new = self.db.execute(
            "INSERT INTO previews VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING RETURNING seq",
            (r.device, r.epoch, r.seq, r.hash, r.kind, r.wall_ms, canonical(r.body), now_ms, confirmed),
        )
        return bool(new) and held != r.hash, [_contradicted(r.seq, came=True)] if confirmed < 0 else []

    def _succession(self, first: Row) -> list[Alarm]:
        """A new epoch names the last row known of the one before: what is missing up to there, or unnamed, is lost."""
        body = first.body
        before, last, why = body.get("previous_epoch"), body.get("last_seq"), body.get("reason")
        if not isinstance(before, str) or not isinstance(last, int) or not _is_place(before, last):
            if not self._had_other(first, new=why == "created"):
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

    def _had_other(self, first: Row, *, new: bool) -> bool:
        """Whether this door had a journal before that of this row.

        One of which the same start of its agent spoke is in its store beside a `new` one, so it began later: a server
        that was put back to a backup hears of the newest first.
        """
        found = self.db.execute("SELECT run FROM chains WHERE device = ? AND epoch != ?", (first.device, first.epoch))
        own = self.chain(first.device, first.epoch)
        beside = own.run if new and own is not None else ""
        return any(not run or run != beside for (run,) in found)

    def alarm(self, device: str, alarm: Alarm, now_ms: int) -> int:
        """Keep an alarm; its number."""
        found = self.db.execute(
            "INSERT INTO alarms (device, word, detail, at_ms) VALUES (?,?,?,?) RETURNING id",
            (device, alarm.word, alarm.detail, now_ms),
        )
        return int(found[0][0])

    def heard(self, device: str, now_ms: int, *, kept: bool = False) -> None:
        """A door said something. `kept`: some time ago, the broker had it; that it exists is all this proves."""
        then = "NOTHING" if kept else "UPDATE SET heard_ms = excluded.heard_ms, silent = 0"
        self.db.execute(
            f"INSERT INTO doors VALUES (?, ?, 1, 0) ON CONFLICT (device) DO {then}",  # noqa: S608  one of two texts
            (device, now_ms),
        )

    def is_silent(self, device: str) -> bool:
        """Whether nothing was heard of this door since `silent` gave it."""
        return bool(self.db.execute("SELECT 1 FROM doors WHERE device = ? AND silent = 1", (device,)))

    def state(self, device: str, state: dict[str, Any]) -> None:
        """How a door says it is; after `heard`."""
        self.db.execute("UPDATE doors SET online = ? WHERE device = ?", (int(bool(state.get("online"))), device))
        self.db.execute(
            "INSERT INTO states VALUES (?, ?) ON CONFLICT (device) DO UPDATE SET state = excluded.state",
            (device, canonical(state)),
        )

    def doors(self) -> list[tuple[str, int, bool, dict[str, Any]]]:
        """Every door: name, when it was last heard, whether its link is up, its last state."""
        found = self.db.execute(
            "SELECT doors.device, heard_ms, online, state FROM doors LEFT JOIN states ON doors.device = states.device"
            " ORDER BY doors.device"
        )
        return [(d, int(h), bool(o), json.loads(s or "{}")) for d, h, o, s in found]

    def silent(self, edge_ms: int, like: str) -> list[tuple[str, int]]:
        """Doors not heard since `edge_ms`, each once until it is heard again: name, when it last was.

        `like` is a pattern of SQL for their names (within a transaction).
        """
        found = self.db.execute(
            "UPDATE doors SET silent = 1, online = 0 WHERE silent = 0 AND heard_ms < ? AND device LIKE ?"
            " RETURNING device, heard_ms",
            (edge_ms, like),
        )
        return sorted((str(d), int(h)) for d, h in found)

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The newest events in the order of their arrival, oldest first, for the page; then what runs ahead of its row.

        A preview whose row came, or whose place in the chain was passed, is none any more.
        """
        found = self.db.execute(f"SELECT {', '.join(_EVENT)} FROM events ORDER BY id DESC LIMIT ?", (count,))  # noqa: S608
        ahead = self.db.execute(_AHEAD, (count,))
        rows = [dict(zip(_EVENT, f, strict=True)) for f in reversed(found)]
        unsure = {"type": "preview", "priority": int(Priority.ALARM), "clock": "none", "at_clock": "none"}
        rows += [{**dict(zip(_PREVIEW, f, strict=True)), **unsure, "at_ms": f[4]} for f in reversed(ahead)]
        return [{**row, "body": json.loads(row["body"])} for row in rows]

    def newest_sure_ms(self) -> int | None:
        """The newest time that a synchronised clock of a door gave; None: none has."""
        sure = str(ClockQuality.NTP), RECKONED
        found = self.db.execute("SELECT at_ms FROM events WHERE at_clock IN (?, ?) ORDER BY at_ms DESC LIMIT 1", sure)
        return int(found[0][0]) if found else None

    def forget(self, before_ms: int) -> bool:
        """Delete some of what came before then (within a transaction); True: call again, there may be more.

        Every chain goes on from here. Rows are numbered as they come, so the oldest are found without an index.
        """
        self.db.execute("DELETE FROM previews WHERE received_ms < ?", (before_ms,))
        self.db.execute("DELETE FROM boots WHERE seen_ms < ?", (before_ms,))
        gone = 0
        for table, column in (("events", "received_ms"), ("alarms", "at_ms")):
            found = self.db.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {_FORGET_AT_ONCE})"  # noqa: S608
                f" AND {column} < ? RETURNING id",
                (before_ms,),
            )
            gone = max(gone, len(found))
        return gone >= _FORGET_AT_ONCE

    def of_rosters(self, after_id: int) -> list[tuple[str, dict[str, Any]]]:
        """Door and body of every event about rosters after that one, oldest first."""
        found = self.db.execute(
            f"SELECT device, body FROM events WHERE kind = '{Kind.ROSTER}' AND id > ? ORDER BY id",  # noqa: S608
            (after_id,),
        )
        return [(device, json.loads(body)) for device, body in found]

    def close(self) -> None:
        """Let go of the database."""
        self.db.close()


def _is_place(epoch: str, seq: int) -> bool:
    """Whether a row can have this name: a body says what it likes, and a database takes not every text and number."""
    return _EPOCH.fullmatch(epoch) is not None and 0 <= seq < 2**40


def _contradicted(seq: int, *, came: bool) -> Alarm:
    what = "is another one" if came else "was left out"
    return Alarm("contradicted", f"row {seq} was sent ahead as an alarm; in the chain it {what}")
