"""The resident's "open" button: a request signed by the phone's key becomes an order to the door, or a reason why not.

The server judges as the door would (agent/core/access.py), by the same roster and by its own clock; the door then takes
the order only with its own fresh challenge, and says what came of it. What a phone signs can't be mistaken for a pass.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, jsonify, request

from agent.core.access import Denied, Granted, Moment, Rules, decide
from agent.core.bounded import BadValueError, flag, integer, text
from agent.core.commands import PHONE_ACTOR
from agent.core.events import Credential
from agent.core.roster import Person, PhoneKey, Roster
from agent.errors import DoorAgentError
from agent.pass_desk import verify_p256
from deploy.community.door_rosters import Door
from deploy.community.gate import json_object
from deploy.community.limits import PerMinute
from deploy.community.news import SERVER
from deploy.community.people import EVERYBODY, People
from deploy.phone.serve import HEADERS

MAX_WRONG_S: Final = 30
_PER_MINUTE: Final = 10  # presses of one phone
_STRANGE_PER_MINUTE: Final = 60  # requests from one address that no phone here has signed
_ACTOR: Final = re.compile(r"[A-Za-z0-9._@:/ -]{1,70}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")

# device, actor, claims of the order (duress, extended) -> the door's answer: {"stage": …, "reason"?: …}
Open = Callable[[str, str, Mapping[str, bool]], Mapping[str, Any]]


class Reason(StrEnum):
    """Why the server passes nothing on. What the door and the rules say comes as their own words."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_TIME = "wrong-time"
    REPLAYED = "replayed"
    TOO_MANY = "too-many"
    WRONG_DOOR = "wrong-door"
    FACE_NEEDED = "face-needed"  # a high-security door: a phone from afar is not enough
    NO_ANSWER = "no-answer"  # nothing was ordered
    NOT_KNOWN = "not-known"  # it was ordered, and no word came back


_STRANGE: Final = frozenset({Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE})


_NO_WORD: Final = {"not-sent": Reason.NO_ANSWER, "no-answer": Reason.NOT_KNOWN}


class RefusedError(Exception):
    """Not passed on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Phones:
    """Everybody as of one change, and whose each phone is."""

    change: tuple[int, int]
    roster: Roster
    owners: Mapping[str, tuple[Person, PhoneKey]]


class PhoneOpenings:
    """Safe for any thread. `high_security` says whether a door asks for the face as well; None: it has not said yet.

    `alarm` is told door and person when somebody under duress pressed and it came to nothing.
    """

    def __init__(
        self,
        people: People,
        open_: Open,
        timezone: str,
        high_security: Callable[[str], bool | None],
        alarm: Callable[[str, str], None] = lambda _device, _person_id: None,
    ) -> None:
        self._people, self._open, self._zone, self._high_security = people, open_, ZoneInfo(timezone), high_security
        self._alarm, self._forced = alarm, PerMinute(1)
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._phones: _Phones | None = None
        self._presses: dict[str, list[float]] = {}

    def has_met(self, key_id: object) -> bool:
        """Whether a phone here had this name when the people were last looked at; looks only where nobody has yet."""
        known = self._phones
        with contextlib.suppress(DoorAgentError):
            known = known or self._known_phones()
        return known is not None and isinstance(key_id, str) and key_id in known.owners

    def doors(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The doors that this phone's owner may use, for the buttons."""
        _, person, phone = self._signed(asked, "doors")
        self._may_press(asked, person, phone)
        return {"doors": [d.device for d in self._people.doors().values() if _may_use(d, person)]}

    def open(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Order an opening; the door's own word comes back.

        Raises:
            RefusedError: with the reason; nothing was ordered, or (NOT_KNOWN) nobody can tell what came of it.
        """
        roster, person, phone = self._signed(asked, "open")
        try:
            self._may_press(asked, person, phone)
            return self._order(asked, roster, person)
        except (RefusedError, DoorAgentError) as e:  # to whoever holds the phone, duress looks like any other refusal
            if asked.get("duress") is True:
                self._forced_in_vain(asked, person, str(e))
            raise

    def _forced_in_vain(self, asked: Mapping[str, Any], person: Person, reason: str) -> None:
        """The silent alarm, once a minute at most: the phone signed it, so it is meant, whatever it is refused for.

        The door raises it as well where it refuses itself. What somebody copied and sends again raises no second one.
        """
        device, copied = SERVER, reason == Reason.REPLAYED
        with contextlib.suppress(DoorAgentError):  # a file that cannot be used keeps no alarm back
            if str(asked["door"]) in self._people.doors():
                device = str(asked["door"])
            if reason == Reason.WRONG_TIME and not self._forced.spent(f"{device} {person.id}"):
                copied = not self._people.press(str(asked["nonce"]), int(time.time()))
        if not copied and self._forced.allows(f"{device} {person.id}"):
            self._alarm(device, person.id)

    def _order(self, asked: Mapping[str, Any], roster: Roster, person: Person) -> dict[str, Any]:
        device, forced = str(asked["door"]), asked.get("duress") is True
        door = self._people.doors().get(device)
        if door is None or not _may_use(door, person):
            raise RefusedError(Reason.WRONG_DOOR)
        high = self._high_security(device)
        if high is not False:  # not known: it is not connected, so there is nobody to order
            raise RefusedError(Reason.NO_ANSWER if high is None else Reason.FACE_NEEDED)
        moment = Moment(datetime.now(self._zone), 0, 0.0)
        answer = decide(person, Credential.REMOTE, Rules(roster.calendar), moment)
        if isinstance(answer, Denied):
            raise RefusedError(answer.reason)
        who = person.id if _ACTOR.fullmatch(person.id) else str(asked["key"])
        claims = {"duress": forced, "extended": isinstance(answer, Granted) and answer.extended}
        said = self._open(device, f"{PHONE_ACTOR}{who}", {name: True for name, holds in claims.items() if holds})
        stage = str(said.get("stage"))
        if stage == "refused":
            raise RefusedError(str(said.get("reason")))
        if stage in _NO_WORD:
            raise RefusedError(_NO_WORD[stage])
        return {"stage": stage}

    def _signed(self, asked: Mapping[str, Any], action: str) -> tuple[Roster, Person, PhoneKey]:
        """Whose phone this is, proven; it may still be nobody who may come in, and the request an old one."""
        message, signature = _read(asked, action)
        known, key_id = self._known_phones(), str(asked["key"])
        if key_id not in known.owners:
            raise RefusedError(Reason.UNKNOWN_KEY)
        person, phone = known.owners[key_id]
        if not verify_p256(phone.public_key, message, signature):
            raise RefusedError(Reason.BAD_SIGNATURE)
        return known.roster, person, phone

    def _may_press(self, asked: Mapping[str, Any], person: Person, phone: PhoneKey) -> None:
        if not phone.enabled or not person.enabled:
            raise RefusedError("CredentialNotEnabled")
        if abs(time.time() - int(asked["at_utc_s"])) > MAX_WRONG_S:
            raise RefusedError(Reason.WRONG_TIME)
        self._once(str(asked["nonce"]), phone.key_id, int(asked["at_utc_s"]))

    def _known_phones(self) -> _Phones:
        """Read once for each change of the people: whoever asks without a right must not cost a look at them all."""
        with self._reading:
            change = self._people.change()
            if self._phones is None or change != self._phones.change:
                roster = self._people.roster()
                owners = {phone.key_id: (one, phone) for one in roster.persons.values() for phone in one.phones}
                self._phones = _Phones(change, roster, owners)
            return self._phones

    def _once(self, nonce: str, key_id: str, at_utc_s: int) -> None:
        """A request is good once, over a restart as well; a phone may press so often."""
        now_s = time.monotonic()
        with self._lock:
            recent = [s for s in self._presses.get(key_id, []) if now_s - s < 60]  # noqa: PLR2004  a minute
            if len(recent) >= _PER_MINUTE:
                raise RefusedError(Reason.TOO_MANY)
            if not self._people.press(nonce, at_utc_s):
                raise RefusedError(Reason.REPLAYED)
            self._presses[key_id] = [*recent, now_s]


def signed_text(action: str, asked: Mapping[str, Any]) -> bytes:
    """What a phone signs: a first line that no pass begins with, then the request."""
    duress = "1" if asked.get("duress") is True else "0"
    return "\n".join(
        ["door-agent phone", action, str(asked["key"]), str(asked["door"]), str(asked["at_utc_s"]), str(asked["nonce"]),
         duress]
    ).encode()  # fmt: skip


def _read(asked: Mapping[str, Any], action: str) -> tuple[bytes, bytes]:
    try:
        text(64)(asked.get("key"))
        text(140)(asked.get("door"))
        integer(0, 2**40)(asked.get("at_utc_s"))
        flag(asked.get("duress", False))
    except BadValueError:
        raise RefusedError(Reason.MALFORMED) from None
    nonce, signature = str(asked.get("nonce")), str(asked.get("signature"))
    if not _NONCE.fullmatch(nonce) or not _SIGNATURE.fullmatch(signature):
        raise RefusedError(Reason.MALFORMED)
    return signed_text(action, asked), bytes.fromhex(signature)


def _may_use(door: Door, person: Person) -> bool:
    return EVERYBODY in door.groups or bool(set(door.groups) & set(person.groups))


def _network(address: str | None) -> str:
    """An IPv6 customer has a whole /64 of addresses."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return ""
    return str(ip_network((int(found) >> 64 << 64, 64)) if isinstance(found, IPv6Address) else found)


class _Strangers:
    """Addresses that send what no phone here has signed; phones that are known have a bound of their own.

    Behind one address may be a whole house, or all of a mobile network: whoever names a phone of this site is heard.
    """

    def __init__(self, openings: PhoneOpenings) -> None:
        self._openings = openings
        self._seen = PerMinute(_STRANGE_PER_MINUTE)

    def sent_away(self) -> tuple[Response, int] | None:
        """Before a request: the answer for one that came too often."""
        if self._seen.spent(_network(request.remote_addr)) and not self._openings.has_met(json_object().get("key")):
            return jsonify({"doors": [], "refused": Reason.TOO_MANY}), 429
        return None

    def noted(self, reason: str) -> str:
        """After a refusal: the reason, counted if it is a stranger's."""
        if reason in _STRANGE:
            self._seen.allows(_network(request.remote_addr))
        return reason


def blueprint(openings: PhoneOpenings) -> Blueprint:
    """POST /phone/api/doors and /phone/api/open: no cookie, no session, the signature is all."""
    page = Blueprint("phone-open", __name__, url_prefix="/phone/api")

    strangers = _Strangers(openings)
    page.before_request(strangers.sent_away)

    @page.post("/doors")
    def doors() -> Response:
        try:
            return jsonify(openings.doors(json_object()))
        except RefusedError as e:
            return jsonify({"doors": [], "refused": strangers.noted(e.reason)})

    @page.post("/open")
    def open_() -> tuple[Response, int]:
        try:
            return jsonify(openings.open(json_object())), 200
        except RefusedError as e:
            return jsonify({"refused": strangers.noted(e.reason)}), 403

    @page.after_request
    def headers(response: Response) -> Response:
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        return response

    return page
