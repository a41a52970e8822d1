"""What the desks for faces and for passes share: the controller they admit to, and the memory of a first factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.controller import Intent
from agent.core.door import DoorState
from agent.core.events import Credential, DoorEvent, Indication, Json, Record

FACTOR_S: Final = 15.0  # face and phone in one natural movement


class Desk(Protocol):
    """What this needs of the controller."""

    @property
    def state(self) -> DoorState:
        """The door."""

    def admit(self, intent: Intent) -> None:
        """Write down, then do."""

    def write(self, record: Record) -> None:
        """Write down."""

    def step(self, event: DoorEvent, now_s: float | None = None) -> None:
        """Let the core decide."""

    def hint(self, indication: Indication) -> None:
        """Show at the door."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A first factor. `duress` and `facts` (what it used up) belong to the opening that the second one brings."""

    at_s: float
    duress: bool = False
    facts: Mapping[str, Json] = field(default_factory=dict)


class Factors:
    """Who has shown one of two factors a moment ago."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, Credential], Shown] = {}

    def show(self, person_id: str, credential: Credential, shown: Shown) -> None:
        """This person has shown this."""
        self._shown[person_id, credential] = shown

    def other(self, person_id: str, other: Credential, now_s: float) -> Shown | None:
        """The other factor of the same person, if it is fresh enough to count; it counts once."""
        shown = self._shown.pop((person_id, other), None)
        return shown if shown is not None and now_s - shown.at_s <= FACTOR_S else None
