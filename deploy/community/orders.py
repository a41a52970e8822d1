"""Orders that somebody gives to doors: in the managers' record before they are sent, and after with what came of them.

One door at a time, or all at once: a lock-down of the whole site is one act, goes to every door side by side and says
of each what it answered. A door that is not there is locked down as soon as it is back, unless that was taken back;
that it waits is kept over a restart.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from agent.core.commands import Action
from agent.errors import DoorAgentError
from deploy.community.feed import Feed
from deploy.community.limits import PerMinute
from deploy.community.news import News
from deploy.community.office import HOME_ASSISTANT, Manager, Office

# device, action, actor, seconds -> the door's answer
Order = Callable[[str, Action, str, float | None], dict[str, Any]]

ALL: Final = "all doors"
FOR_ALL: Final = (Action.LOCK_DOWN, Action.RELEASE_LOCK_DOWN)
_NO_WORD: Final = ("not-sent", "no-answer")
_AT_ONCE: Final = 64  # doors; each waits a few seconds at most for its answer
_FROM_HOME_AT_ONCE: Final = 4
_FROM_HOME_TOLD: Final = 10  # a minute, of those that were too many
_ANSWERED_S: Final = 15.0  # longer than any order waits for its door
_NAMED: Final = 40  # doors in one row of the record


class Orders:
    """Safe for any thread."""

    def __init__(self, order: Order, office: Office, feed: Feed) -> None:
        self._order, self._office, self._feed = order, office, feed
        self._lock = threading.Lock()
        self._waiting = office.waiting()  # door -> who wanted it locked down, and why
        self._at_it: set[str] = set()
        self._aside: set[threading.Thread] = set()  # orders that nobody waits for, until their answer is in the record
        self._closed = False
        self._home, self._home_told = threading.BoundedSemaphore(_FROM_HOME_AT_ONCE), PerMinute(_FROM_HOME_TOLD)
        for device in self._waiting:
            feed.waits(device, Action.LOCK_DOWN)

    def give(self, manager: Manager, device: str, action: Action, reason: str, for_s: float | None) -> dict[str, Any]:
        """One order. Raises DoorAgentError when it can't be written down: then nothing was sent."""
        self._office.note(manager, action, device, reason, "asked")
        if action is Action.RELEASE_LOCK_DOWN:
            self._wait_no_longer(device)
        told = self._order(device, action, manager.actor, for_s)
        self._office.note(manager, action, device, reason, _outcome(told))
        return told

    def give_all(self, manager: Manager, action: Action, reason: str) -> dict[str, dict[str, Any]]:
        """The same order to every door that this server knows, one of FOR_ALL: each door's answer."""
        self._office.note(manager, action, ALL, reason, "asked")
        devices = self._feed.devices()
        if action is Action.RELEASE_LOCK_DOWN:
            for device in devices:
                self._wait_no_longer(device)
        with ThreadPoolExecutor(min(_AT_ONCE, len(devices)) or 1, "orders") as pool:
            told = dict(zip(devices, pool.map(lambda d: self._answer(d, action, manager), devices), strict=True))
        if action is Action.LOCK_DOWN:
            for device in (d for d, answer in told.items() if answer["stage"] in _NO_WORD):
                self._wait(device, manager, reason)
                told[device] = {**told[device], "waits": True}
        self._office.note(manager, action, ALL, reason, _summary(told))
        return told

    def hear(self, news: News) -> None:
        """A door that is back gets what waits for it, on a thread of its own. Home Assistant's orders as well."""
        if news.kind == "order":
            self._from_home(news)
        if news.kind != "state" or news.kept or not news.what.get("online"):
            return
        with self._lock:
            if news.device not in self._waiting or news.device in self._at_it:
                return
            self._at_it.add(news.device)
        self._start(lambda: self._late(news.device), "late-order")

    def close(self) -> None:
        """Before the record is closed: what was sent has its outcome there. Nothing new is begun."""
        with self._lock:
            self._closed, aside = True, list(self._aside)
        for thread in aside:
            thread.join(_ANSWERED_S)

    def _start(self, work: Callable[[], None], name: str) -> None:
        """On a thread of its own, which `close` waits for."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._aside.discard(thread)

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            if self._closed:
                return
            self._aside.add(thread)
            thread.start()

    # ------------------------------------------------------------ doors that were away

    def _late(self, device: str) -> None:
        try:
            with self._lock:
                wanted = self._waiting.get(device)
            if wanted is None:
                return
            manager, reason = wanted
            told = self._answer(device, Action.LOCK_DOWN, manager)
            with self._lock:
                taken_back = device not in self._waiting
            if taken_back:  # while it was being carried out
                self._answer(device, Action.RELEASE_LOCK_DOWN, manager)
            elif told["stage"] not in _NO_WORD:  # else the next word of the door is another occasion
                self._wait_no_longer(device)
                self._office.note(manager, Action.LOCK_DOWN, device, reason, _outcome(told))
                self._feed.add(News("reply", device, told))
        finally:
            with self._lock:
                self._at_it.discard(device)

    def _wait(self, device: str, manager: Manager, reason: str) -> None:
        self._office.wait_for(device, manager, reason)
        with self._lock:
            self._waiting[device] = (manager, reason)
        self._feed.waits(device, Action.LOCK_DOWN)

    def _wait_no_longer(self, device: str) -> None:
        with self._lock:
            known = self._waiting.pop(device, None)
        if known is not None:
            self._office.wait_no_longer(device)
            self._feed.waits(device, None)

    def _answer(self, device: str, action: Action, manager: Manager) -> dict[str, Any]:
        try:
            return self._order(device, action, manager.actor, None)
        except (DoorAgentError, ValueError) as e:  # one door's trouble is not the others'
            return {"stage": "not-sent", "reason": str(e)}

    # ------------------------------------------------------------ Home Assistant

    def _from_home(self, news: News) -> None:
        """Until the door has answered, on a thread of its own; too many at once fall away, and the record says so."""
        action = Action(news.what["action"])
        if not self._home.acquire(blocking=False):
            if self._home_told.allows(news.device):
                self._office.note(HOME_ASSISTANT, action, news.device, "", "refused: too-many")
            return

        def order() -> None:
            try:
                with contextlib.suppress(DoorAgentError, ValueError):  # nobody waits for the answer
                    self.give(HOME_ASSISTANT, news.device, action, "", None)
            finally:
                self._home.release()

        self._start(order, "order")


def _outcome(told: Mapping[str, Any]) -> str:
    return ": ".join(str(told[key]) for key in ("stage", "reason") if told.get(key))


def _summary(told: Mapping[str, Mapping[str, Any]]) -> str:
    """`done 12; not-sent 2: a/b c/d`: of what is not as wanted, the doors by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for device, answer in told.items():
        found["done" if _as_wanted(answer) else str(answer["stage"])].append(device)
    parts = []
    for stage, devices in found.items():
        more = f" and {len(devices) - _NAMED} more" if len(devices) > _NAMED else ""
        parts.append(f"{stage} {len(devices)}" + ("" if stage == "done" else f": {' '.join(devices[:_NAMED])}{more}"))
    return "; ".join(parts)


def _as_wanted(answer: Mapping[str, Any]) -> bool:
    return bool(answer["stage"] == "done")
