"""Codes and faces before a door that only notes what it is told."""

import base64
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent.controller import Intent
from agent.core.access import Moment, Rules
from agent.core.door import DoorSettings, DoorState, LockType, initial
from agent.core.events import AccessAllowed, AccessRefused, Indication, Record
from agent.core.passes import base45_encode, phone_message
from agent.core.schedule import Calendar
from agent.core.vision_messages import Finding, FindingKind, Pass
from agent.face_desk import FaceDesk
from agent.factors import Factors
from agent.pass_desk import PassDesk, phone_key
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from agent.template_update import TemplateUpdate

DOOR, UTC_S = "garden/gate-1", 1_800_000_000
VISIT = b"\1" * 1024  # the template of a visit
RECEIPT = {"v": 2, "frames": []}


def public_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    return base45_encode(message + r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@dataclass
class World:
    """Both desks before a door that only notes what it is told."""

    residents: Residents
    phone: ec.EllipticCurvePrivateKey
    site: ec.EllipticCurvePrivateKey
    high_security: bool = False
    time_known: bool = True
    ahead_s: float = 0.0  # of the door's clock
    networks: tuple[str, str] | None = ("net", "five")
    now_s: float = 100.0
    intents: list[Intent] = field(default_factory=list)
    refusals: list[AccessRefused] = field(default_factory=list)
    hints: list[Indication] = field(default_factory=list)
    rows: list[Record] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = initial(DoorSettings(lock_type=LockType.FAIL_SAFE), {}, self.now_s)
        self.state: DoorState = replace(state, guard_missing_from_s=None)
        factors = Factors()
        self.now_s -= 30.0  # the door has been running for a while
        self.update = TemplateUpdate(self.residents, lambda: self.networks)
        common = {"factors": factors, "rules": self.rules, "moment": self.moment, "update": self.update}
        self.faces = FaceDesk(self, self.residents, **common)
        common |= {"site_keys": [public_of(self.site)], "started_s": self.now_s}
        self.passes = PassDesk(DOOR, self, self.residents, facts=self.facts, **common)
        self.now_s += 30.0

    def rules(self) -> Rules:
        return Rules(Calendar(), self.high_security, None)

    def moment(self) -> Moment:
        return Moment(datetime.fromtimestamp(UTC_S + self.now_s + self.ahead_s, UTC) if self.time_known else None)

    def admit(self, intent: Intent) -> None:
        self.intents.append(intent)
        self.facts.update(intent.facts)

    def step(self, event: object, now_s: float | None = None) -> None:
        self.refusals.append(event)

    @property
    def missing(self) -> list[tuple]:
        """Rows about a second factor that did not come: credential, person, what is said."""
        bodies = [row.body for row in self.rows if row.body.get("reason") == "SecondFactorMissing"]
        return [(body["credential"], body.get("person_id"), body.get("detail")) for body in bodies]

    def write(self, record: Record) -> None:
        self.rows.append(record)

    def hint(self, indication: Indication) -> None:
        self.hints.append(indication)

    def show(
        self, code: bytes | None = None, *, duress: bool = False, phone: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        if code is None:
            phone = phone or self.phone
            message = phone_message(public_of(phone), None, UTC_S + self.now_s, secrets.token_bytes(8), duress=duress)
            code = sign(phone, message)
        self.passes.shown(Pass(code, self.now_s), self.now_s)

    def look(self, person_id: str, since_s: float | None = None, **more: object) -> None:
        """The camera recognises somebody who is in view since then; without a time, somebody who has just come."""
        usual = {"reason": "match", "template": VISIT, "in_view_since_s": since_s}
        self.find(FindingKind.RECOGNISED, person_id=person_id, **{**usual, **more})

    def doubt(self, *candidates: str, reason: str = "look-alike", **more: object) -> None:
        usual = {"needs_phone": True, "reason": reason, "hint": Indication.SHOW_PHONE}
        self.find(FindingKind.DOUBTFUL, candidates=candidates, **usual, **more)

    def find(self, verdict: FindingKind, **more: object) -> None:
        usual = {"person_id": None, "needs_phone": False, "reason": verdict.value, "hint": None, "receipt": RECEIPT}
        times = {"first_frame_at_s": self.now_s, "decided_at_s": self.now_s}
        found = {"track": 1, "frames": 3, **usual, **times, **more}
        self.faces.found(Finding(verdict=verdict, **found), self.now_s)

    def wait(self, seconds: float) -> None:
        """Time passes, as the agent's loop lets it."""
        self.now_s += seconds
        self.faces.tend(self.now_s)
        self.update.tend(self.now_s, self.residents.faces())

    def more(self, name: str) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """One more resident with a face and a phone: id and the phone's key."""
        phone = ec.generate_private_key(ec.SECP256R1())
        key = phone_key(base64.urlsafe_b64encode(public_of(phone)).decode().rstrip("="))
        faces = [NewFace(bytes(1024), 1.0)]
        return self.residents.add(name, consent_now(0), faces, "net", "five", phones=(key,)).id, phone

    @property
    def allowed(self) -> list[AccessAllowed]:
        return [intent.then for intent in self.intents]


@contextlib.contextmanager
def one_resident(folder: Path) -> Iterator[World]:
    store = RosterStore(folder)
    residents = Residents(store)
    phone, site = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    key = phone_key(base64.urlsafe_b64encode(public_of(phone)).decode().rstrip("="))
    person = residents.add("Li Mei", consent_now(0), [NewFace(bytes(1024), 1.0)], "net", "five", phones=(key,))
    world = World(residents, phone, site)
    world.li, world.key = person.id, key
    yield world
    store.close()
