"""What of the journal was shown to whoever looks on, so that they get every row once and in order.

The store writes rows of its own (gap, rescue, quota, clock), so what is shown is what the file got, not what the agent
asked for. Only rows that wait for a failing disk are shown ahead: somebody at the door sees what happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from agent.core.events import Priority
from agent.core.journal import COPY_OF, Row
from agent.core.stream import RowShown, RowsShown
from agent.journal.facts import DIGEST
from agent.journal.rows import last_of
from agent.journal.store import Store
from agent.journal.work import Entry

_AT_ONCE: Final = 200


class Showing:
    """Used by the outbox's thread. Before `watch` nothing is shown, and nothing is read for it."""

    def __init__(self) -> None:
        self._watchers: tuple[Callable[[RowsShown], None], ...] = ()
        self._at: tuple[str, int] | None = None  # epoch and number of the last row that was shown
        self._ahead = 0  # number in the ring of the last entry that was shown before it was stored

    def watch(self, *watchers: Callable[[RowsShown], None]) -> None:
        """Who is shown rows from now on; called on the outbox's thread, so they may only hand over."""
        self._watchers = watchers

    def begin(self, newest: Sequence[Row]) -> None:
        """The rows of the last run that are shown by whoever starts."""
        if newest:
            self._at = (newest[-1].epoch, newest[-1].seq)

    def waiting(self, ring: Iterable[Entry]) -> None:
        """The disk takes nothing: what waits is shown now."""
        if self._watchers and (fresh := [e for e in ring if e.number > self._ahead]):
            self._ahead = fresh[-1].number
            self._show(RowShown(e.when.wall_ms, str(e.record.kind), e.record.priority, e.record.body) for e in fresh)

    def stored(self, store: Store, group: Sequence[Entry], rows: Sequence[Row]) -> None:
        """These were appended: behind what the store wrote itself before them."""
        if self._watchers:
            self.catch_up(store, until=(rows[0].epoch, rows[0].seq))
            self._show(shown(row) for entry, row in zip(group, rows, strict=True) if entry.number > self._ahead)
            self._at = (rows[-1].epoch, rows[-1].seq)

    def catch_up(self, store: Store, *, until: tuple[str, int] | None = None) -> None:
        """Show what the file got since, up to before `until`. Raises JournalDamagedError for a row that is not good."""
        if not self._watchers or not store.epochs:
            return
        known = next((n for n, e in enumerate(store.epochs) if self._at is not None and e.name == self._at[0]), None)
        for e in store.epochs[-1 if known is None else known :]:
            at = self._at[1] if self._at is not None and self._at[0] == e.name else 0
            first, end = max(at, e.base_seq) + 1, e.last_seq
            end = min(end, until[1] - 1) if until is not None and until[0] == e.name else end
            while first <= end:
                items = store.read(e, first, min(_AT_ONCE, end - first + 1))
                self._show(shown(i) for i in items if isinstance(i, Row) and COPY_OF not in i.body)
                first = last_of(items) + 1
                self._at = (e.name, first - 1)

    def _show(self, rows: Iterable[RowShown]) -> None:
        if told := tuple(rows):
            for watcher in self._watchers:
                watcher(RowsShown(told))


def shown(row: Row) -> RowShown:
    """A stored row, without what only the store needs."""
    body = {key: value for key, value in row.body.items() if key != DIGEST}
    return RowShown(row.wall_ms, row.kind, Priority(row.priority), body)
