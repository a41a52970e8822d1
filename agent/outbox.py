"""Owns the event journal: append, fetch, acknowledge, prune. One thread, one SQLite connection, rows never changed.

Callers on any thread put work into an inbox and get their answer as an event. A store that fails is an alarm, not a
locked door: records wait in a bounded ring until the disk takes them again, and what did not fit is declared by a row.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.clock import Clock
from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed, OutboxStatus, RowsShown, StoreReported
from agent.core.sync import MAX_PREVIEWS
from agent.journal.desk import OutboxSettings
from agent.journal.disk import bytes_on_disk, is_full
from agent.journal.keeper import Keeper
from agent.journal.quota import Limits, level, live_bytes, make_room, tidy
from agent.journal.showing import shown
from agent.journal.store import Store
from agent.journal.work import Entry, Fetch, FetchRows, Stop, Wake, Weigh, Work, carry, fetched, weighed

__all__ = ["Outbox", "OutboxSettings"]

_GROUP_ROWS = 200  # of one commit
_TIDY_EVERY_S = 30.0
_UNSAVED_ACKS = 2000  # acknowledged rows that a crash may ask the server about again


class Outbox(Keeper):
    """The journal of one door; what any thread may ask of it stands in Desk, what keeps it open in Keeper."""

    def __init__(self, settings: OutboxSettings, post: Callable[[object], None], clock: Clock) -> None:
        super().__init__(settings, post, clock)
        self._limits = Limits(settings.quota_bytes, settings.keep_days)
        self._requests: deque[Fetch | FetchRows | Weigh | Wake] = deque()
        self._tidy_at_s = 0.0
        self._quota_word = "quota-ok"
        self._unsaved_acks = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    # ------------------------------------------------------------ for any thread

    def start(self) -> None:
        """Open or create the journal. One that can't be opened, or is damaged, is this thread's work later on.

        Raises:
            StoreError: for what a person must mend: the folder is missing or not writable, another agent has it.
        """
        self._begin()
        self._showing.begin(self._stored.newest)
        self._status = self._snapshot()
        self._thread.start()

    def facts(self) -> Mapping[str, Any]:
        """The facts stored by the last run, as they were when start() returned."""
        return self._stored.facts

    def newest(self) -> RowsShown:
        """The newest rows of the last run, as they were when start() returned."""
        return RowsShown(tuple(map(shown, self._stored.newest)))

    def status(self) -> OutboxStatus:
        """A snapshot, from any thread."""
        return self._status

    def dead(self) -> bool:
        """True when its thread ended by itself: nothing is stored any more."""
        return self._status.state == "dead"

    def stop(self, timeout_s: float = 5.0) -> None:
        """Commit what waits and close. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(Stop())
            self._thread.join(timeout_s)
        self._lock.release()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except Exception as e:
            self._status = replace(self._status, state="dead")
            self._post(StoreReported("dead", f"{type(e).__name__}: {e}"[:300]))
            raise
        finally:
            if self._store is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._store.save_acked()
                self._store.close()
        self._status = replace(self._status, state="stopped")

    def _turn(self) -> None:
        """Commits first: nobody at the door waits for more than one answer to the link."""
        for work in self._gather():
            if isinstance(work, Entry):
                self._ring.put(work)
            elif isinstance(work, Stop):
                self._stopping = True
            else:
                self._requests.append(work)
        now_s = self.clock.now_s()
        if self._trouble.on and (now_s >= self._trouble.again_s or self._stopping):
            self._guarded(self._recover)
            self._tidy_at_s = 0.0
        while len(self._ring) and not self._trouble.on:
            self._guarded(self._commit)
        if self._trouble.on:
            self._waiting.write(self._ring)
            self._showing.waiting(self._ring)
        if now_s >= self._tidy_at_s and not self._trouble.on:
            self._tidy_at_s = now_s + _TIDY_EVERY_S
            self._guarded(self._tidy)
        if self._requests:
            self._guarded(functools.partial(self._serve, self._requests.popleft()))
        if self._store is not None and not self._trouble.on:
            self._guarded(functools.partial(self._showing.catch_up, self._store))
        self._status = self._snapshot()

    def _gather(self) -> list[Work]:
        """Everything that waits; when nothing does, whatever comes before the next deadline."""
        due_s = self._trouble.again_s if self._trouble.on else self._tidy_at_s
        wait_s = 0.0 if self._requests else min(max(due_s - self.clock.now_s(), 0.0), _TIDY_EVERY_S)
        work: list[Work] = []
        with contextlib.suppress(queue.Empty):
            work.append(self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait())
            while len(work) < _GROUP_ROWS:
                work.append(self._inbox.get_nowait())
        return work

    # ------------------------------------------------------------ appending

    def _commit(self) -> None:
        store = self._store
        if store is None:
            raise sqlite3.OperationalError("the journal is not open")
        group = self._ring.first(_GROUP_ROWS)
        rows = store.append([(e.when, e.record) for e in group], waited=self._waiting.note(group[-1].number))
        self._ring.done(len(group))
        if not len(self._ring):
            self._waiting.clear()
        self._status = self._snapshot()  # who hears of the commit must not read an older status
        for entry, row in zip(group, rows, strict=True):
            if entry.token is not None:
                self._post(Committed(entry.token, row.epoch, row.seq))
        self._showing.stored(store, group, rows)
        self._tell_head(tuple((r.epoch, r.seq) for r in rows if r.priority == Priority.ALARM))

    # ------------------------------------------------------------ serving the link

    def _serve(self, work: Fetch | FetchRows | Weigh | Wake) -> None:
        store = self._store
        if store is None:
            return
        if isinstance(work, Weigh):
            self._weigh(store, work)
            return
        if isinstance(work, Wake):
            self._tell_head(store.unsent_alarms(MAX_PREVIEWS))
            return
        batch = fetched(store, work)
        if batch is None:
            self._tell_head()
        else:
            self._tell(batch)

    def _weigh(self, store: Store, work: Weigh) -> None:
        before = store.sending()
        acked = before.acked
        judged, report = weighed(store, work, self._moment())
        self._unsaved_acks += max(before.acked - acked, 0)
        if self._unsaved_acks >= _UNSAVED_ACKS:
            self._unsaved_acks = 0
            store.save_acked()
        if report is not None:
            self._record(report)
            self._tidy_at_s = 0.0
        self._tell(judged)
        if store.sending() is not before:
            self._tell_head()

    def _record(self, report: StoreReported) -> None:
        """Say it to the controller and in the journal."""
        self._post(report)
        body = {"state": report.word, "detail": report.detail}
        self._ring.put(Entry(self._moment(), Record(Kind.STORE, body, Priority.ALARM), None))

    # ------------------------------------------------------------ looking after the file

    def _tidy(self) -> None:
        store = self._store
        if store is None:
            return
        last = store.current.last_seq
        now = self._moment()
        if (is_full(store.path) and make_room(store, now)) or carry(store) or tidy(store, self._limits, now):
            self._tidy_at_s = 0.0  # more to do; rows that came in meanwhile go first
        if store.current.last_seq != last:
            self._tell_head()
        word = level(live_bytes(store) / self._settings.quota_bytes)
        if word != self._quota_word:
            self._quota_word = word
            self._record(
                StoreReported(word, f"{live_bytes(store) // 1024} KiB of {self._settings.quota_bytes // 1024}")
            )
        self._ballast.keep()

    def _snapshot(self) -> OutboxStatus:
        state = "failing" if self._trouble.on else "ok"
        if self._store is None or not self._store.epochs:
            return replace(self._status, state=state)
        e, size = self._store.current, bytes_on_disk(self._store.path)
        used = size / self._settings.quota_bytes
        depth = self._store.depth() + len(self._ring)
        return OutboxStatus(e.name, e.last_seq, e.acked, depth, size, used, state, e.last_hash, self._store.floor_ms)
