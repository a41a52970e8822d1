"""Keeps the journal open: mends a damaged one, waits for a disk that fails, says meanwhile how the door stood.

A store that fails is an alarm, not a locked door.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace

from agent.clock import Clock
from agent.core.events import Json, Kind, Priority, Record
from agent.core.stream import OutboxStatus, StoreFailed, StoreRecovered, StoreReported
from agent.core.sync import AckJudged, Batch, HeadMoved, RowName
from agent.errors import StoreError
from agent.journal.desk import Desk, OutboxSettings
from agent.journal.disk import Ballast, FolderLock
from agent.journal.opening import Stored, is_damage, open_journal, peek, replace_journal, stored
from agent.journal.quota import make_room
from agent.journal.schema import JournalDamagedError
from agent.journal.store import Store
from agent.journal.waiting import WaitingRoom
from agent.journal.work import Ring, Trouble

_REPLACE_EVERY_S = 60.0
_TAKES_NOTHING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_TRIES, _TRY_EVERY_S = 10, 0.3  # to learn from a card that does not answer at once how the door stood


class Keeper(Desk):
    """The outbox's own thread, and the one that starts it before there is any, are in here."""

    def __init__(self, settings: OutboxSettings, post: Callable[[object], None], clock: Clock) -> None:
        super().__init__(clock)
        self._settings, self._post = settings, post
        self._device = f"{settings.site}/{settings.door}"
        self._lock = FolderLock(settings.path)
        self._ballast = Ballast(settings.path, settings.ballast_bytes)
        self._ring = Ring(settings.ring_rows)
        self._waiting = WaitingRoom(settings.path)
        self._store: Store | None = None
        self._status = OutboxStatus()
        self._stored = Stored()
        self._trouble = Trouble()
        self._replace_again_s = 0.0

    def _begin(self) -> None:
        """Open or create the journal. One that can't be opened, or is damaged, is the thread's work later on.

        Raises:
            StoreError: for what a person must mend: the folder is missing or not writable, another agent has it.
        """
        self._lock.take()
        self._ballast.keep()
        try:
            self._open(replacing=False)
        except (sqlite3.Error, JournalDamagedError, OSError) as e:
            self._begin_without(e)
        else:
            self._stored = stored(self._store) if self._store is not None else self._stored
        self._take_up()

    def _take_up(self) -> None:
        """Rows that waited for the disk when the last run was killed go first, and count for how the door stands."""
        left = self._waiting.read()
        name, number = self._stored.waited or ("", 0)
        known = number if self._waiting.note(0) == (name, 0) else 0
        facts = dict(self._stored.facts)
        for entry in (e for e in left if e.number > known):
            self._ring.put(entry)
            facts |= entry.record.facts or {}
        self._stored = replace(self._stored, facts={k: v for k, v in facts.items() if v is not None})
        self._waiting.keep()

    def _open(self, *, replacing: bool = True) -> None:
        settings = self._settings
        opened = open_journal(
            settings.path, self._device, self._moment(), spare_bytes=settings.quota_bytes, replacing=replacing
        )
        self._store = opened.store
        if opened.word != "ok":
            self._post(StoreReported(opened.word, opened.detail))

    def _begin_without(self, e: Exception) -> None:
        """The door goes on as it stood when its journal was last written, as far as that can be read."""
        path, damaged = self._settings.path, is_damage(e)
        if damaged:
            self._trouble.begins(self.clock.now_s())
        else:
            self._fail(e)
        found = peek(path)
        for _ in range(_TRIES if found is None and path.exists() and not damaged else 0):
            with contextlib.suppress(sqlite3.Error, JournalDamagedError, OSError):
                self._open(replacing=False)
                found = stored(self._store) if self._store is not None else None
                break
            if not os.access(path, os.R_OK | os.W_OK):
                raise StoreError(f"{path}: cannot be opened ({e}); check its owner and mode") from e
            time.sleep(_TRY_EVERY_S)
        self._stored = found or Stored()
        self._status = replace(self._status, floor_ms=self._stored.floor_ms)

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
                self._let_go_of_read_only(e)
                self._fail(e)

    def _let_go_of_read_only(self, e: Exception) -> None:
        """Opened while the disk took nothing, it would stay read-only for ever: the next try opens it anew."""
        if self._store is not None and getattr(e, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            self._store.close()
            self._store = None

    def _replace_store(self, store: Store, e: Exception) -> None:
        store.close()
        self._store = None
        first_bad = getattr(e, "seq", None)
        try:
            opened = replace_journal(
                self._settings.path, self._device, self._moment(), str(e), first_bad=first_bad,
                spare_bytes=self._settings.quota_bytes,
            )  # fmt: skip
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return
        self._store = opened.store
        self._post(StoreReported(opened.word, opened.detail))
        self._tell_head()

    def _fail(self, e: Exception) -> None:
        self._trouble.begins(self.clock.now_s())
        self._trouble.full = getattr(e, "sqlite_errorcode", 0) & 0xFF in _TAKES_NOTHING
        if not self._trouble.told:
            self._trouble.told = True
            self._ballast.give_back()
            self._post(StoreFailed(str(e)[:300]))

    def _recover(self) -> None:
        """Open the journal if need be and write the row that accounts for the time without it."""
        if self._store is None:
            self._open()
        store = self._store
        if store is None:
            return
        if self._trouble.full:
            with contextlib.suppress(sqlite3.OperationalError):  # then the row below fails in the same way
                make_room(store, self._moment())
        waited, dropped = len(self._ring), self._ring.dropped.total()
        if self._trouble.told:
            body: dict[str, Json] = {"state": "recovered", "waited": waited, "never_stored": dict(self._ring.dropped)}
            kind = Kind.TOMBSTONE if dropped else Kind.STORE
            store.append([(self._moment(), Record(kind, body, Priority.HIGH))])
            self._ring.dropped.clear()
            self._post(StoreRecovered(waited, dropped))
        self._trouble.ends()
        self._ballast.keep()
        self._waiting.keep()
        self._tell_head()

    def _tell(self, news: HeadMoved | Batch | AckJudged) -> None:
        if self._listener is not None:
            self._listener(news)

    def _tell_head(self, alarms: tuple[RowName, ...] = ()) -> None:
        if self._store is not None:
            self._tell(HeadMoved(self._store.sending().head(), alarms))
