"""Takes the doors' messages from the broker into the ledger, and acknowledges what is committed.

Two threads: the link's, which only queues, and the consumer's own, which owns the ledger. The queue is bounded and
overflowing it is harmless: a door sends again what is not acknowledged. Several waiting messages share one commit.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyseto

from agent.core.journal import Row, Skipped
from agent.core.sync import Ack
from agent.wire import WireError, parse_batch, parse_hello, signed_ack, topic
from deploy.community import homeassistant
from deploy.community.broker_link import BrokerLink, BrokerSettings, Down, Failed, Refused, Up
from deploy.community.copies import Copies
from deploy.community.ingest import Alarm, Chain, Taken, take_hello, take_previews, take_rows
from deploy.community.ledger import Ledger
from deploy.community.listening import Listening

_QUEUE = 2000
_GROUP = 64
_MAX_STATE_BYTES = 16 * 1024
_SILENCE_CHECK_S = 5.0
_DATABASE_RETRY_S = 0.5
_FORGET_EVERY_S = 3600.0
_COMMAND_EXPIRY_S = 10  # the broker throws a command away that it could not deliver in time


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


@dataclass(frozen=True, slots=True)
class News:
    """What just happened, for whoever watches: kind is event, preview, alarm, state, hello, reply, order or link.

    `device` is site/door, or "server" for an alarm of its own and for its link to the broker.
    """

    kind: str
    device: str
    what: dict[str, Any]


class Consumer:
    """Broker on one side, ledger on the other."""

    def __init__(self, settings: ConsumerSettings, ledger: Ledger, tell: Callable[[News], None]) -> None:
        self._settings, self._ledger, self._tell = settings, ledger, tell
        self._key = pyseto.Key.new(version=4, purpose="public", key=settings.signing_key.read_bytes())
        self._queue: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_QUEUE)
        self.overflowed = 0
        self._silent: set[str] = set()
        self._copies = Copies()
        self._database_down = False
        self._forget_s = 0.0
        self._at_home: set[str] = set()
        self._listening = Listening(away_s=time.monotonic())
        self._link_told: dict[str, Any] = {}
        self._link = self._new_link()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin to consume; the connection is made, and made again, in the background."""
        self._thread.start()
        self._link.start()

    def stop(self) -> None:
        """Finish what is queued and end. Idempotent."""
        self._link.stop()
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(10)

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
        topics = [s.subscription, *([homeassistant.SUBSCRIPTION] if s.home_assistant and s.can_open else [])]
        settings = BrokerSettings(s.host, s.port, s.ca, s.cert, s.key, s.name)
        return BrokerLink(settings, topics, self._arrived, lambda: self._enqueue("", b""))

    def _arrived(self, where: str, payload: bytes, kept: bool) -> None:  # noqa: FBT001  a callback
        if where.startswith("doors/"):
            self._enqueue(where, payload)
        elif not kept and payload == homeassistant.OPEN.encode():  # a kept order would open at every reconnect
            self._tell(News("order", "/".join(where.split("/")[2:4]), {"action": "open", "actor": "home-assistant"}))

    def _enqueue(self, where: str, payload: bytes) -> None:
        try:
            self._queue.put_nowait((where, payload))
        except queue.Full:
            self.overflowed += 1

    # ------------------------------------------------------------ the ledger's thread

    def _run(self) -> None:
        check_s = time.monotonic() + _SILENCE_CHECK_S
        while True:
            group = self._gather(check_s - time.monotonic())
            if None in group:
                break
            self._tend_link()
            if messages := [g for g in group if g is not None and g[0]]:
                self._take(messages)
            if time.monotonic() >= check_s:
                check_s = time.monotonic() + _SILENCE_CHECK_S
                with contextlib.suppress(Exception):  # a database that is away has been reported where messages fail
                    self._look_at_link()
                    self._look_for_silence()
                    self._forget()
        self._ledger.close()

    def _gather(self, timeout_s: float) -> list[tuple[str, bytes] | None]:
        group: list[tuple[str, bytes] | None] = []
        with contextlib.suppress(queue.Empty):
            group.append(self._queue.get(timeout=max(timeout_s, 0.01)))
            while len(group) < _GROUP:
                group.append(self._queue.get_nowait())
        return group

    def _tend_link(self) -> None:
        """What the link has to say: the pages see at once whether the server hears its doors."""
        for note in self._link.notes():
            now_s = time.monotonic()
            match note:
                case Up():
                    self._listening.up(now_s)
                case Down():
                    self._listening.down(now_s, note.why)
                case Refused():
                    self._own_alarm("refused", f"the broker does not take {note.topic}: {note.why}")
                    continue
                case Failed():
                    self._own_alarm("poison", note.why)
                    continue
            up = self._listening.since_s is not None
            told = {"up": up, "why": "" if up else self._listening.why}
            if told != self._link_told:
                self._link_told = told
                self._tell(News("link", "server", told))

    def _look_at_link(self) -> None:
        if words := self._listening.alarm(time.monotonic()):
            self._own_alarm("link", words)

    def _own_alarm(self, word: str, detail: str) -> None:
        with contextlib.suppress(Exception):
            self._report("doors/server", word, detail)

    def _take(self, group: list[tuple[str, bytes]]) -> None:
        """One transaction for all; if one message breaks it, each by itself, and the breaking one is reported."""
        try:
            results = self._commit(group)
        except Exception as e:  # noqa: BLE001  neither a door's message nor the database may end this thread
            self._failed(group, e)
            return
        self._database_down = False
        acks: dict[tuple[str, str], Ack] = {}
        for news, device, ack in results:
            for n in news:
                self._tell(n)
                self._tell_home(n)
            if ack is not None:
                acks[device, ack.epoch] = _merged(acks.get((device, ack.epoch)), ack)
        for (device, _), ack in acks.items():
            self._link.publish(topic(device, "dn/ack"), signed_ack(self._key, device, ack))

    def _tell_home(self, n: News) -> None:
        if not self._settings.home_assistant:
            return
        if n.kind == "state" and n.device not in self._at_home:
            self._at_home.add(n.device)
            where, payload = homeassistant.discovery(n.device, can_open=self._settings.can_open)
            self._link.publish(where, payload, keep=True)
        told = homeassistant.access(n.what) if n.kind == "event" else None
        if told is not None:
            self._link.publish(homeassistant.access_topic(n.device), told)

    def _failed(self, group: list[tuple[str, bytes]], e: Exception) -> None:
        """Nothing of the group was written or acknowledged: the doors will send it again."""
        what = f"{type(e).__name__}: {e}"[:300]
        if not self._ledger.usable():
            if not self._database_down:
                self._database_down = True
                now_ms = time.time_ns() // 1_000_000
                self._tell(News("alarm", "server", {"word": "database", "detail": what, "at_ms": now_ms}))
            time.sleep(_DATABASE_RETRY_S)
        elif len(group) == 1:
            self._report(group[0][0], "poison", what)
        else:
            for one in group:
                self._take([one])

    def _commit(self, group: list[tuple[str, bytes]]) -> list[tuple[list[News], str, Ack | None]]:
        now_ms = time.time_ns() // 1_000_000
        results = []
        with self._ledger.transaction(["/".join(where.split("/")[1:3]) for where, _ in group]):
            for where, payload in group:
                parts = where.split("/")
                device, leaf = "/".join(parts[1:3]), "/".join(parts[4:])
                results.append(self._message(device, leaf, payload, now_ms))
        return results

    def _message(self, device: str, leaf: str, payload: bytes, now_ms: int) -> tuple[list[News], str, Ack | None]:
        self._silent.discard(device)
        try:
            if leaf == "state":
                return self._state(device, payload, now_ms), device, None
            self._ledger.heard(device, now_ms)
            if leaf == "reply":
                return [News("reply", device, _object(payload))], device, None
            if leaf == "hello":
                return self._hello(device, payload, now_ms)
            if leaf in ("events", "alarm"):
                return self._rows(device, payload, now_ms, preview=leaf == "alarm")
        except WireError as e:
            return self._alarms(device, [Alarm("malformed", f"{leaf}: {e}")], now_ms), device, None
        return [], device, None

    def _state(self, device: str, payload: bytes, now_ms: int) -> list[News]:
        state = _object(payload)
        self._ledger.heard(device, now_ms, state)
        return [News("state", device, state)]

    def _hello(self, device: str, payload: bytes, now_ms: int) -> tuple[list[News], str, Ack | None]:
        hello = parse_hello(payload)
        if hello.device != device:
            raise WireError(f"speaks for {hello.device}")
        taken = take_hello(self._ledger.chain(device, hello.epoch), hello)
        if alarm := self._copies.heard(device, hello.run, time.monotonic()):
            taken = replace(taken, alarms=(*taken.alarms, alarm))
        news, device, ack = self._applied(device, taken, now_ms)
        return [News("hello", device, {}), *news], device, ack

    def _rows(self, device: str, payload: bytes, now_ms: int, *, preview: bool) -> tuple[list[News], str, Ack | None]:
        items: list[Row | Skipped] = []
        epochs: set[str] = set()
        for entry in parse_batch(payload):
            owner, epoch, item = (entry.device, entry.epoch, entry) if isinstance(entry, Row) else entry
            if owner != device:
                raise WireError(f"speaks for {owner}")
            epochs.add(epoch)
            items.append(item)
        if len(epochs) != 1:
            raise WireError("a batch is of one epoch")
        epoch = epochs.pop()
        chain = self._ledger.chain(device, epoch) or Chain(epoch)
        if preview:
            taken = take_previews(chain, [i for i in items if isinstance(i, Row)])
        else:
            taken = take_rows(chain, items, lambda seq: self._ledger.hash_of(device, epoch, seq))
        return self._applied(device, taken, now_ms)

    def _applied(self, device: str, taken: Taken, now_ms: int) -> tuple[list[News], str, Ack | None]:
        alarms = self._ledger.apply(device, taken, now_ms)
        news = [News("event", device, _shown(r)) for r in taken.rows]
        news += [News("preview", device, _shown(r)) for r in taken.previews]
        news += [News("alarm", device, {"word": a.word, "detail": a.detail, "at_ms": now_ms}) for a in alarms]
        return news, device, taken.ack

    def _alarms(self, device: str, alarms: list[Alarm], now_ms: int) -> list[News]:
        for a in alarms:
            self._ledger.alarm(device, a, now_ms)
        return [News("alarm", device, {"word": a.word, "detail": a.detail, "at_ms": now_ms}) for a in alarms]

    def _report(self, where: str, word: str, detail: str) -> None:
        device = "/".join(where.split("/")[1:3])
        with self._ledger.transaction():
            news = self._alarms(device, [Alarm(word, detail)], time.time_ns() // 1_000_000)
        for n in news:
            self._tell(n)

    def _forget(self) -> None:
        if time.monotonic() >= self._forget_s:
            self._forget_s = time.monotonic() + _FORGET_EVERY_S
            with self._ledger.transaction():
                self._ledger.forget(time.time_ns() // 1_000_000 - self._settings.keep_days * 86_400_000)

    def _look_for_silence(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for device, heard_ms, _, _ in self._ledger.doors():
            if now_ms - heard_ms > self._settings.silence_s * 1000 and device not in self._silent:
                self._silent.add(device)
                self._report(f"doors/{device}", "silence", f"nothing heard for {(now_ms - heard_ms) // 1000} s")


def _merged(earlier: Ack | None, ack: Ack) -> Ack:
    """The later acknowledgement says everything but which previews were seen."""
    return ack if earlier is None else replace(ack, seen=(*earlier.seen, *ack.seen)[-50:])


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload) if len(payload) <= _MAX_STATE_BYTES else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise WireError("not a JSON object of at most 16 KiB")
    return value


def _shown(r: Row) -> dict[str, Any]:
    return {
        "epoch": r.epoch, "seq": r.seq, "kind": r.kind, "priority": r.priority, "wall_ms": r.wall_ms,
        "clock": str(r.clock), "body": dict(r.body),
    }  # fmt: skip
