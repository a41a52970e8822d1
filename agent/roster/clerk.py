"""The thread that alone touches the roster's file: the server's messages, what the door itself changes, the gallery.

Reading everybody, writing to an SD card, waiting for another process that writes: all of it may take seconds, and the
controller, which holds the relay, waits for none of it. It asks here and hears the answer as an event; whenever the
roster is another one, the new view of it is posted whole (`RosterRead`).
"""

from __future__ import annotations

import functools
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyseto

from agent.core.networks import Network
from agent.core.roster_feed import digest
from agent.core.stream import RosterArrived
from agent.directory import View
from agent.errors import StoreError
from agent.gallery_feed import GalleryFeed, Vision
from agent.identity import Identity
from agent.mailbox import guarded
from agent.receipts import withdrawn
from agent.residents import NewFace, Residents
from agent.roster.entries import Purge
from agent.roster.file import StoreBusyError
from agent.roster.intake import Intake
from agent.roster.news import (
    Enrolled,
    Learnt,
    NewPerson,
    Purged,
    RosterOpened,
    RosterRead,
    RosterUnusable,
    Visit,
    Withdrawn,
)
from agent.roster.store import RosterStore

_WAITING: Final = 4096
_LOOK_EVERY_S: Final = 1.0
_PURGE_AGAIN_S: Final = 30.0  # a receipt whose commit was not heard of is written again, rather twice than never
_OPEN_AGAIN_S: Final = 5.0
_TRIES: Final = 12  # of a change that another process holds up; SQLite waits 5 s each time


@dataclass(frozen=True, slots=True)
class _Task:
    """Something to do with the roster; what it returns is posted, or what `failed` makes of the reason."""

    work: Callable[[Residents], object | None]
    failed: Callable[[str], object | None] = lambda _detail: None
    tries: int = _TRIES


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What an agent knows of its roster when it starts; nothing where the file cannot be used."""

    residents: Residents | None = None
    held: tuple[int, str] | None = None  # of the server's roster: revision and digest
    heard_utc_s: int = 0


def look_at_roster(folder: Path) -> FirstLook:
    """Read the roster once, before there is a controller that could be kept waiting.

    A file that cannot be used is no reason not to start: exits, orders from afar and visitors go on. The clerk tries
    again and says what is wrong.
    """
    try:
        store = RosterStore(folder)
        try:
            return FirstLook(Residents(store), (store.revision, digest(store.entries())), store.heard_utc_s())
        finally:
            store.close()
    except (StoreError, sqlite3.Error):
        return FirstLook()


class RosterClerk:
    """Everything public may be called from any thread and returns at once.

    `known`: what was read at the start. `floor`, `key`, `identity`: see Intake. `expired` is called with the residents
    and a wall time that has passed for sure, to forget people whose time is over.
    """

    def __init__(
        self,
        door: str,
        folder: Path,
        post: Callable[[object], None],
        vision: Vision,
        *,
        known: Residents | None = None,
        key: pyseto.KeyInterface | None = None,
        identity: Identity | None = None,
        floor: int = 0,
        expired: Callable[[Residents, float], None] = lambda _residents, _sure_utc_s: None,
    ) -> None:
        self._folder, self._post, self._known, self._expired = folder, post, known, expired
        self._door, self._signs_receipts = door, identity is None  # with a server, that collects the door's receipts
        self._intake = Intake(door, post, key=key, identity=identity, floor=floor)
        self._feed = GalleryFeed(vision)
        self._inbox: queue.Queue[RosterArrived | _Task | None] = queue.Queue(_WAITING)
        self._shown: tuple[View | None, frozenset[str]] = (known.view if known else None, frozenset())
        self._complaint = ""
        self._purges_told_s: dict[Purge, float] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="roster", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what waits and end. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join(timeout_s)

    # ------------------------------------------------------------ what is asked

    def take(self, event: RosterArrived) -> None:
        """A message of the server. A full inbox drops it: the server sends again while the digests differ."""
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            self._intake.missed()

    def believe(self, key: pyseto.KeyInterface) -> None:
        """Rosters that this key signed are taken from now on, and no others."""
        self._intake.believe(key)

    def begin_gallery(self, network: Network) -> None:
        """A vision process with this network said Hello: it is to have everybody, once the file can be used."""
        self._feed.begin(network)
        self._ask(_Task(lambda _: None))  # now

    def enrol(self, wanted: NewPerson, faces: list[NewFace], network: Network) -> None:
        """Somebody new; `Enrolled` is the answer."""

        def work(residents: Residents) -> Enrolled:
            person = residents.add(wanted.name, wanted.consent, faces, *network, alike=wanted.alike)
            return Enrolled(wanted.enrolment_id, person.id)

        self._ask(_Task(work, lambda detail: Enrolled(wanted.enrolment_id, None, detail)))

    def add_visit(self, visit: Visit, faces: list[NewFace], network: Network) -> None:
        """Pictures of one more visit of somebody enrolled; `Enrolled` is the answer."""

        def work(residents: Residents) -> Enrolled:
            person = residents.add_visit(visit.person_id, faces, *network, visit.consent)
            return Enrolled(visit.enrolment_id, person.id, again=True)

        self._ask(_Task(work, lambda detail: Enrolled(visit.enrolment_id, None, detail, again=True)))

    def withdraw(self, person_id: str, sure_utc_s: float, utc_s: float) -> None:
        """A consent for a face is withdrawn here; `Withdrawn` is the answer. Times: one surely passed, and now."""

        def work(residents: Residents) -> Withdrawn:
            door = self._door if self._signs_receipts else None
            return withdrawn(residents, self._folder, person_id, sure_utc_s, utc_s, door)

        self._ask(_Task(work, lambda detail: Withdrawn(person_id, why_not=detail)))

    def learn(self, person_id: str, face: NewFace, model_id: str, alignment_id: str) -> bool:
        """One template of a confirmed visit; `Learnt` is the answer. True: it is asked for."""
        self._ask(
            _Task(
                lambda residents: Learnt(person_id, residents.learn(person_id, face, model_id, alignment_id)),
                lambda _detail: Learnt(person_id, done=False),
            )
        )
        return True

    def forget(self, sure_utc_s: float) -> None:
        """Let go of what may not be kept any longer."""
        self._ask(_Task(lambda residents: self._expired(residents, sure_utc_s)))

    def heard(self, utc_s: int) -> None:
        """The server's word was fresh at this wall time: survives a restart."""
        self._ask(_Task(lambda residents: residents.store.heard(utc_s)))

    def told(self, purge: Purge) -> None:
        """The receipt of a purge is in the journal."""
        self._ask(_Task(lambda residents: residents.store.told(purge)))

    def _ask(self, task: _Task) -> None:
        try:
            self._inbox.put_nowait(task)
        except queue.Full:
            self._fail(task, "too much is waiting for the roster; try again in a moment")

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        serve = guarded(self._post, "roster", self._serve)
        while not self._stopping:
            serve(None)
            self._wait_out(_OPEN_AGAIN_S)

    def _serve(self, _: None) -> None:
        """Until it is to stop, or the file cannot be used."""
        try:
            store = RosterStore(self._folder)
            try:
                self._work_off(Residents(store, self._known))
            finally:
                store.close()
        except (StoreError, sqlite3.Error) as e:
            if self._complaint != str(e):
                self._complaint = str(e)
                self._post(RosterUnusable(str(e)))

    def _wait_out(self, seconds: float) -> None:
        """Without a roster: whoever asks hears why not."""
        end_s = time.monotonic() + seconds
        while not self._stopping and (left_s := end_s - time.monotonic()) > 0:
            try:
                work = self._inbox.get(timeout=left_s)
            except queue.Empty:
                return
            if work is None:
                self._stopping = True
            elif isinstance(work, _Task):
                self._fail(work, self._complaint)
            else:
                self._intake.missed()

    def _work_off(self, residents: Residents) -> None:
        if self._known is None:
            self._post(RosterOpened(self._intake.look(residents.store), residents.store.heard_utc_s()))
        self._known, self._complaint = residents, ""
        message = guarded(self._post, "roster", functools.partial(self._intake.message, residents.store))
        due_s, wait_s = 0.0, 0.0
        while True:
            self._show(residents)
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + _LOOK_EVERY_S
                self._look_for_purges(residents.store)
            more_s = self._feed.step(residents)
            wait_s = max(0.0, due_s - time.monotonic()) if more_s is None else more_s
            try:
                work = self._inbox.get(block=wait_s > 0, timeout=wait_s or None)
            except queue.Empty:
                continue
            if work is None:
                self._stopping = True
                return
            if isinstance(work, RosterArrived):
                message(work)
            else:
                self._do(work, residents)

    def _do(self, task: _Task, residents: Residents) -> None:
        try:
            answer = task.work(residents)
        except StoreBusyError as e:
            again = _Task(task.work, task.failed, task.tries - 1)
            self._ask(again) if again.tries else self._fail(task, str(e))
            return
        except (StoreError, ValueError) as e:
            self._fail(task, str(e))
            return
        except sqlite3.Error as e:
            self._fail(task, str(e))
            raise
        self._show(residents)  # the answer finds whom it speaks of
        if answer is not None:
            self._post(answer)

    def _fail(self, task: _Task, detail: str) -> None:
        answer = task.failed(detail)
        if answer is not None:
            self._post(answer)

    def _show(self, residents: Residents) -> None:
        residents.changed()
        seen = (residents.view, frozenset(self._feed.unreadable))
        if seen[0] is not self._shown[0] or seen[1] != self._shown[1]:
            self._shown = seen
            self._post(RosterRead(*seen))

    def _look_for_purges(self, store: RosterStore) -> None:
        now_s = time.monotonic()
        waiting = [p for p in store.purges() if now_s - self._purges_told_s.get(p, -_PURGE_AGAIN_S) >= _PURGE_AGAIN_S]
        if waiting and store.scrub():  # a reader that holds the log up is waited for
            for purge in waiting:
                self._purges_told_s[purge] = now_s
                self._post(Purged(purge))
