"""The desk for commands from afar between a link and a controller that only note what they are asked."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.controller import Intent
from agent.core.events import Indication, Record
from agent.core.stream import CommandArrived
from agent.diagnostics import diagnostics
from agent.order_keys import sign
from agent.remote import RemoteDesk

DOOR = "garden/gate-1"


def new_key() -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    return (
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


PRIVATE, PUBLIC = new_key()


@dataclass
class World:
    """The desk between a link and a controller that only note what they are asked."""

    facts: dict[str, Any] = field(default_factory=dict)
    replies: list[dict[str, Any]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    rows: list[Record] = field(default_factory=list)
    hints: list[Indication] = field(default_factory=list)
    now_s: float = 1000.0
    counter: int = 0
    face_needed: bool = False
    updates: Any = None
    board: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk = RemoteDesk(
            DOOR,
            {"manager1": PUBLIC},
            self,
            self,
            self.facts,
            face_needed=self.face_needed,
            updates=self.updates,
            diagnostics=lambda: diagnostics(self.board),
        )
        self.desk.renew_if_due(self.now_s)

    def reply(self, correlation: bytes | None, reply: dict[str, Any]) -> None:
        self.replies.append(dict(reply))

    def admit(self, intent: Intent) -> None:
        self.intents.append(intent)

    def write(self, record: Record) -> None:
        self.rows.append(record)

    def hint(self, indication: Indication) -> None:
        self.hints.append(indication)

    def order(self, action: str, command_id: str = "", **more: Any) -> bytes:
        self.counter += 1
        claims = {
            "id": command_id or f"command-{self.counter}",
            "action": action,
            "actor": "li",
            "counter": self.counter,
            "challenge": self.desk.challenge(),
        }
        token = sign(PRIVATE, "manager1", DOOR, claims | more)
        self.arrive(token)
        return token

    def arrive(self, payload: bytes, *, retained: bool = False) -> None:
        self.desk.arrived(CommandArrived(payload, retained, b"c"), self.now_s)
