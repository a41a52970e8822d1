"""What the desks for faces and for passes share: the controller they admit to, and the memory of a first factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.controller import Intent
from agent.core.door import DoorState
from agent.core.events import Credential, DoorEvent, Indication, Json, Record

FACTOR_S: Final = 15.0  # face and phone in one natural movement
LATE_S: Final = 3.0  # what the camera saw longer ago opens nothing: a stalled card, a process that was stopped


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
    """A first factor of one of these people (several: a face that could be any of them).

    `said`, `facts` (what it used up) and `duress` belong to the opening that the second one brings; `counted`: a row
    says already that the second one was missing.
    """

    people: frozenset[str]
    credential: Credential
    at_s: float
    said: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    duress: bool = False
    counted: bool = False


class Factors:
    """Who has shown one of two factors a moment ago, and who was let in. Used by the controller's thread only."""

    def __init__(self) -> None:
        self._shown: list[Shown] = []
        self._let_in: dict[str, tuple[Credential, float]] = {}

    def show(self, shown: Shown) -> None:
        """Somebody has shown this; it takes the place of what the same people showed before."""
        self._shown = [one for one in self._shown if (one.people, one.credential) != (shown.people, shown.credential)]
        self._shown.append(shown)

    def other(self, person_id: str, other: Credential, now_s: float) -> Shown | None:
        """The other factor of the same person, if it is fresh enough to count; it counts once."""
        fitting = [one for one in self._shown if person_id in one.people and one.credential is other]
        self._shown = [one for one in self._shown if one not in fitting]
        newest = max(fitting, key=lambda one: one.at_s, default=None)
        return newest if newest is not None and now_s - newest.at_s <= FACTOR_S else None

    def let_in(self, person_id: str, credential: Credential, now_s: float) -> None:
        """This person is let in now: what else she showed was for this."""
        self._let_in[person_id] = credential, now_s
        self._shown = [one for one in self._shown if person_id not in one.people]

    def let_in_at(self, person_id: str) -> float | None:
        """When this person was let in last."""
        return self._let_in[person_id][1] if person_id in self._let_in else None

    def walking_in(
        self, people: Iterable[str], now_s: float, within_s: float, *, but_by: Credential | None = None
    ) -> bool:
        """One of these people was let in so short a time ago; `but_by`: openings by this credential do not count."""
        found = (self._let_in.get(person_id) for person_id in people)
        return any(one is not None and one[0] is not but_by and now_s - one[1] < within_s for one in found)

    def given_up(self, now_s: float) -> list[Shown]:
        """First factors whose second one did not come, and of which no row speaks yet; each is told once."""
        late = [one for one in self._shown if now_s - one.at_s > FACTOR_S]
        self._shown = [one for one in self._shown if one not in late]
        return [one for one in late if not one.counted]
