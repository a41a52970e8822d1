"""What the manager's page shows: the newest events and alarms of all doors and each door's last state, in memory."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agent.core.events import Priority
from agent.core.journal import ClockQuality
from deploy.community.boot_times import RECKONED
from deploy.community.news import News

_KEPT: Final = 300
_STREAMED: Final = 500  # doors' states included
_BELIEVED: Final = (ClockQuality.NTP, ClockQuality.RTC, RECKONED)
_UNSHOWN: Final = ("challenge", "sealing-key")  # between the door and the commander or publisher


class Feed:
    """Filled by the consumer's thread, read by the page's threads; each entry has a growing number."""

    def __init__(
        self, events: Iterable[dict[str, Any]], doors: Iterable[tuple[str, int, bool, dict[str, Any]]]
    ) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._link: dict[str, Any] = {"up": True}  # until the consumer says otherwise
        self._said: set[str] = set()  # doors whose state is this run's, not the ledger's
        self.closed = False
        self.site_keys = 0  # number of the newest list of the site's keys; 0: none was ever replaced
        self._entries: list[dict[str, Any]] = []  # in the order in which things happened
        self._stream: deque[dict[str, Any]] = deque(maxlen=_STREAMED)
        self._doors: dict[str, dict[str, Any]] = {
            name: {"heard_ms": heard_ms, "online": online, "state": _shown(state), "keys": _keys(state)}
            for name, heard_ms, online, state in doors
        }
        for event in events:
            self._append({"type": "event", **event})

    def add(self, news: News) -> None:
        """Take one piece of news from the consumer; a hello is nothing to show.

        What a door says stands under the server's own keys, never over them: no door speaks for another.
        """
        if news.kind == "hello" or news.what.get("stage") in _UNSHOWN:
            return
        now_ms = time.time_ns() // 1_000_000
        own = {"type": news.kind, "device": news.device}
        with self._changed:
            if news.kind == "link":
                self._link = {**news.what, "since_ms": now_ms}
                self._append({**self._link, **own})
            elif news.kind == "acknowledged":
                self._append({**news.what, **own})
            elif news.kind == "state":
                self._said.add(news.device)
                door = self._door(news.device, None if news.kept else now_ms)
                door["state"], door["online"] = _shown(news.what), bool(news.what.get("online"))
                if door["online"]:  # which keys a door believes is asked of the absent ones
                    door["keys"] = _keys(news.what)
                self._append({**door, **own})
            else:
                if news.kind != "alarm":
                    self._door(news.device, now_ms)
                elif news.what.get("word") == "silence" and news.device in self._doors:
                    silent = self._doors[news.device]
                    silent["online"] = False  # the broker may have lost its last will
                    self._append({**silent, "type": "state", "device": news.device})
                self._append({**news.what, "received_ms": now_ms, **own})
            self._changed.notify_all()

    def _door(self, device: str, heard_ms: int | None) -> dict[str, Any]:
        door = self._doors.setdefault(device, {"online": True, "state": {}, "heard_ms": None, "keys": None})
        door["heard_ms"] = heard_ms or door["heard_ms"]
        return door

    def _append(self, entry: dict[str, Any]) -> None:
        self._number += 1
        numbered = {**entry, "number": self._number}
        if entry["type"] not in ("state", "reply", "link", "acknowledged"):
            numbered["order_ms"] = _order_ms(entry)
            self._place(numbered)
        self._stream.append(numbered)

    def _place(self, entry: dict[str, Any]) -> None:
        """By when it happened, so that what a door catches up on does not push out what is of now; page.js does so too.

        A row takes the place of the preview that ran ahead of it.
        """
        if entry.get("priority") == Priority.ALARM:  # no other row runs ahead of itself
            name = _name(entry)
            self._entries = [e for e in self._entries if e["type"] != "preview" or _name(e) != name]
        insort(self._entries, entry, key=lambda e: (e["order_ms"], e["number"]))
        del self._entries[:-_KEPT]

    def snapshot(self) -> dict[str, Any]:
        """Everything, oldest entry first; states are in `doors`."""
        with self._changed:
            doors = {k: dict(v) for k, v in self._doors.items()}
            return {
                "doors": doors, "entries": list(self._entries), "number": self._number, "link": dict(self._link),
                "site_keys": self.site_keys,
            }  # fmt: skip

    def devices(self) -> list[str]:
        """Every door that was ever heard: the connected ones first."""
        with self._changed:
            return sorted(self._doors, key=lambda device: (not self._doors[device]["online"], device))

    def waits(self, device: str, action: str | None) -> None:
        """A door is to be ordered this when it is back; None: no longer."""
        with self._changed:
            door = self._door(device, None)
            door["waits"] = action
            self._append({**door, "type": "state", "device": device})
            self._changed.notify_all()

    def knows(self, device: str) -> bool:
        """Whether this door has ever been heard."""
        with self._changed:
            return device in self._doors

    def state(self, device: str) -> dict[str, Any] | None:
        """What a connected door last said of itself; None for one that is not, or has not said it since the start."""
        with self._changed:
            door = self._doors.get(device)
            return dict(door["state"]) if door is not None and door["online"] and device in self._said else None

    def after(self, number: int, timeout_s: float) -> list[dict[str, Any]] | None:
        """Entries newer than `number`; waits up to `timeout_s` for the first.

        None: some are gone already (a slow reader), or it is a number of another run: start over with a snapshot.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._number != number, timeout_s)
            found = [e for e in self._stream if e["number"] > number]
            return found if number + len(found) == self._number else None

    def close(self) -> None:
        """Nothing more will come: whoever waits is told at once."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _name(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return entry["device"], entry.get("epoch"), entry.get("seq")


def _order_ms(entry: Mapping[str, Any]) -> int:
    """When it happened as far as that can be believed: else, and never later than, when it came."""
    at_ms = int(entry["at_ms"])
    received_ms = int(entry.get("received_ms", at_ms))
    return min(at_ms, received_ms) if entry.get("at_clock", "ntp") in _BELIEVED else received_ms


def _keys(state: Mapping[str, Any]) -> int | None:
    """Which list of the site's keys a door says it has; None: one of an older release."""
    said = state.get("keys")
    return said if isinstance(said, int) else None


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    """A door's state without what no page needs."""
    return {key: value for key, value in state.items() if key != "challenge"}
