"""Takes the doors' messages from the broker into the ledger, and acknowledges what is committed.

Two threads: the link's, which only queues, and the consumer's own, which owns the ledger. The queue is bounded, each
door's part of it as well, and overflowing it is harmless: a door sends again what is not acknowledged. Several waiting
messages share one commit. Nothing that a door sends ends the thread; a fault of the program itself is an alarm.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyseto

from agent.clock import SystemClock
from agent.core.acknowledgement import Ack
from agent.core.journal import ClockQuality
from agent.wire import signed_ack, topic
from deploy.community import homeassistant
from deploy.community.broker_link import BrokerLink, BrokerSettings, Down, Failed, Refused, Up
from deploy.community.fair_queue import FairQueue
from deploy.community.ingest import Alarm
from deploy.community.intake import Intake, Message, Outcome
from deploy.community.ledger import Ledger
from deploy.community.listening import Listening
from deploy.community.news import SERVER, News

_QUEUE: Final = 2000
_QUEUE_EACH: Final = (
    100  # a door that keeps to the protocol has at most 8 batches, a hello, a state and replies waiting
)
_GROUP: Final = 64
_CHECK_S: Final = 5.0
_DATABASE_RETRY_S: Final = 0.5
_FORGET_EVERY_S: Final = 3600.0
_COMMAND_EXPIRY_S: Final = 10  # the broker throws a command away that it could not deliver in time


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """Where the broker is; PEM files of this server's certificate; the private key that signs acknowledgements."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    signing_key: Path
    name: str = "community"
    silence_s: float = 180.0
    subscription: str = "doors/+/+/up/#"
    home_assistant: bool = False
    can_open: bool = False
    keep_days: int = 180


class Consumer:
    """Broker on one side, ledger on the other."""

    def __init__(self, settings: ConsumerSettings, ledger: Ledger, tell: Callable[[News], None]) -> None:
        self._settings, self._ledger, self._tell = settings, ledger, tell
        self._key = pyseto.Key.new(version=4, purpose="public", key=settings.signing_key.read_bytes())
        self._queue: FairQueue[Message] = FairQueue(_QUEUE, _QUEUE_EACH)
        self._stopping = False
        self._raised: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
        self._intake = Intake(ledger)
        self._database_down = False
        self._clock = SystemClock()
        self._check_s = self._forget_s = 0.0
        self._listening = Listening(away_s=time.monotonic())
        self._link_told: dict[str, Any] = {}
        self._link = self._new_link()
        self._home_started = False
        self._home = homeassistant.Home(self._link.publish, can_open=settings.can_open)
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to consume; the connection is made, and made again, in the background."""
        self._thread.start()
        self._link.start()

    def stop(self) -> None:
        """Finish what is queued and end. Idempotent."""
        self._link.stop()
        if self._thread.is_alive():
            self._stopping = True
            self._queue.wake()
            self._thread.join(10)

    def alarm(self, device: str, word: str, detail: str) -> None:
        """Another part of the server has an alarm about a door: stored and told like one of this part's own."""
        if self._raised.qsize() < _QUEUE:
            self._raised.put((device, word, detail))
            self._queue.wake()

    def send_command(self, device: str, token: bytes, correlation: bytes) -> None:
        """Publish a signed command; it expires at the broker after 10 s and is never retained."""
        where, answer_to = topic(device, "dn/command"), topic(device, "up/reply")
        self._link.publish(where, token, expiry_s=_COMMAND_EXPIRY_S, correlation=correlation, answer_to=answer_to)

    def send_roster(self, device: str, payload: bytes, keep: bool = True) -> None:  # noqa: FBT001, FBT002  a callback
        """Publish something of the signed roster; its head is the one downlink that the broker keeps."""
        self._link.publish(topic(device, "dn/roster"), payload, keep=keep)

    # ------------------------------------------------------------ the link's thread: queue, nothing else

    def _new_link(self) -> BrokerLink:
        s = self._settings
        home = [homeassistant.STATUS, *([homeassistant.SUBSCRIPTION] if s.can_open else [])]
        topics = [s.subscription, *(home if s.home_assistant else [])]
        settings = BrokerSettings(s.host, s.port, s.ca, s.cert, s.key, s.name)
        return BrokerLink(settings, topics, self._arrived, self._queue.wake)

    def _arrived(self, where: str, payload: bytes, kept: bool) -> None:  # noqa: FBT001  a callback
        if not where.startswith("homeassistant/"):
            message = Message(where, payload, kept)
            self._queue.put(message.device, message)  # what is too much falls away: the door sends it again
        elif where == homeassistant.STATUS:
            self._home_started = self._home_started or payload == b"online"
        elif not kept and payload == homeassistant.OPEN.encode():  # a kept order would open at every reconnect
            self._tell(News("order", "/".join(where.split("/")[2:4]), {"action": "open", "actor": "home-assistant"}))

    # ------------------------------------------------------------ the ledger's thread

    def _run(self) -> None:
        self._check_s = time.monotonic() + _CHECK_S
        try:
            while not self._stopping:
                self._turn(self._queue.take(_GROUP, self._check_s - time.monotonic()))
            while group := self._queue.take(_GROUP, 0):
                self._turn(group)
            self._take_raised()
        finally:
            self._ledger.close()

    def _turn(self, group: list[Message]) -> None:
        self._guarded(self._tend_link)
        if self._home_started:
            self._home_started = False
            self._home.anew()
        self._take_raised()
        if group:
            self._guarded(lambda: self._take(group))
        if time.monotonic() >= self._check_s:
            self._check_s = time.monotonic() + _CHECK_S
            self._guarded(self._look_at_link)
            if not self._database_down:
                self._guarded(self._look_for_silence, stored=True)
                self._guarded(self._forget, stored=True)

    def _guarded(self, action: Callable[[], None], *, stored: bool = False) -> None:
        """What goes wrong here costs this one action, and a manager hears of it. `stored`: it is about the database."""
        try:
            action()
        except Exception as e:  # noqa: BLE001  this thread is every door's
            what = f"{type(e).__name__}: {e}"[:300]
            if stored and self._ledger.db.away(e):
                self._database_away(what)
            else:
                self._alarm(SERVER, "poison", what)

    def _database_away(self, what: str) -> None:
        if not self._database_down:
            self._database_down = True
            self._alarm(SERVER, "database", what)

    def _take_raised(self) -> None:
        while not self._raised.empty():
            self._alarm(*self._raised.get())

    def _alarm(self, device: str, word: str, detail: str) -> None:
        """Stored where the database takes it, told in any case."""
        now_ms = time.time_ns() // 1_000_000
        news = [News("alarm", device, {"word": word, "detail": detail, "at_ms": now_ms})]
        with contextlib.suppress(Exception), self._ledger.transaction():
            news = self._intake.alarms(device, [Alarm(word, detail)], now_ms)
        self._tell_all(news)

    def _tell_all(self, news: list[News]) -> None:
        for n in news:
            with contextlib.suppress(Exception):  # what is committed is committed, whoever can't show it
                self._tell(n)
            if self._settings.home_assistant:
                self._guarded(lambda n=n: self._home.hear(n))  # type: ignore[misc]  # bound at once

    # ------------------------------------------------------------ messages

    def _take(self, group: list[Message], *, again: bool = False) -> None:
        """One transaction for all; if one message breaks it, each by itself, and the breaking one is reported."""
        try:
            outcomes = self._commit(group)
        except Exception as e:  # noqa: BLE001  neither a door's message nor the database may end this thread
            self._failed(group, e, again=again)
            return
        self._database_down = False
        acks: dict[tuple[str, str], Ack] = {}
        for done in outcomes:
            self._tell_all(done.news)
            if done.ack is not None:
                place = (done.device, done.ack.epoch)
                acks[place] = _merged(acks.get(place), done.ack)
        for (device, _), ack in acks.items():
            self._guarded(lambda d=device, a=ack: self._acknowledge(d, a))  # type: ignore[misc]  # bound at once

    def _acknowledge(self, device: str, ack: Ack) -> None:
        self._link.publish(topic(device, "dn/ack"), signed_ack(self._key, device, ack))

    def _commit(self, group: list[Message]) -> list[Outcome]:
        now_ms = time.time_ns() // 1_000_000
        with self._ledger.transaction([m.device for m in group]):
            return [self._intake.take(message, now_ms) for message in group]

    def _failed(self, group: list[Message], e: Exception, *, again: bool) -> None:
        """Nothing of the group was written or acknowledged: the doors send their rows again, their answers not."""
        what = f"{type(e).__name__}: {e}"[:300]
        away, usable = self._ledger.db.away(e), self._ledger.usable()
        if away and usable and not again:  # it was away for a moment only
            self._take(group, again=True)
        elif away or not usable:
            self._database_away(what)
            time.sleep(_DATABASE_RETRY_S)
        elif len(group) == 1:
            self._alarm(group[0].device or SERVER, "poison", what)
        else:
            for one in group:
                self._take([one])

    # ------------------------------------------------------------ now and then

    def _tend_link(self) -> None:
        """What the link has to say: the pages see at once whether the server hears its doors."""
        for note in self._link.notes():
            match note:
                case Up():
                    self._listening.up(time.monotonic())
                    self._intake.connected()
                case Down():
                    self._listening.down(time.monotonic(), note.why)
                case Refused():
                    self._alarm(SERVER, "refused", f"the broker does not take {note.topic}: {note.why}")
                case Failed():
                    self._alarm(SERVER, "poison", note.why)
        up = self._listening.since_s is not None
        told = {"up": up, "why": "" if up else self._listening.why}
        if told != self._link_told:
            self._link_told = told
            self._tell_all([News("link", SERVER, told)])

    def _look_at_link(self) -> None:
        if words := self._listening.alarm(time.monotonic()):
            self._alarm(SERVER, "link", words)

    def _forget(self) -> None:
        """Piece by piece: the doors wait while the ledger is at it."""
        if time.monotonic() >= self._forget_s:
            with self._ledger.transaction():
                more = self._ledger.forget(self._passed_ms() - self._settings.keep_days * 86_400_000)
            self._forget_s = time.monotonic() + (0 if more else _FORGET_EVERY_S)

    def _passed_ms(self) -> int:
        """A time that has passed for sure: where nothing vouches for this machine's clock, the doors' clocks do."""
        now_ms = self._clock.utc_ms()
        told_ms = None if self._clock.quality() is ClockQuality.NTP else self._ledger.newest_sure_ms()
        return now_ms if told_ms is None else min(now_ms, told_ms)

    def _look_for_silence(self) -> None:
        """Of the doors that this process listens to, by the time that it did listen."""
        now_ms = time.time_ns() // 1_000_000
        edge_ms = self._listening.edge_ms(time.monotonic(), now_ms, self._settings.silence_s)
        if edge_ms is None:
            return
        news: list[News] = []
        with self._ledger.transaction():
            for device, heard_ms in self._ledger.silent(edge_ms, doors_like(self._settings.subscription)):
                alarm = Alarm("silence", f"nothing heard for {(now_ms - heard_ms) // 1000} s")
                news += self._intake.alarms(device, [alarm], now_ms)
        self._tell_all(news)


def doors_like(subscription: str) -> str:
    """The doors of an MQTT filter (`doors/lujiang/+/up/#`, also behind `$share/…/`) as a pattern of SQL's LIKE."""
    parts = subscription.split("/")
    names = parts[parts.index("doors") + 1 :] if "doors" in parts else []
    site, door = (*names, "#", "#")[:2]
    return "%" if site == "#" else "/".join("%" if name in ("+", "#") else name for name in (site, door))


def _merged(earlier: Ack | None, ack: Ack) -> Ack:
    """The later acknowledgement says everything but which previews were seen."""
    return ack if earlier is None else replace(ack, seen=(*earlier.seen, *ack.seen)[-50:])
