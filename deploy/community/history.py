"""What happened, read back from the ledger's tables on a connection of its own: a day for the page, a span as CSV."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from agent.clock import rfc3339
from deploy.community.database import Connection

_CHUNK: Final = 500
_FIELDS: Final = ("id", "device", "epoch", "seq", "kind", "priority", "wall_ms", "clock", "at_ms", "at_clock", "body")
_SELECT: Final = (
    f"SELECT {', '.join(_FIELDS)} FROM events WHERE at_ms >= ? AND at_ms < ?"  # noqa: S608
    " AND (at_ms > ? OR (at_ms = ? AND id > ?))"
)
COLUMNS: Final = (
    "time", "clock", "door", "kind", "state", "reason", "credential", "person", "actor", "row", "door_time", "body",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class History:
    """Safe for any thread: one reader at a time, on a connection made at the first question."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect, self._lock = connect, threading.Lock()
        self._db: Connection | None = None

    def between(self, from_ms: int, to_ms: int, where: str | None = None) -> Iterator[dict[str, Any]]:
        """What happened in [from_ms, to_ms), oldest first, as far as it is known when (see boot_times.py).

        `where` is a door (site/door) or a whole site.
        """
        after = (from_ms - 1, 0)
        while True:
            rows = self._read(from_ms, to_ms, where, after)
            yield from ({**row, "body": json.loads(row["body"])} for row in rows)
            if len(rows) < _CHUNK:
                return
            after = int(rows[-1]["at_ms"]), int(rows[-1]["id"])

    def newest(
        self, from_ms: int, to_ms: int, before: tuple[int, int] | None, most: int, where: str | None = None
    ) -> list[dict[str, Any]]:
        """The same, the newest first and `most` of them; `before` is at_ms and id of the last one that is known."""
        end = before or (to_ms, 0)
        some, names = _some(where)
        sql = (
            f"SELECT {', '.join(_FIELDS)} FROM events WHERE at_ms >= ? AND at_ms <= ?"  # noqa: S608
            f" AND (at_ms < ? OR id < ?){some} ORDER BY at_ms DESC, id DESC LIMIT ?"
        )
        rows = self._run(sql, (from_ms, end[0], end[0], end[1], *names, most))
        return [{**dict(zip(_FIELDS, row, strict=True)), "body": json.loads(row[-1])} for row in rows]

    def as_csv(self, from_ms: int, to_ms: int, where: str | None = None) -> Iterator[str]:
        """The same as lines of CSV with a header, for a spreadsheet: no cell can be taken for a formula.

        `time` is the best that is known and `clock` how far to believe it; `door_time` what the door's clock said.
        """
        yield _line(COLUMNS)
        for event in self.between(from_ms, to_ms, where):
            body = event["body"]
            told = [body.get(name, "") for name in ("state", "reason", "credential", "person_id", "actor")]
            time, row = rfc3339(event["at_ms"]), f"{event['epoch']}/{event['seq']}"
            rest = rfc3339(event["wall_ms"]), json.dumps(body, ensure_ascii=False, sort_keys=True)
            yield _line((time, event["at_clock"], event["device"], event["kind"], *told, row, *rest))

    def alarms(self, before: int, most: int) -> list[dict[str, Any]]:
        """Alarms of the server with a number below `before`, the newest first."""
        names = ("id", "device", "word", "detail", "at_ms")
        sql = f"SELECT {', '.join(names)} FROM alarms WHERE id < ? ORDER BY id DESC LIMIT ?"  # noqa: S608  our names
        return [dict(zip(names, row, strict=True)) for row in self._run(sql, (before, most))]

    def held(self, device: str) -> dict[str, int]:
        """Epoch -> how many different rows of it the server has."""
        found = self._run("SELECT epoch, COUNT(DISTINCT seq) FROM events WHERE device = ? GROUP BY epoch", (device,))
        return {str(epoch): int(count) for epoch, count in found}

    def newest_id(self) -> int:
        """The number of the newest event, 0 when there is none."""
        return int(self._run("SELECT COALESCE(MAX(id), 0) FROM events", ())[0][0])

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _read(self, from_ms: int, to_ms: int, where: str | None, after: tuple[int, int]) -> list[dict[str, Any]]:
        some, names = _some(where)
        sql = f"{_SELECT}{some} ORDER BY at_ms, id LIMIT {_CHUNK}"
        values = (from_ms, to_ms, after[0], *after, *names)
        return [dict(zip(_FIELDS, row, strict=True)) for row in self._run(sql, values)]

    def _run(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._db is None:
                self._db = self._connect()
            return self._db.execute(sql, values)


def _some(where: str | None) -> tuple[str, tuple[str, ...]]:
    """A condition for a door (site/door) or a whole site, and its values."""
    if not where:
        return "", ()
    return (" AND device = ?", (where,)) if "/" in where else (" AND device LIKE ?", (f"{where}/%",))


def _line(values: tuple[object, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_harmless(str(value)) for value in values])
    return buffer.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; with an apostrophe it shows it."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
