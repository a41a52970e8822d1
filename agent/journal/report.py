"""Reading a journal from outside, also while the agent writes it: list, tail, export.

Wall times are put right where they can be: a row written before the clock was set gets the time that a later row of the
same boot, written with a synchronised clock, implies for it.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.clock import rfc3339
from agent.core.journal import ClockQuality
from agent.errors import StoreError
from agent.journal.schema import epoch_of, seq_of
from agent.journal.verify import opened

_CHUNK = 500
_ACCOUNTS = "SELECT kind, body FROM rows WHERE kind IN (?, ?)"
_COLUMNS = ("epoch", "seq", "time", "clock", "kind", "priority", "body", "boot_id", "boottime_ms", "wall_ms", "hash")


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

    with opened(path) as store:
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
