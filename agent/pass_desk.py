"""Codes held before the camera, turned into an opening or a refusal."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from agent.controller import Intent
from agent.core.access import Denial, Denied, Granted, Moment, Rules, decide, lapsed
from agent.core.door import grant_refusal
from agent.core.events import AccessAllowed, AccessRefused, Credential, Indication, Json, Kind, Priority, Record
from agent.core.pass_book import Book, moved_facts
from agent.core.passes import STEP_S, Accepted, Key, Refusal, Rejected, judge, reference
from agent.core.roster import PhoneKey
from agent.core.vision_messages import Pass
from agent.directory import Directory
from agent.errors import ConfigError, PictureError
from agent.factors import LATE_S, Desk, Factors, Shown
from agent.template_update import TemplateUpdate

SHOWING_ENDS_S: Final = 5.0  # a code that was out of sight for so long and comes again is shown anew
HINTED_FOR_S: Final = 20.0  # a pass that is seen on after its opening: somebody waits, or it was left there
SAME_ALARM_S: Final = 60.0
SAME_PERSON_S: Final = 10.0  # a phone shows a new code every few seconds; one opening is meant
SAME_REASON_S: Final = 8.0
NO_PASS_S: Final = 60.0  # somebody else's code, an advertisement: written once a minute at most


@dataclass(frozen=True, slots=True)
class _Showing:
    """A code from its first sight to its last. One showing is decided on once, however long it takes."""

    began_s: float
    seen_s: float
    visit: str | None = None  # the request that a visitor's pass brought


class PassDesk:
    """Used by the controller's thread only. `door` is "site/id", `site_keys` public keys (DER) for visitor passes."""

    def __init__(
        self,
        door: str,
        desk: Desk,
        residents: Directory,
        *,
        factors: Factors,
        rules: Callable[[], Rules],
        moment: Callable[[], Moment],
        site_keys: Iterable[bytes],
        facts: Mapping[str, Any],
        started_s: float,
        update: TemplateUpdate | None = None,
    ) -> None:
        """`facts`: what the journal kept; `started_s`: CLOCK_BOOTTIME of the door's start."""
        self._update = update
        self._door, self._desk, self._residents, self._factors = door, desk, residents, factors
        self._rules, self._moment = rules, moment
        self.believe(site_keys)
        self._started_s, self._started_utc_s = started_s, _utc_s(moment().local)
        self._moved = moved_facts(facts)
        self._book = Book.from_facts({**facts, **self._moved})
        self._stored = self._book
        self._showings: dict[bytes, _Showing] = {}
        self._refused: dict[tuple[str, str | None], float] = {}
        self.openings: dict[str, float] = {}  # request id -> CLOCK_BOOTTIME of the frame with the code

    def believe(self, site_keys: Iterable[bytes]) -> None:
        """Visitor passes that these sign are good from now on, and no others."""
        self._site_keys = {reference(public): Key(public, None) for public in site_keys}

    def shown(self, event: Pass, now_s: float) -> None:
        """Decide on one code. One that is told late is told again, for as long as somebody shows it."""
        if now_s - event.at_s > LATE_S or self._is_shown_still(event.payload, now_s):
            return
        moment = self._moment()
        self._book = replace(self._book, since_step=self._since_step(_utc_s(moment.local), now_s))
        judged = judge(
            event.payload,
            door=self._door,
            keys=self._key,
            verify=verify_p256,
            book=self._book,
            utc_s=_utc_s(moment.local),
            floor_utc_s=moment.floor_utc_s,
            revoked=self._residents.roster.revoked,
        )
        self._showings[event.payload] = _Showing(now_s, now_s)
        if isinstance(judged, Rejected):
            self._refuse(judged.reason.value, judged.person_id, event.at_s, now_s, judged.pass_id)
            if judged.forced is not None and judged.person_id is not None:
                self._book = judged.forced.book  # a film of it is no second alarm
                self._alarm(judged.person_id, now_s)
        elif judged.person_id is None:
            visit = self._visitor(judged, moment, event.at_s, now_s)
            self._showings[event.payload] = _Showing(now_s, now_s, visit)
        else:
            facts, self._book = judged.book.changes(self._book), judged.book  # used up, let in or not: a film is no use
            again = self._factors.walking_in([judged.person_id], now_s, SAME_PERSON_S, but_by=Credential.FACE)
            opens = not again and self._resident(judged, judged.person_id, moment, event.at_s, now_s, facts)
            if judged.duress and not opens:
                self._alarm(judged.person_id, now_s)

    def _since_step(self, utc_s: float | None, now_s: float) -> int:
        """Codes up to then may have been used by a book that is lost.

        It is when the door started by the clock of now: one that was ahead then would refuse every phone for as long.
        """
        began_s = self._started_utc_s if utc_s is None else utc_s - (now_s - self._started_s)
        return -1 if began_s is None else int(began_s) // STEP_S

    def _is_shown_still(self, code: bytes, now_s: float) -> bool:
        """True for one that was decided on and has not left the view since, nor while its own opening stands.

        Somebody else's copy that comes within moments looks the same: whoever holds it up is told to show it again.
        """
        self._showings = {
            known: one
            for known, one in self._showings.items()
            if now_s - one.seen_s < SHOWING_ENDS_S or self._stands(one.visit)
        }
        showing = self._showings.get(code)
        if showing is None:
            return False
        self._showings[code] = replace(showing, seen_s=now_s)
        if showing.visit and not self._stands(showing.visit) and now_s - showing.began_s < HINTED_FOR_S:
            self._desk.hint(Indication.SHOW_AGAIN)
        return True

    def _stands(self, request_id: str | None) -> bool:
        return any(grant.request_id == request_id for grant in self._desk.state.grants)

    def _resident(
        self,
        accepted: Accepted,
        person_id: str,
        moment: Moment,
        at_s: float,
        now_s: float,
        facts: Mapping[str, Json],
    ) -> bool:
        """True when the opening is on its way."""
        both = self._factors.other(person_id, Credential.FACE, now_s)
        credential = Credential.FACE_AND_PHONE if both else Credential.PHONE
        refusal = grant_refusal(self._desk.state, credential)
        person = self._residents.person(person_id)
        answer = decide(person, credential, self._rules(), moment, door_refusal=refusal)
        if isinstance(answer, Granted):
            self._factors.let_in(person_id, credential, now_s)
            self._admit(accepted, AccessAllowed(
                secrets.token_hex(8), credential, person_id, extended=answer.extended, duress=accepted.duress
            ), at_s, both.said if both else {})  # fmt: skip
            if both and not accepted.duress and self._update is not None:
                self._update.confirmed(person_id, now_s)
        elif isinstance(answer, Denied):
            self._refuse(answer.reason.value, person_id, at_s, now_s)
        else:  # the face is still wanted: remember the phone
            said, people = {"pass_id": accepted.pass_id}, frozenset({person_id})
            self._factors.show(Shown(people, Credential.PHONE, now_s, said, facts, duress=accepted.duress))
            self._desk.hint(Indication.COME_CLOSER)
        return isinstance(answer, Granted)

    def _alarm(self, person_id: str, now_s: float) -> None:
        """Somebody is being forced, and it opened nothing (yet): the silent alarm does not wait for an opening."""
        if now_s - self._refused.get(("duress", person_id), -SAME_ALARM_S) >= SAME_ALARM_S:
            self._refused["duress", person_id] = now_s
            body: dict[str, Json] = {"credential": Credential.PHONE.value, "person_id": person_id, "opened": False}
            self._desk.write(Record(Kind.DURESS, body, Priority.ALARM))

    def _visitor(self, accepted: Accepted, moment: Moment, at_s: float, now_s: float) -> str | None:
        """The request that is on its way, if it may."""
        rules = self._rules()
        refusal = grant_refusal(self._desk.state, Credential.VISITOR_PASS)
        if rules.high_security:
            refusal = refusal or Denial.UNAUTHORIZED.value
        if lapsed(rules, moment):  # a revocation could not have reached this door
            refusal = refusal or Denial.LEASE_LAPSED.value
        if refusal is not None:
            self._refuse(refusal, None, at_s, now_s, accepted.pass_id)
            return None
        request_id, visitor = secrets.token_hex(8), _visitor_id(accepted.pass_id)
        self._admit(accepted, AccessAllowed(request_id, Credential.VISITOR_PASS, visitor), at_s, {})
        return request_id

    def _admit(self, accepted: Accepted, allowed: AccessAllowed, at_s: float, said: Mapping[str, Json]) -> None:
        self._book = accepted.book
        self.openings[allowed.request_id] = at_s
        body = {"pass_id": accepted.pass_id, **said}
        facts = {**self._moved, **self._book.changes(self._stored)}
        self._moved, self._stored = {}, self._book
        self._desk.admit(Intent(allowed.request_id, allowed, body, facts))

    def _refuse(
        self, reason: str, person_id: str | None, at_s: float, now_s: float, pass_id: str | None = None
    ) -> None:
        credential = Credential.PHONE
        if pass_id is not None:
            credential, person_id = Credential.VISITOR_PASS, _visitor_id(pass_id)
        quiet_s = NO_PASS_S if reason in (Refusal.MALFORMED, Refusal.UNKNOWN_KEY) else SAME_REASON_S
        self._refused = {who: at_s for who, at_s in self._refused.items() if now_s - at_s < SAME_ALARM_S}
        if now_s - self._refused.get((reason, person_id), -quiet_s) < quiet_s:
            return
        self._refused[reason, person_id] = now_s
        detail: dict[str, Json] = {"decided_ms": round((now_s - at_s) * 1000)}  # since the frame with the code
        detail |= {"pass_id": pass_id} if pass_id is not None else {}
        self._desk.step(AccessRefused(credential, reason, person_id, detail, counts_for_lockout=False), now_s)

    def _key(self, key_ref: bytes) -> Key | None:
        if (site := self._site_keys.get(key_ref)) is not None:
            return site
        person, phone = self._residents.phone(key_ref) or (None, None)
        if person is None or phone is None:
            return None
        return Key(phone.public_key, person.id, phone.enabled and person.enabled)


def _visitor_id(pass_id: str) -> str:
    """Who a visitor is in the journal."""
    return f"visitor-{pass_id}"


def verify_p256(public: bytes, message: bytes, signature: bytes) -> bool:
    """ECDSA P-256 with SHA-256; `public` DER SubjectPublicKeyInfo, `signature` r and s of 32 bytes each."""
    try:
        key = serialization.load_der_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            return False
        raw = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        key.verify(raw, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def load_pass_keys(folder: Path) -> dict[str, bytes]:
    """The site's public pass keys: every NAME.pem of a folder (P-256), NAME -> DER. An absent folder: none.

    Raises:
        ConfigError: a file is not such a key.
    """
    found = {}
    for path in sorted(folder.glob("*.pem")):
        try:
            found[path.stem] = pass_key(path.read_bytes(), str(path))
        except OSError as e:
            raise ConfigError(f"{path}: is not a public P-256 key in PEM form ({e}); remove or replace it") from e
    return found


def pass_key(pem: bytes, where: str) -> bytes:
    """A public pass key as DER. Raises ConfigError, naming `where`, for what is none."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"{where}: is not a public P-256 key in PEM form ({e}); remove or replace it") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"{where}: is another kind of key, a pass key is P-256; replace it")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def phone_key(code: str) -> PhoneKey:
    """The registration code of a phone page (base64url of the DER public key) as a roster entry.

    Raises:
        PictureError: it is not such a code; nothing was stored.
    """
    text = "".join(code.split())
    try:
        public = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        key = serialization.load_der_public_key(public)
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as e:
        raise PictureError(f"this is not a phone's registration code ({e}); copy it from the phone page again") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PictureError("this code holds another kind of key; copy it from the phone page again")
    return PhoneKey(reference(public).hex(), public, enabled=True)


def _utc_s(local: datetime | None) -> float | None:
    return None if local is None else local.timestamp()
