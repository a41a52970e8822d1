"""What the desks for faces and for passes share: the controller they admit to, and the memory of a first factor."""

from __future__ import annotations

from typing import Final, Protocol

from agent.controller import Intent
from agent.core.door import DoorState
from agent.core.events import Credential, DoorEvent, Indication

FACTOR_S: Final = 15.0  # face and phone in one natural movement


class Desk(Protocol):
    """What this needs of the controller."""

    @property
    def state(self) -> DoorState:
        """The door."""

    def admit(self, intent: Intent) -> None:
        """Write down, then do."""

    def step(self, event: DoorEvent, now_s: float | None = None) -> None:
        """Let the core decide."""

    def hint(self, indication: Indication) -> None:
        """Show at the door."""


class Factors:
    """Who has shown one of two factors a moment ago."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, Credential], float] = {}

    def show(self, person_id: str, credential: Credential, now_s: float) -> None:
        """This person has shown this."""
        self._shown[person_id, credential] = now_s

    def both(self, person_id: str, other: Credential, now_s: float) -> bool:
        """Whether the other factor of the same person is fresh enough to count; it counts once."""
        at_s = self._shown.pop((person_id, other), None)
        return at_s is not None and now_s - at_s <= FACTOR_S
