"""What a door's lines look like to the guard, whichever back-end drives them. Held by tests/contracts.

"On" and "active" have polarity applied already: the relay is on when it is energised, an input is active when the word
in its name is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Pull = Literal["up", "down", "none"]


@dataclass(frozen=True, slots=True)
class OutputPin:
    """An output: BCM number and the level that switches it on."""

    pin: int
    active_high: bool = True


@dataclass(frozen=True, slots=True)
class InputPin:
    """An input: BCM number, the level that makes it active, the Pi's own resistor, and how long a level must last."""

    pin: int
    active_low: bool = True
    pull: Pull = "up"
    debounce_ms: int = 30


class OutputLine(Protocol):
    """One output, claimed off and without an edge. Whoever switches it on bounds it (guard.py, reflex.py)."""

    def drive(self, *, on: bool) -> None:
        """Set the line. Raises LineError when the chip refuses."""

    def reads_on(self) -> bool:
        """What the pin really shows, which a short circuit can make differ from what is driven."""

    def close(self) -> None:
        """Switch off, then give the line back, in this order. Twice is harmless."""


class InputLine(Protocol):
    """One input, not debounced."""

    def is_active(self) -> bool:
        """Whether the named thing is so now. Raises LineError when the chip refuses."""

    def close(self) -> None:
        """Give the line back. Twice is harmless."""


class Board(Protocol):
    """A GPIO chip. One process owns it; all its lines are used from one thread."""

    def output(self, name: str, pin: OutputPin) -> OutputLine:
        """Claim an output, off from its first moment. Raises LineError naming who has it."""

    def input(self, name: str, pin: InputPin) -> InputLine:
        """Claim an input. Raises LineError naming who has it."""

    def close(self) -> None:
        """Close every line that is still open (outputs off first), then the chip."""
