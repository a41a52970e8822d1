"""When something happened at a door whose clock was not right then.

Each row says how long the door had been up (`boottime_ms` of the boot `boot_id`). As soon as one row of that boot has
a synchronised clock, the others of the boot are placed by it: `at_ms`, with `at_clock` "reckoned". Otherwise `at_ms`
is the row's own wall time and `at_clock` says how far to believe it. The row itself, and its hash, stay as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from agent.core.journal import ClockQuality, Row
from deploy.community.database import Connection

RECKONED: Final = "reckoned"
Placed = tuple[int, str]  # at_ms, at_clock
_MOVED_MS: Final = 1000  # a clock drifts; so much is worth a write
_REMEMBERED: Final = 20_000


class BootTimes:
    """Within the ledger's transactions; what it remembers is forgotten when one of them fails."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._offsets: OrderedDict[tuple[str, str, str], int | None] = OrderedDict()

    def forget(self) -> None:
        """What was remembered may not be in the database."""
        self._offsets.clear()

    def place(self, rows: Sequence[Row], now_ms: int) -> list[Placed]:
        """When each of these rows of one door and epoch happened; earlier rows are placed anew if these tell how."""
        boots: dict[str, list[Row]] = {}
        for row in rows:
            boots.setdefault(row.boot_id, []).append(row)
        offsets = {boot: self._offset(of_boot, now_ms) for boot, of_boot in boots.items()}
        return [_placed(row, offsets[row.boot_id]) for row in rows]

    def seen(self, row: Row) -> Placed:
        """When one row happened, by what is known already."""
        found = self._db.execute(
            "SELECT MAX(offset_ms) FROM boots WHERE device = ? AND boot_id = ?", (row.device, row.boot_id)
        )
        return _placed(row, found[0][0])

    def _offset(self, rows: Sequence[Row], now_ms: int) -> int | None:
        first = rows[0]
        known = self._known(first, now_ms)
        told = [r.wall_ms - r.boottime_ms for r in rows if r.clock is ClockQuality.NTP]
        if not told or (known is not None and abs(told[-1] - known) < _MOVED_MS):
            return known
        place = (first.device, first.boot_id)
        self._db.execute("UPDATE boots SET offset_ms = ? WHERE device = ? AND boot_id = ?", (told[-1], *place))
        if known is None:
            for epoch, begin in self._db.execute(
                "SELECT epoch, first FROM boots WHERE device = ? AND boot_id = ?", place
            ):
                self._db.execute(
                    "UPDATE events SET at_ms = boottime_ms + ?, at_clock = ? WHERE device = ? AND epoch = ?"
                    " AND seq >= ? AND boot_id = ? AND clock != 'ntp'",
                    (told[-1], RECKONED, first.device, epoch, begin, first.boot_id),
                )
        self._remember((*place, first.epoch), told[-1])
        return told[-1]

    def _known(self, first: Row, now_ms: int) -> int | None:
        """The boot's offset; this boot is written down with where it begins."""
        key = (first.device, first.boot_id, first.epoch)
        if key in self._offsets:
            return self._offsets[key]
        found = self._db.execute("SELECT epoch, offset_ms FROM boots WHERE device = ? AND boot_id = ?", key[:2])
        offset = next((o for _, o in found if o is not None), None)
        if first.epoch not in [epoch for epoch, _ in found]:
            self._db.execute("INSERT INTO boots VALUES (?,?,?,?,?,?)", (*key, first.seq, offset, now_ms))
        self._remember(key, offset)
        return offset

    def _remember(self, key: tuple[str, str, str], offset: int | None) -> None:
        self._offsets[key] = offset
        self._offsets.move_to_end(key)
        while len(self._offsets) > _REMEMBERED:
            self._offsets.popitem(last=False)


def _placed(row: Row, offset: int | None) -> Placed:
    if row.clock is ClockQuality.NTP or offset is None:
        return row.wall_ms, str(row.clock)
    return row.boottime_ms + offset, RECKONED
