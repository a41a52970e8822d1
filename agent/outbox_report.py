"""Reading a journal from outside, also while the agent writes it: verify, list, tail, export, the report of a day.

Wall times are put right where they can be: a row written before the clock was set gets the time that a later row of the
same boot, written with a synchronised clock, implies for it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import outbox_facts
from agent.clock import rfc3339
from agent.core.events import Kind
from agent.core.journal import ClockQuality, Skipped
from agent.errors import StoreError
from agent.outbox_rows import NOT_AS_WRITTEN, last_of
from agent.outbox_schema import Epoch, JournalDamagedError, epoch_of, seq_of
from agent.outbox_store import Store

_CHUNK = 500
_ACCOUNTS = "SELECT kind, body FROM rows WHERE kind IN (?, ?)"
_COLUMNS = ("epoch", "seq", "time", "clock", "kind", "priority", "body", "boot_id", "boottime_ms", "wall_ms", "hash")


@dataclass(frozen=True, slots=True)
class BadRow:
    """The first row of an epoch that can't be believed, and all after it with it."""

    epoch: str
    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found: rows that hold, rows declared as folded or dropped, and the first bad row of each epoch."""

    path: str
    rows: int
    skipped: int
    epochs: int
    bad: tuple[BadRow, ...]

    @property
    def ok(self) -> bool:
        """Every row is as it was written, none is missing."""
        return not self.bad


def verify(path: Path) -> VerifyReport:
    """Walk every chain of the journal.

    Raises:
        StoreError: there is no journal, or this release can't read its version.
    """
    try:
        with _opened(path) as store:
            rows = skipped = 0
            bad: list[BadRow] = []
            accounts = _accounts(store)
            for e in store.epochs:
                fault, r, s = _walk(store, e, accounts)
                rows, skipped = rows + r, skipped + s
                bad += [fault] if fault else []
            if not store.epochs:
                bad.append(BadRow("", 0, "there is no epoch in this journal"))
            bad = bad or _missing_epochs(store, accounts) or _facts_hold(store) or _integrity(store)
            return VerifyReport(str(path), rows, skipped, len(store.epochs), tuple(bad))
    except sqlite3.Error as e:  # damaged pages, found on the way
        return VerifyReport(str(path), 0, 0, 0, (BadRow("", 0, f"not readable: {e}"),))


def _walk(store: Store, e: Epoch, accounts: dict[str, tuple[int, str]]) -> tuple[BadRow | None, int, int]:
    rows = skipped = 0
    seq = e.base_seq + 1
    if e.base_seq and accounts.get(e.name) != (e.base_seq, e.base_hash):
        return BadRow(e.name, 1, f"rows 1 to {e.base_seq}: are missing, and no row declares that"), 0, 0
    while seq <= e.last_seq:
        try:
            items = store.read(e, seq, _CHUNK)
        except JournalDamagedError as fault:
            return BadRow(e.name, fault.seq or seq, str(fault)), rows, skipped
        marks = [i for i in items if isinstance(i, Skipped)]
        loose = next((m for m in marks if not _declared(store, e, m)), None)
        if loose is not None:
            return (
                BadRow(e.name, loose.first, f"row {loose.first}: is missing, and no row declares that"),
                rows,
                skipped,
            )
        rows, skipped = rows + len(items) - len(marks), skipped + sum(m.last - m.first + 1 for m in marks)
        seq = last_of(items) + 1
    return _beyond(store, e), rows, skipped


def _declared(store: Store, e: Epoch, mark: Skipped) -> bool:
    """True when the chained row that the mark points to says the same; of a damaged journal, one of a later epoch."""
    entry = [mark.first, mark.last, mark.hash]
    for later in store.epochs[store.epochs.index(e) :]:
        with contextlib.suppress(JournalDamagedError):
            rows = store.rows(later, (mark.declared,))
            if any(entry in r.body.get("ranges", []) and r.body.get("epoch", later.name) == e.name for r in rows):
                return True
    return False


def _accounts(store: Store) -> dict[str, tuple[int, str]]:
    """What chained rows say of each epoch's beginning: up to which row it was pruned or left behind, and its hash."""
    told: dict[str, tuple[int, str]] = {}
    for kind, text in store.db.execute(_ACCOUNTS, (str(Kind.CHECKPOINT), str(Kind.EPOCH))):
        with contextlib.suppress(*NOT_AS_WRITTEN):  # a spoiled row is found on the walk
            body = json.loads(text)
            pruned = [(body["epoch"], body["pruned_to"], body["hash"])] if kind == Kind.CHECKPOINT else []
            for name, seq, digest in (*pruned, *(r[:3] for r in body.get("rescued", []))):
                told[name] = max(told.get(name, (0, "")), (seq, digest))
    return told


def _missing_epochs(store: Store, accounts: dict[str, tuple[int, str]]) -> list[BadRow]:
    """Epochs that the one after them names, and that are neither here nor pruned to their end."""
    here = {e.name for e in store.epochs}
    bad: list[BadRow] = []
    for e in store.epochs:
        for body in (row.body for row in store.rows(e, (1,))):
            named = [(name, last) for name, _, _, last in body.get("rescued", [])]
            if body.get("reason") != "quarantined" and "previous_epoch" in body:
                named = [(body["previous_epoch"], body["last_seq"])]
            gone = [name for name, last in named if name not in here and accounts.get(name, (0, ""))[0] < last]
            bad += [BadRow(e.name, 1, f"the epoch {name} before it is missing") for name in gone]
    return bad


def _beyond(store: Store, e: Epoch) -> BadRow | None:
    """The file names its newest row a second time: what was cut off or added by hand at the end differs from that."""
    promised = store.promised(e)
    if promised is None or promised == (e.last_seq, e.last_hash):
        return None
    seq = min(promised[0], e.last_seq) + (promised[0] != e.last_seq)
    return BadRow(e.name, seq, f"row {seq}: the journal should end at row {promised[0]}, it ends at {e.last_seq}")


def _facts_hold(store: Store) -> list[BadRow]:
    """The newest row that says what the door's facts are, against the facts."""
    vouched = outbox_facts.vouched(store.db)
    if vouched is None or vouched[1] == store.facts_digest():
        return []
    row_id, _ = vouched
    names = {e.no: e.name for e in store.epochs}
    return [BadRow(names.get(epoch_of(row_id), ""), seq_of(row_id), "the door's facts are not those of this row")]


def _integrity(store: Store) -> list[BadRow]:
    found = store.db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    return [] if found == "ok" else [BadRow("", 0, f"SQLite says: {found}")]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Store]:
    if not path.exists():
        raise StoreError(f"{path}: there is no journal; store.state_dir in the configuration says where it should be")
    try:
        store = Store(path, writable=False, strict=False)
    except JournalDamagedError as e:
        raise StoreError(f"{path}: {e}") from e
    except sqlite3.Error as e:
        raise StoreError(f"{path}: can't be read ({e}); keep it, the agent begins a new one beside it") from e
    try:
        yield store
    finally:
        store.close()


# ---------------------------------------------------------------- list, tail, export


def listed(
    path: Path, *, newest: int | None = None, kind: str | None = None, after_id: int = 0
) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts, oldest first: `newest` bounds them from the end, `kind` is a prefix, `id` only grows.

    Keys: id, epoch, seq, time (RFC 3339, put right where possible), clock, kind, priority, body, boot_id, boottime_ms,
    wall_ms, hash.

    Raises:
        StoreError: no journal, of another version, or damaged; `verify` says where.
    """
    import sqlite_utils  # a third of a second, which the agent itself need not spend

    with _opened(path) as store:
        try:
            names = {e.no: e.name for e in store.epochs}
            offsets = dict(store.db.execute(_OFFSETS).fetchall())
            arguments = {"kind": f"{kind or ''}%", "after": after_id, "newest": -1 if newest is None else newest}
            for found in sqlite_utils.Database(store.db).query(_LISTED, arguments):
                yield _plain(found, names, offsets)
        except (sqlite3.Error, ValueError, KeyError, AttributeError) as e:
            raise StoreError(f"{path}: damaged ({e}); run `door-agent events verify`") from e


# wall time minus time since boot, as the newest synchronised row of each boot has it
_OFFSETS = """SELECT boot_id, wall_ms - boottime_ms FROM rows JOIN boots ON no = boot
    WHERE id IN (SELECT max(id) FROM rows WHERE clock = 'ntp' GROUP BY boot)"""
_LISTED = """SELECT * FROM (SELECT id, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, hash
    FROM rows JOIN boots ON no = boot WHERE kind LIKE :kind AND id > :after ORDER BY id DESC LIMIT :newest)
    ORDER BY id"""


def _plain(found: dict[str, Any], names: dict[int, str], offsets: dict[str, int]) -> dict[str, Any]:
    wall_ms = found["wall_ms"]
    if found["clock"] != ClockQuality.NTP and found["boot_id"] in offsets:
        wall_ms = found["boottime_ms"] + offsets[found["boot_id"]]
    return {
        **found,
        "epoch": names[epoch_of(found["id"])],
        "seq": seq_of(found["id"]),
        "time": rfc3339(wall_ms),
        "body": json.loads(found["body"]),
        "hash": found["hash"].hex(),
    }


def tail(path: Path, *, newest: int = 10, kind: str | None = None, poll_s: float = 0.5) -> Iterator[dict[str, Any]]:
    """The newest rows, then each new one as it is written; never ends by itself. Raises as `listed` does."""
    last = 0
    for row in listed(path, newest=newest):
        last = row["id"]
        if row["kind"].startswith(kind or ""):
            yield row
    while True:
        time.sleep(poll_s)
        for row in listed(path, after_id=last):
            last = row["id"]
            if row["kind"].startswith(kind or ""):
                yield row


def export(path: Path, how: str) -> Iterator[str]:
    """The whole journal as lines of text, `how` is jsonl or csv (with a header). Raises as `listed` does."""
    if how == "csv":
        yield _csv_line(_COLUMNS)
    for row in listed(path):
        if how == "csv":
            yield _csv_line([json.dumps(row[k], ensure_ascii=False) if k == "body" else row[k] for k in _COLUMNS])
        else:
            yield json.dumps({k: row[k] for k in _COLUMNS}, ensure_ascii=False)


def _csv_line(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()
