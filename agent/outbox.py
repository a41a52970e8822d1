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
from agent.core.events import Json, Kind, Priority, Record
from agent.core.journal import Row
from agent.core.stream import Committed, OutboxStatus, StoreFailed, StoreRecovered, StoreReported
from agent.core.sync import AckJudged, Batch, HeadMoved
from agent.errors import StoreError
from agent.outbox_desk import Desk, OutboxSettings
from agent.outbox_disk import Ballast, FolderLock, bytes_on_disk
from agent.outbox_open import is_damage, open_journal, replace_journal
from agent.outbox_quota import Limits, level, live_bytes, tidy
from agent.outbox_schema import JournalDamagedError
from agent.outbox_store import Store
from agent.outbox_work import Entry, Fetch, FetchRows, Ring, Stop, Trouble, Wake, Weigh, Work, fetched, newest, weighed

__all__ = ["Outbox", "OutboxSettings"]

_GROUP_ROWS = 200  # of one commit
_TIDY_EVERY_S = 30.0
_REPLACE_EVERY_S = 60.0
_REMEMBERED_ROWS = 60
_UNSAVED_ACKS = 2000  # acknowledged rows that a crash may ask the server about again


class Outbox(Desk):
    """The journal of one door; what any thread may ask of it stands in Desk."""

    def __init__(self, settings: OutboxSettings, post: Callable[[object], None], clock: Clock) -> None:
        super().__init__(clock)
        self._settings, self._post = settings, post
        self._device = f"{settings.site}/{settings.door}"
        self._limits = Limits(settings.quota_bytes, settings.keep_days)
        self._lock = FolderLock(settings.path)
        self._ballast = Ballast(settings.path, settings.ballast_bytes)
        self._ring = Ring(settings.ring_rows)
        self._requests: deque[Fetch | FetchRows | Weigh | Wake] = deque()
        self._store: Store | None = None
        self._status = OutboxStatus()
        self._facts: Mapping[str, Any] = {}
        self._newest: tuple[Row, ...] = ()
        self._trouble = Trouble()
        self._tidy_at_s = self._replace_again_s = 0.0
        self._quota_word = "quota-ok"
        self._unsaved_acks = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    # ------------------------------------------------------------ for any thread

    def start(self) -> None:
        """Open or create the journal; a damaged one is moved aside and a new epoch begun.

        Raises:
            StoreError: for what a person must mend: the folder is missing or not writable, another agent has it.
        """
        self._lock.take()
        self._ballast.keep()
        try:
            self._open()
        except sqlite3.Error as e:
            if getattr(e, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise StoreError(f"{self._settings.path}: cannot be opened ({e}); check its owner and mode") from e
            self._fail(str(e))
        self._status = self._snapshot()
        self._thread.start()

    def facts(self) -> Mapping[str, Any]:
        """The facts stored by the last run, as they were when start() returned."""
        return self._facts

    def newest(self) -> tuple[Row, ...]:
        """The newest rows of the last run, oldest first, as they were when start() returned."""
        return self._newest

    def status(self) -> OutboxStatus:
        """A snapshot, from any thread."""
        return self._status

    def stop(self, timeout_s: float = 5.0) -> None:
        """Commit what waits and close. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(Stop())
            self._thread.join(timeout_s)
        self._lock.release()

    # ------------------------------------------------------------ opening

    def _open(self) -> None:
        opened = open_journal(self._settings.path, self._device, self._moment())
        self._store = opened.store
        self._facts = opened.store.facts()
        self._newest = newest(opened.store, _REMEMBERED_ROWS)
        if opened.word != "ok":
            self._post(StoreReported(opened.word, opened.detail))

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
        while len(self._ring) and not self._trouble.on:
            self._guarded(self._commit)
        if now_s >= self._tidy_at_s and not self._trouble.on:
            self._tidy_at_s = now_s + _TIDY_EVERY_S
            self._guarded(self._tidy)
        if self._requests:
            self._guarded(functools.partial(self._serve, self._requests.popleft()))
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

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run store work; tell damage (a new file is begun) from failure (retried)."""
        try:
            action()
        except (sqlite3.Error, JournalDamagedError, OSError) as e:
            now_s = self.clock.now_s()
            if is_damage(e) and self._store is not None and now_s >= self._replace_again_s:
                self._replace_again_s = now_s + _REPLACE_EVERY_S  # a fault of ours must not fill the disk with copies
                self._replace_store(self._store, e)
            else:
                self._fail(str(e))

    def _replace_store(self, store: Store, e: Exception) -> None:
        store.close()
        self._store = None
        first_bad = getattr(e, "seq", None)
        try:
            opened = replace_journal(self._settings.path, self._device, self._moment(), str(e), first_bad=first_bad)
        except (sqlite3.Error, OSError) as error:
            self._fail(str(error))
            return
        self._store = opened.store
        self._post(StoreReported(opened.word, opened.detail))
        self._tell_head()

    # ------------------------------------------------------------ appending

    def _commit(self) -> None:
        store = self._store
        if store is None:
            raise sqlite3.OperationalError("the journal is not open")
        group = self._ring.first(_GROUP_ROWS)
        rows = store.append([(e.when, e.record) for e in group])
        self._ring.done(len(group))
        self._status = self._snapshot()  # who hears of the commit must not read an older status
        for entry, row in zip(group, rows, strict=True):
            if entry.token is not None:
                self._post(Committed(entry.token, row.epoch, row.seq))
        alarms = tuple(r.seq for r in rows if r.priority == Priority.ALARM)
        self._tell_head(alarms if store.sending() is store.current else ())

    def _fail(self, detail: str) -> None:
        if self._trouble.begins(self.clock.now_s()):
            self._ballast.give_back()
            self._post(StoreFailed(detail[:300]))

    def _recover(self) -> None:
        """Open the journal if need be and write the row that accounts for the time without it."""
        if self._store is None:
            self._open()
        store = self._store
        if store is None:
            return
        waited, dropped = len(self._ring), self._ring.dropped.total()
        body: dict[str, Json] = {"state": "recovered", "waited": waited, "never_stored": dict(self._ring.dropped)}
        kind = Kind.TOMBSTONE if dropped else Kind.STORE
        store.append([(self._moment(), Record(kind, body, Priority.HIGH))])
        self._ring.dropped.clear()
        self._trouble.on = False
        self._ballast.keep()
        self._post(StoreRecovered(waited, dropped))
        self._tell_head()

    # ------------------------------------------------------------ serving the link

    def _serve(self, work: Fetch | FetchRows | Weigh | Wake) -> None:
        store = self._store
        if store is None:
            return
        if isinstance(work, Weigh):
            self._weigh(store, work)
            return
        batch = None if isinstance(work, Wake) else fetched(store, work)
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
        self._tell(judged)
        if store.sending() is not before:
            self._tell_head()

    def _record(self, report: StoreReported) -> None:
        """Say it to the controller and in the journal."""
        self._post(report)
        body = {"state": report.word, "detail": report.detail}
        self._ring.put(Entry(self._moment(), Record(Kind.STORE, body, Priority.ALARM), None))

    def _tell(self, news: HeadMoved | Batch | AckJudged) -> None:
        if self._listener is not None:
            self._listener(news)

    def _tell_head(self, alarms: tuple[int, ...] = ()) -> None:
        if self._store is not None:
            self._tell(HeadMoved(self._store.sending().head(), alarms))

    # ------------------------------------------------------------ looking after the file

    def _tidy(self) -> None:
        store = self._store
        if store is None:
            return
        last = store.current.last_seq
        if tidy(store, self._limits, self._moment()):
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
        return OutboxStatus(
            e.name, e.last_seq, e.acked, depth, size, used, state, e.last_hash, e.base_seq + 1, self._store.floor_ms
        )
