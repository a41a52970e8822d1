"""The server's end of a roll-out: looks at plan and doors every other second, orders, writes down, raises the alarm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.core.commands import Action
from agent.core.updates import Bundle
from agent.errors import StoreError
from deploy.community import rollout
from deploy.community.feed import Feed
from deploy.community.news import SERVER
from deploy.community.rollout import Plan, Progress, Turn
from deploy.community.rollout_store import RolloutStore

LOOK_EVERY_S: Final = 2.0
ACTOR: Final = "rollout"

# door, action, bundle -> the door's answer
Order = Callable[[str, Action, Bundle | None], dict[str, Any]]
RaiseAlarm = Callable[[str, str, str], None]  # door, word, what is the matter


class RolloutDesk:
    """One thread. `may_fetch` is for the threads that serve bundles."""

    def __init__(
        self, store: RolloutStore, feed: Feed, order: Order, alarm: RaiseAlarm, every_s: float = LOOK_EVERY_S
    ) -> None:
        self._store, self._feed, self._order, self._every_s = store, feed, order, every_s
        self._raise_alarm = alarm
        self._may: frozenset[tuple[str, str]] = frozenset()
        self._told = ""
        self._stopped: tuple[str, str, str] | None = None  # roll-out, door, fault: the last stop that was told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollout", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(20)

    def may_fetch(self, door: str, sha256: str) -> bool:
        """Whether this door was ordered to fetch this file, by a roll-out that goes on."""
        return (door, sha256) in self._may

    def look(self) -> None:
        """One look. Raises StoreError, OSError when the files can't be used."""
        plan = self._store.plan()
        if plan is None:
            return
        progress = before = self._store.progress(plan)
        if progress.ended:
            self._may = frozenset()
            return
        turn = rollout.step(plan, progress, self._states(), _now_ms())
        progress = self._kept(plan, before, turn)
        for door in turn.order:
            if self._stopping.is_set() or progress.ended:
                break
            answer = self._order(door, Action.UPDATE, plan.bundle)
            progress = self._kept(plan, progress, rollout.answered(progress, door, answer))
        if progress.ended == "stopped":
            self._call_off(progress)

    # ------------------------------------------------------------ parts

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.look()
                self._told = ""
            except (StoreError, OSError) as e:
                if str(e) != self._told:
                    self._told = str(e)
                    self._alarm(SERVER, str(e))

    def _kept(self, plan: Plan, before: Progress, turn: Turn) -> Progress:
        """Written down before anything follows from it: an order given twice is harmless, one forgotten is not.

        The alarm comes first for the same reason: nobody would be told of a stop that was written and not yet said.
        """
        progress = turn.progress
        if turn.alarm is not None and (plan.id, *turn.alarm) != self._stopped:
            door, fault = turn.alarm
            self._stopped = (plan.id, door, fault)
            self._alarm(door, f"the roll-out of {plan.bundle.release} was stopped: {fault}")
        if progress != before:
            self._store.write_progress(progress)
        doors = () if progress.ended else progress.members
        self._may = frozenset((door, plan.bundle.sha256) for door in doors)
        return progress

    def _call_off(self, progress: Progress) -> None:
        states = self._states()
        for door in rollout.to_call_off(progress):
            if states.get(door) is not None and not self._stopping.is_set():
                self._order(door, Action.CANCEL_UPDATE, None)

    def _states(self) -> dict[str, Mapping[str, Any] | None]:
        return {door: self._feed.state(door) for door in self._feed.snapshot()["doors"]}

    def _alarm(self, device: str, detail: str) -> None:
        self._raise_alarm(device, "rollout", detail)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
