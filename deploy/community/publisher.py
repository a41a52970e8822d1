"""Brings each door the roster that it should have: revisions, differences, leases; and takes its receipts.

One thread. A door's own state says what it has, so nothing is asked for twice: where revision and digest differ from
what is published, the difference is sent if the door has a revision known here, else the whole.
"""

from __future__ import annotations

import base64
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pyseto

from agent.core.events import Kind
from agent.core.roster_feed import (
    PERSON,
    WANT_SEALING_KEY,
    Entries,
    Head,
    Operation,
    Part,
    Put,
    Template,
    cut,
    difference,
    message,
    seal_binding,
)
from agent.identity import checked, key_name, seal
from agent.roster.intake import signed
from deploy.community.door_rosters import Door, Published
from deploy.community.limits import PerMinute
from deploy.community.news import SERVER, News
from deploy.community.people import People

_LOOK_EVERY_S: Final = 1.0
_LOOK_AGAIN_S: Final = 10.0  # after one that failed
_AGAIN_S: Final = 5.0  # between two sendings of one revision to one door
_LEASE_EVERY_S: Final = 60.0
_DRIFT_S: Final = 60.0
_FORGET_EVERY_S: Final = 3600.0
_WAITING: Final = 2000
_RECEIPTS_WAITING: Final = 100_000
_ALARMS_PER_MINUTE: Final = 10  # of one word about one door
_AHEAD_MOST: Final = 1_000_000  # revisions that a restored backup of this server may lack

SendRoster = Callable[[str, bytes, bool], None]  # device, token, keep at the broker
Ask = Callable[[str, bytes, bytes], None]  # device, payload, correlation: on dn/command


class Publisher:
    """`hear` takes the consumer's news, from any thread; everything else happens on the publisher's own.

    `alarm` is told a door, a word and what is the matter. `forget` is called once an hour: what was kept long enough
    goes.
    """

    def __init__(
        self,
        people: People,
        key: pyseto.KeyInterface,
        ca_pem: bytes,
        alarm: Callable[[str, str, str], None],
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._people, self._key, self._ca, self._told, self._forget = people, key, ca_pem, alarm, forget
        self._forget_s = 0.0
        self._send: SendRoster = lambda _device, _token, _keep: None
        self._ask: Ask = lambda _device, _payload, _correlation: None
        self._inbox: queue.Queue[News | None] = queue.Queue()
        self._states: dict[str, Mapping[str, Any]] = {}
        self._sent_s: dict[tuple[str, int], float] = {}
        self._lease_s: dict[str, float] = {}
        self._asked_s: dict[str, float] = {}
        self._head_s: dict[str, float] = {}
        self._drift_s: dict[str, float] = {}
        self._seen: tuple[int, int] | None = None
        self._look_s, self._look_failed = 0.0, ""
        self._often = PerMinute(_ALARMS_PER_MINUTE)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def connect(self, send: SendRoster, ask: Ask) -> None:
        """Say how messages get to doors. Before `start`."""
        self._send, self._ask = send, ask

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hear(self, news: News) -> None:
        """States, hellos, sealing keys and receipts concern this; no more. Too many drop: all but receipts repeat."""
        wanted = news.kind in ("state", "hello") or (news.kind == "reply" and news.what.get("stage") == "sealing-key")
        receipt = news.kind == "event" and news.what.get("kind") == Kind.ROSTER and "receipt" in news.what["body"]
        if (wanted and self._inbox.qsize() < _WAITING) or (receipt and self._inbox.qsize() < _RECEIPTS_WAITING):
            self._inbox.put(news)

    def stop(self) -> None:
        """End the thread. Idempotent."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join(10)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        due_s = 0.0
        while True:
            about = SERVER
            try:
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + _LOOK_EVERY_S
                    self._look()
                news = self._inbox.get(timeout=max(0.01, due_s - time.monotonic()))
                if news is None:
                    return
                about = news.device
                self._take(news)
            except queue.Empty:
                continue
            except Exception as e:  # noqa: BLE001  neither a door's word nor a file may end it: the next one may do
                self._alarm(about, "roster", f"{type(e).__name__}: {e}"[:300])

    def _alarm(self, device: str, word: str, detail: str) -> None:
        if self._often.allows(f"{device} {word}"):
            self._told(device, word, detail)

    def _take(self, news: News) -> None:
        if news.kind == "state":
            self._states[news.device] = news.what
            door = self._people.doors().get(news.device)
            if door is not None and news.what.get("online"):
                self._state(door, news.what)
        elif news.kind == "hello":
            self._greeted(news.device)
        elif news.kind == "reply":
            self._sealing_key(news.device, news.what)
        else:
            self.receipt(news.device, news.what["body"])

    def _look(self) -> None:
        """After a change: new revisions for the doors that it concerns. Once an hour: what was kept long enough."""
        if time.monotonic() >= self._forget_s:
            self._forget_s = time.monotonic() + _FORGET_EVERY_S
            self._forget()
        if time.monotonic() >= self._look_s:
            self._look_at_people()
        for device, since_s in list(self._drift_s.items()):
            if time.monotonic() - since_s >= _DRIFT_S:
                self._drift_s[device] = float("inf")
                self._alarm(device, "roster-drift", "the door does not have the roster it should have")

    def _look_at_people(self) -> None:
        """A change counts as seen once it is published for every door; what keeps it from that is told once."""
        try:
            change = self._people.change()
            if change != self._seen:
                self._publish(first=self._seen is None)
            self._seen, self._look_failed = change, ""
        except Exception as e:
            self._look_s, told = time.monotonic() + _LOOK_AGAIN_S, self._look_failed
            self._look_failed = str(e)
            if told != self._look_failed:
                raise

    def _publish(self, *, first: bool) -> None:
        roster = self._people.roster()
        for device, door in self._people.doors().items():
            entries, newest = self._people.entries(door, roster), self._people.published(device)
            if newest is None or newest.entries != entries:
                self._published(door, self._people.publish(device, entries))
            elif first:
                self._head(device, newest)

    def _published(self, door: Door, newest: Published) -> None:
        self._head(door.device, newest)
        state = self._states.get(door.device, {})
        if state.get("online"):
            self._state(door, state)

    def _head(self, device: str, newest: Published) -> None:
        self._put(device, Head(newest.revision, newest.digest), keep=True)

    def _greeted(self, device: str) -> None:
        """The broker's copy may lie on a node that the door has left (RabbitMQ), or may have died with it."""
        newest = self._people.published(device) if device in self._people.doors() else None
        if newest is not None and self._due(self._head_s, device, _AGAIN_S):
            self._put(device, Head(newest.revision, newest.digest), keep=False)

    # ------------------------------------------------------------ a door's state

    def _state(self, door: Door, state: Mapping[str, Any]) -> None:
        said = state.get("roster")
        if not isinstance(said, Mapping) or type(said.get("revision")) is not int:
            return
        revision, digest = int(said["revision"]), str(said.get("digest"))
        if (revision, digest) != (door.held.revision, door.held.digest):
            self._people.held(door.device, revision, digest)
        if said.get("sealing") != door.sealing_name and self._due(self._asked_s, door.device, _AGAIN_S):
            self._ask(door.device, WANT_SEALING_KEY, secrets.token_bytes(8))
        newest = self._people.published(door.device)
        if newest is None:
            return
        if revision > newest.revision + _AHEAD_MOST:
            raise ValueError(f"{door.device}: says it has revision {revision}, and {newest.revision} is the newest")
        if revision > newest.revision:  # this server's memory is older than the door's: go on above
            if digest != newest.digest:
                why = f"this server has revision {newest.revision} of its list, the door {revision}: an old backup"
                self._alarm(door.device, "people-older", why)
            newest = self._people.publish(door.device, newest.entries, above=revision)
            self._head(door.device, newest)
        self._lease(door.device, newest, state, stale=bool(said.get("stale")))
        if (revision, digest) == (newest.revision, newest.digest):
            self._drift_s.pop(door.device, None)
            return
        self._drift_s.setdefault(door.device, time.monotonic())
        now_s, key = time.monotonic(), (door.device, newest.revision)
        if now_s - self._sent_s.get(key, -_AGAIN_S) >= _AGAIN_S:
            self._sent_s[key] = now_s
            self._send_roster(door, newest, revision, digest)

    def _lease(self, device: str, newest: Published, state: Mapping[str, Any], *, stale: bool) -> None:
        challenge = state.get("challenge")
        if isinstance(challenge, str) and self._due(self._lease_s, device, 0.0 if stale else _LEASE_EVERY_S):
            self._put(device, Head(newest.revision, newest.digest, challenge), keep=False)

    def _send_roster(self, door: Door, newest: Published, revision: int, digest: str) -> None:
        known = self._people.published(door.device, revision)
        base = known if known is not None and known.digest == digest and revision < newest.revision else None
        operations = list(self._operations(door, base.entries if base else {}, newest.entries))
        blank = Part(newest.revision, base.revision if base else None, newest.digest, secrets.token_hex(8), 1, 1, ())
        for part in cut(blank, operations):
            self._put(door.device, part, keep=False)

    def _operations(self, door: Door, before: Entries, after: Entries) -> Iterator[Operation]:
        changes = list(difference(before, after))
        yield from changes
        put = (one for one in changes if isinstance(one, Put) and one.kind == PERSON)
        persons = [one.id for one in put if '"faces":[]' not in one.body]
        if door.sealing is None or not persons:
            return
        for t in self._people.templates(persons):
            binding = seal_binding(door.device, t.person_id, t.template_id, t.model_id, t.alignment_id)
            sealed = seal(door.sealing, t.vector, binding)
            yield Template(t.person_id, t.template_id, t.model_id, t.alignment_id, t.quality, sealed)

    def _put(self, device: str, what: Head | Part, *, keep: bool) -> None:
        self._send(device, signed(self._key, device, message(what)), keep)

    def _due(self, last_s: dict[str, float], device: str, every_s: float) -> bool:
        now_s = time.monotonic()
        if now_s - last_s.get(device, float("-inf")) < every_s:
            return False
        last_s[device] = now_s
        return True

    # ------------------------------------------------------------ a door's word

    def _sealing_key(self, device: str, reply: Mapping[str, Any]) -> None:
        said = checked({k: v for k, v in reply.items() if k != "stage"}, door=device, ca_pem=self._ca)
        if said is None or said.get("door") != device or device not in self._people.doors():
            raise ValueError(f"{device}: a sealing key that the site's authority does not vouch for")
        public = base64.b64decode(str(said["key"]), validate=True)
        self._people.sealing_key(device, public, key_name(public))

    def receipt(self, device: str, body: Mapping[str, Any]) -> None:
        """Keep a receipt whose signature holds."""
        whole = body.get("receipt")
        if body.get("state") != "FacePurged" or not isinstance(whole, dict):
            return
        said = checked(whole, door=device, ca_pem=self._ca)
        if said is None or said.get("what") != "face-purged":
            raise ValueError(f"{device}: a receipt that is not signed by this door")
        self._people.receipt(device, said, whole)
