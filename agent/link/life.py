"""What keeps a link up: its thread, the back-off between connections, the switch; nothing of the protocol."""

from __future__ import annotations

import random
import select
import threading
from collections.abc import Callable

from agent.clock import Clock
from agent.core.journal import ClockQuality
from agent.core.stream import LinkAlarm, LinkDown
from agent.link.inbox import Inbox
from agent.link.settings import Cause, Down, LinkSettings
from agent.mailbox import guarded

_BOOTED_S = 600.0  # a start that comes later is one door's alone
LOOK_AGAIN = Down(Cause.CLOCK, "this clock is right now: the broker's certificate is looked at again, with its times")


class LinkLife:
    """One thread that connects, again and again; `_connection` of a subclass is one connection's whole life."""

    def __init__(self, settings: LinkSettings, post: Callable[[object], None], clock: Clock) -> None:
        self._settings, self._post, self._clock = settings, post, clock
        self._inbox = Inbox()
        self._on, self._stopping = True, False
        self._told: Cause | None = None
        self._complained: set[str] = set()
        self._time_unchecked = False
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def enabled(self, *, on: bool) -> None:
        """Switch the link off (the broker then publishes the last will) or on again."""
        self._inbox.put(lambda: setattr(self, "_on", on))

    def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect and end the thread. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(lambda: setattr(self, "_stopping", True))
            self._thread.join(timeout_s)

    # ------------------------------------------------------------ the thread

    def _connection(self) -> Down:
        """Connect, talk until the connection ends, say why it did."""
        raise NotImplementedError

    def _run(self) -> None:
        backoff = self._settings.backoff
        spread_s = self._settings.first_connect_spread_s if self._clock.now_s() < _BOOTED_S else 0.0
        wait_s = random.uniform(0.0, spread_s)  # noqa: S311  spread, not secrecy
        tries = 0
        while self._rest(wait_s):
            if not self._on:
                self._went_down(Down(Cause.OFF, "switched off"))
                wait_s = 3600.0
                continue
            since_s = self._clock.now_s()
            down = self._judged(self._connection())
            self._went_down(down)
            tries = 0 if self._clock.now_s() - since_s > backoff.good_after_s else tries + 1
            wait_s = 0.0 if down.cause is Cause.OFF else backoff.wait_s(down.cause, tries, random.random())  # noqa: S311  jitter

    def _judged(self, down: Down) -> Down:
        """While nothing vouches for our clock, "not valid yet" is its fault: tried again without looking at times."""
        if down.cause is not Cause.CLOCK or down is LOOK_AGAIN:
            return down
        if self._clock.quality() is ClockQuality.NTP:
            return Down(Cause.REFUSED, "the broker's certificate is not valid yet, and this machine's clock is right")
        self._time_unchecked = True
        return down

    def _clock_came_back(self) -> bool:
        """True once, when a connection made without looking at times has to be made again with it."""
        came = self._time_unchecked and self._clock.quality() is ClockQuality.NTP
        if came:
            self._time_unchecked = False
        return came

    def _rest(self, wait_s: float) -> bool:
        """Offline: take messages until `wait_s` has passed or the switch is turned. False when it is time to end."""
        until_s, was_on = self._clock.now_s() + wait_s, self._on
        while not self._stopping and self._on == was_on and (left_s := until_s - self._clock.now_s()) > 0:
            select.select([self._inbox], [], [], left_s)
            self._take_inbox()
        return not self._stopping

    def _take_inbox(self) -> None:
        for action in self._inbox.take():
            guarded(self._post, "link", _call)(action)

    def _went_down(self, down: Down) -> None:
        if self._told is not down.cause:
            self._told = down.cause
            self._post(LinkDown(str(down.cause), down.detail))

    def _complain(self, word: str, detail: str, *, about: str = "") -> None:
        """Once a connection for each cause: what the other side does must not fill the journal."""
        if f"{word} {about}" not in self._complained:
            self._complained.add(f"{word} {about}")
            self._post(LinkAlarm(word, detail))


def _call(action: Callable[[], None]) -> None:
    action()
