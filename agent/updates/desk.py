"""A release from afar, led from the order to what became of it: fetched, waited with, handed to the device's updater.

Used by the controller's thread only. Each stage is a row of the journal and, with it, a fact that survives the restart
that an update is. What is installed, and whether, is decided by the updater alone (deploy/device/staged.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from agent.clock import Clock
from agent.core.commands import Command
from agent.core.events import Json, Kind, Priority, Record
from agent.core.updates import Bundle, Stage, Update, Why
from agent.updates.fetcher import Fetched, FetchProgress, NotFetched
from agent.updates.files import Answer, UpdateFiles

NO_WORD_S: Final = 3 * 3600.0  # longer than the updater can take
_LOOK_EVERY_S: Final = 1.0
_FAULTS: Final = frozenset({Why.NOT_FETCHED, Why.NO_ROOM, Why.DAMAGED})  # ours or the line's; the rest is refused
_WORDS: Final[Mapping[Stage, tuple[str, Priority]]] = {
    Stage.FETCHING: ("Ordered", Priority.NORMAL),
    Stage.WAITING: ("Fetched", Priority.NORMAL),
    Stage.INSTALLING: ("Handed", Priority.NORMAL),
    Stage.WELL: ("Well", Priority.NORMAL),
    Stage.REFUSED: ("Refused", Priority.HIGH),
    Stage.FAILED: ("Failed", Priority.ALARM),
    Stage.ROLLED_BACK: ("RolledBack", Priority.ALARM),
    Stage.CANCELLED: ("Cancelled", Priority.NORMAL),
}


class Fetcher(Protocol):
    """What this needs of updates/fetcher.py."""

    def begin(self, order_id: str, bundle: Bundle) -> None:
        """Fetch this one, instead of another one."""

    def call_off(self) -> None:
        """Nothing is fetched any more."""


class UpdateDesk:
    """`waits_for` says in words what keeps the door from being updated now; it has to be nothing for `quiet_s`.

    `max_bytes` bounds a bundle.
    """

    def __init__(
        self,
        write: Callable[[Record], None],
        fetcher: Fetcher,
        files: UpdateFiles,
        clock: Clock,
        facts: Mapping[str, Any],
        *,
        waits_for: Callable[[], str],
        max_bytes: int,
        quiet_s: float,
    ) -> None:
        self._write, self._fetcher, self._files, self._clock = write, fetcher, files, clock
        self._waits_for, self._max_bytes, self._quiet_s = waits_for, max_bytes, quiet_s
        self._update = Update.from_fact(facts.get("update"))
        self._percent = 0
        self._busy_with, self._looked_s = "", 0.0
        self._quiet_from_s: float | None = None
        self._handed_s = clock.now_s()
        if self._update is not None and not self._update.stage.over:
            self._go_on(self._update)

    # ------------------------------------------------------------ remote.Updates

    def refusal(self, command: Command) -> str:
        """See Updates."""
        bundle, now = command.bundle, self._update
        if bundle is None:
            return ""
        if now is not None and now.stage is Stage.INSTALLING:
            return str(Why.BUSY)
        if bundle.release == self._files.running:
            return ""
        return str(Why.TOO_LARGE) if bundle.size_bytes > self._max_bytes else self._files.obstacle(bundle)

    def ordered(self, command: Command) -> None:
        """See Updates."""
        if command.bundle is None:
            self._call_off()
        elif command.bundle.release == self._files.running:
            self._is_at(Update(command.command_id, command.bundle, Stage.WELL))
        else:
            self._percent = 0
            self._is_at(Update(command.command_id, command.bundle, Stage.FETCHING))
            self._fetcher.begin(command.command_id, command.bundle)

    # ------------------------------------------------------------ for the reception

    def facts(self) -> dict[str, Json]:
        """For up/state, and for the page at the door."""
        update = self._update
        said: dict[str, Json] = {"machine": self._files.machine}
        if update is None:
            return said
        said |= {"rollout": update.bundle.rollout, "release": update.bundle.release, "stage": str(update.stage)}
        said |= {"why": update.why} if update.why else {}
        said |= {"percent": self._percent} if update.stage is Stage.FETCHING else {}
        waits = update.stage is Stage.WAITING and self._busy_with
        return said | ({"waits_for": self._busy_with} if waits else {})

    @property
    def running(self) -> str:
        """The release of this process."""
        return self._files.running

    def news(self, event: object) -> bool:
        """Take one event. False: it is nothing for here."""
        if not isinstance(event, FetchProgress | Fetched | NotFetched):
            return False
        update = self._update
        if update is None or update.stage is not Stage.FETCHING or event.order_id != update.order_id:
            return True  # of one that was called off
        match event:
            case FetchProgress():
                self._percent = event.percent
            case Fetched():
                self._is_at(update.at(Stage.WAITING))
            case NotFetched():
                stage = Stage.FAILED if event.why in _FAULTS else Stage.REFUSED
                self._is_at(update.at(stage, event.why, event.detail))
        return True

    def tend(self, now_s: float) -> None:
        """Hand over once it has been quiet for a while; look what became of what was handed over."""
        update = self._update
        if update is None or now_s < self._looked_s + _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if update.stage is Stage.WAITING:
            self._wait(update, now_s)
        elif update.stage is Stage.INSTALLING:
            self._look(update, now_s)

    # ------------------------------------------------------------ parts

    def _go_on(self, update: Update) -> None:
        """After a restart."""
        there = self._files.whole(update.bundle).exists()
        if update.stage is Stage.FETCHING or (update.stage is Stage.WAITING and not there):
            self._update = update.at(Stage.FETCHING)
            self._fetcher.begin(update.order_id, update.bundle)

    def _wait(self, update: Update, now_s: float) -> None:
        self._busy_with = self._waits_for()
        if self._busy_with:
            self._quiet_from_s = None
            return
        self._quiet_from_s = now_s if self._quiet_from_s is None else self._quiet_from_s
        if now_s - self._quiet_from_s < self._quiet_s:
            return
        self._quiet_from_s, self._handed_s = None, now_s
        name = secrets.token_hex(8)  # so that no earlier answer is taken for one to this request
        handed = update.at(Stage.INSTALLING, boot=self._clock.boot_id(), handed=name)
        try:
            self._files.hand_over(handed)
        except OSError as error:
            self._is_at(update.at(Stage.FAILED, str(Why.NO_ROOM), f"the request could not be written: {error}"))
            return
        self._is_at(handed)

    def _look(self, update: Update, now_s: float) -> None:
        answer = self._files.answer(update, self._clock.boot_id())
        if answer is None and now_s - self._handed_s >= NO_WORD_S:
            answer = Answer(Stage.FAILED, str(Why.NO_WORD), "the device's updater did not say how it ended")
        if answer is None:
            return
        if answer.stage is Stage.WAITING:  # it was not quiet long enough, or a power cut came first
            self._go_on_waiting(update)
            return
        self._is_at(update.at(answer.stage, answer.why, answer.detail))

    def _go_on_waiting(self, update: Update) -> None:
        self._update = update.at(Stage.WAITING)
        self._go_on(self._update)

    def _call_off(self) -> None:
        update = self._update
        if update is None or update.stage.over:
            return
        self._fetcher.call_off()
        before_it = update.stage is not Stage.INSTALLING or self._files.withdraw()
        self._files.keep_only(None)  # an updater that still waits sees that it is gone
        if before_it:
            self._is_at(update.at(Stage.CANCELLED, str(Why.CALLED_OFF)))

    def _is_at(self, update: Update) -> None:
        self._update = update
        word, priority = _WORDS[update.stage]
        body: dict[str, Json] = {"state": word, "release": update.bundle.release, "rollout": update.bundle.rollout}
        body |= {"why": update.why} if update.why else {}
        body |= {"detail": update.detail} if update.detail else {}
        self._write(Record(Kind.UPDATE, body, priority, {"update": update.to_fact()}))
        if update.stage.over:
            self._files.keep_only(None)
