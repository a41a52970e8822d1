"""Whether a journal holds: every chain from its beginning to its end, and what stands beside the chains."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core.events import Kind
from agent.core.journal import Skipped, canonical
from agent.errors import StoreError
from agent.journal import facts as outbox_facts
from agent.journal.rows import NOT_AS_WRITTEN, last_of
from agent.journal.schema import Epoch, JournalDamagedError, epoch_of, key, seq_of
from agent.journal.store import NOT_SENT, Store

_CHUNK = 500
_ACCOUNTS = "SELECT kind, body FROM rows WHERE kind IN (?, ?)"


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
        with opened(path) as store:
            rows = skipped = 0
            bad: list[BadRow] = []
            accounts = _accounts(store)
            for e in store.epochs:
                fault, r, s = _walk(store, e, accounts)
                rows, skipped = rows + r, skipped + s
                bad += [fault] if fault else []
            if not store.epochs:
                return VerifyReport(str(path), 0, 0, 0, (BadRow("", 0, "there is no epoch in this journal"),))
            bad = (
                bad
                or _missing_epochs(store, accounts)
                or _epochs_hold(store)
                or _facts_hold(store)
                or _integrity(store)
            )
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


def _epochs_hold(store: Store) -> list[BadRow]:
    """Why each epoch no longer grows, as the next one's first row has it; and that what was carried over is there."""
    bad: list[BadRow] = []
    for e, later in itertools.pairwise(store.epochs):
        body = next((row.body for row in store.rows(later, (1,))), {})
        reason = body.get("reason") if body.get("previous_epoch") == e.name else None
        if e.closed is None or (reason in NOT_SENT and e.closed != reason):
            bad.append(BadRow(later.name, 1, f"the epoch before it ended as {reason}, the file says {e.closed}"))
        if e.closed in NOT_SENT and not _carried(store, e, later):
            bad.append(BadRow(e.name, e.acked, f"row {e.acked}: was to be carried over, and is in no later epoch"))
    if store.epochs and store.epochs[-1].closed is not None:
        bad.append(
            BadRow(store.epochs[-1].name, 1, f"it grows, and the file says that it ended ({store.epochs[-1].closed})")
        )
    return bad


def _carried(store: Store, e: Epoch, later: Epoch) -> bool:
    """True when the last row that counts as carried over stands in a later epoch, as a copy."""
    rows = store.rows(e, (e.acked,)) if e.acked > e.base_seq else []
    body = next((row.body for row in store.rows(later, (1,))), {})
    first = (body.get("carries") or [e.acked + 1])[0] if body.get("previous_epoch") == e.name else e.acked + 1
    names = [canonical([r.epoch, r.seq, r.hash]) for r in rows if r.seq >= first and later.base_seq == 0]
    query = "SELECT 1 FROM rows WHERE id > ? AND instr(body, ?) LIMIT 1"
    return all(store.db.execute(query, (key(later.no, 0), name)).fetchone() for name in names)


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
def opened(path: Path) -> Iterator[Store]:
    """A journal to be read, damaged or not. Raises StoreError where there is none that this release can read."""
    try:
        there = path.is_file()
    except OSError as e:
        raise StoreError(f"{path}: cannot be read ({e.strerror}); it belongs to the agent's user (sudo)") from e
    if not there:
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
