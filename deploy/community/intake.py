"""What one message of a door comes to, within the transaction that stores it: rows, alarms, news, an acknowledgement.

A door's word is bounded and checked here, before anything of it reaches the ledger or a page; whatever is not as agreed
is an alarm about that door and changes nothing else.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from agent.core.acknowledgement import Ack
from agent.core.bounded import DEVICE
from agent.core.journal import Row, Skipped
from agent.wire import WireError, parse_batch, parse_hello
from deploy.community.boot_times import Placed
from deploy.community.copies import Copies
from deploy.community.gaps import Gaps
from deploy.community.ingest import Alarm, Chain, Taken, take_hello, take_previews, take_rows
from deploy.community.ledger import Ledger
from deploy.community.limits import PerMinute
from deploy.community.news import SERVER, News
from deploy.community.said import Reply, State, read

_TOPIC: Final = re.compile(rf"doors/({DEVICE})/up/([a-z]{{1,20}})")
_LATE_MS: Final = 300_000
_ALARMS_PER_MINUTE: Final = 10  # of one word about one door: the rest are counted


@dataclass(frozen=True, slots=True)
class Message:
    """As the broker brought it. `kept`: the broker had it before this server subscribed."""

    topic: str
    payload: bytes
    kept: bool = False

    @property
    def device(self) -> str:
        """Whose topic it came on; "" for one that is no door's."""
        found = _TOPIC.fullmatch(self.topic)
        return found[1] if found else ""

    @property
    def leaf(self) -> str:
        """hello, events, alarm, state, reply."""
        found = _TOPIC.fullmatch(self.topic)
        return found[2] if found else ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to tell, and what to acknowledge once it is committed."""

    device: str
    news: list[News] = field(default_factory=list)
    ack: Ack | None = None


class Intake:
    """For the ledger's thread, within its transactions. Raises only what the database raises."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._copies, self._gaps = Copies(), Gaps()
        self._fresh: set[str] = set()
        self._often, self._held = PerMinute(_ALARMS_PER_MINUTE), Counter[str]()

    def take(self, message: Message, now_ms: int) -> Outcome:
        """Store what the message says."""
        device = message.device
        try:
            return self._taken(device, message, now_ms)
        except WireError as e:
            alarm = Alarm("malformed", f"{message.leaf or message.topic[:80]!r}: {e}")
            return Outcome(device or SERVER, self.alarms(device or SERVER, [alarm], now_ms))

    def connected(self) -> None:
        """A new connection: what the broker kept comes first, and may be older than what was heard before."""
        self._fresh.clear()

    def alarms(self, device: str, alarms: Iterable[Alarm], now_ms: int) -> list[News]:
        """Store alarms and give them as news; a door that gives rise to one without end is told of now and then."""
        news = []
        for alarm in alarms:
            key = f"{device} {alarm.word}"
            if not self._often.allows(key):
                self._held[key] += 1
                continue
            more = self._held.pop(key, 0)
            told = replace(alarm, detail=f"{alarm.detail} (and {more} more since the last)") if more else alarm
            number = self._ledger.alarm(device, told, now_ms)
            what = {"id": number, "word": told.word, "detail": told.detail, "at_ms": now_ms}
            news.append(News("alarm", device, what))
        return news

    # ------------------------------------------------------------ one kind of message each

    def _taken(self, device: str, message: Message, now_ms: int) -> Outcome:
        if not device:
            raise WireError("a topic that is no door's")
        if message.kept and message.leaf != "state":
            raise WireError("kept by the broker: only a state is")
        self._ledger.heard(device, now_ms, kept=message.kept)
        match message.leaf:
            case "state":
                return self._state(device, message)
            case "reply":
                return Outcome(device, [News("reply", device, read(Reply, message.payload))])
            case "hello":
                return self._hello(device, message.payload, now_ms)
            case "events":
                return self._rows(device, message.payload, now_ms)
            case "alarm":
                return self._previews(device, message.payload, now_ms)
        return Outcome(device)

    def _state(self, device: str, message: Message) -> Outcome:
        """A kept one (RabbitMQ keeps one on each node) never takes the place of what the door said itself."""
        state = read(State, message.payload)
        if message.kept and device in self._fresh:
            return Outcome(device)
        if not message.kept:
            self._fresh.add(device)
        elif self._ledger.is_silent(device):
            state = {"online": False}  # the broker may have lost the last will; what it kept is older than the silence
        self._ledger.state(device, state)
        return Outcome(device, [News("state", device, state, kept=message.kept)])

    def _hello(self, device: str, payload: bytes, now_ms: int) -> Outcome:
        hello = parse_hello(payload)
        if hello.device != device:
            raise WireError(f"speaks for {hello.device}")
        now_s = time.monotonic()
        late = self._copies.late(device, hello.run, now_s)
        taken = take_hello(self._ledger.chain(device, hello.epoch), hello, late=late)
        if alarm := self._copies.heard(device, hello.run, now_s):
            taken = replace(taken, alarms=(*taken.alarms, alarm))
        done = self._applied(device, taken, now_ms)
        return replace(done, news=[News("hello", device, {}), *done.news])

    def _rows(self, device: str, payload: bytes, now_ms: int) -> Outcome:
        epoch, items = _one_chain(device, payload)
        chain = self._ledger.chain(device, epoch) or Chain(epoch)
        taken = take_rows(chain, items, lambda seq: self._ledger.hash_of(device, epoch, seq))
        if taken.ack is not None and (alarm := self._gaps.asked(device, taken.ack, time.monotonic())):
            taken = replace(taken, alarms=(*taken.alarms, alarm))
        return self._applied(device, taken, now_ms, known_to=chain.heard)

    def _previews(self, device: str, payload: bytes, now_ms: int) -> Outcome:
        epoch, items = _one_chain(device, payload)
        chain = self._ledger.chain(device, epoch) or Chain(epoch)
        return self._applied(device, take_previews(chain, [i for i in items if isinstance(i, Row)]), now_ms)

    def _applied(self, device: str, taken: Taken, now_ms: int, *, known_to: int = 0) -> Outcome:
        """`known_to`: the door had rows up to there when it last said hello, so they are not of this moment."""
        stored = self._ledger.apply(device, taken, now_ms)
        news = [
            News("event", device, _shown(r, at), late=r.seq <= known_to and now_ms - at[0] > _LATE_MS)
            for r, at in stored.rows
        ]
        news += [News("preview", device, _shown(r, at)) for r, at in stored.previews]
        return Outcome(device, news + self.alarms(device, stored.alarms, now_ms), taken.ack)


def _one_chain(device: str, payload: bytes) -> tuple[str, list[Row | Skipped]]:
    """The epoch of a batch and what is in it. Raises WireError when it is not of one epoch of this door."""
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
    return epochs.pop(), items


def _shown(r: Row, at: Placed) -> dict[str, Any]:
    return {
        "epoch": r.epoch, "seq": r.seq, "kind": r.kind, "priority": r.priority, "wall_ms": r.wall_ms,
        "clock": str(r.clock), "at_ms": at[0], "at_clock": at[1], "body": dict(r.body),
    }  # fmt: skip
