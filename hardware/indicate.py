"""What LED and buzzer do for each indication: tables of steps, repeated or played once. Pure.

The guard takes plain words and shows nothing for a word it does not know. Green is also lit whenever the relay is
energised, so that a person at the door sees a release that nobody announced (exit, fire).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

RED, GREEN, BUZZER = "led_red", "led_green", "buzzer"
Step: TypeAlias = tuple[frozenset[str], float]  # the lamps that are on, for how many seconds


@dataclass(frozen=True, slots=True)
class Pattern:
    """Steps one after another; `repeat` begins anew, else it ends dark."""

    steps: tuple[Step, ...]
    repeat: bool = True


def _steps(*steps: tuple[str, float]) -> tuple[Step, ...]:
    return tuple((frozenset(lamps.split()), for_s) for lamps, for_s in steps)


def _blinks(count: int) -> Pattern:
    """Do something: as many short blinks of both lamps as tell the hints apart, then a pause."""
    return Pattern(_steps(*[(f"{RED} {GREEN}", 0.15), ("", 0.15)] * count, ("", 0.6)))


PATTERNS = {
    "welcome": Pattern(_steps((f"{GREEN} {BUZZER}", 0.12), (GREEN, 2.9)), repeat=False),
    "refused": Pattern(
        _steps((f"{RED} {BUZZER}", 0.1), (RED, 0.1), (f"{RED} {BUZZER}", 0.1), (RED, 1.7)), repeat=False
    ),
    "come-closer": _blinks(1),
    "uncover-face": _blinks(2),
    "more-light": _blinks(3),
    "turn-from-light": _blinks(3),  # about the light too; the page says which
    "look-here": _blinks(4),
    "show-again": _blinks(5),
    "look-again": _blinks(5),
    "show-phone": Pattern(_steps((GREEN, 0.3), (RED, 0.3))),
    "locked-out": Pattern(_steps((RED, 1.0))),
    "close-the-door": Pattern(_steps((f"{RED} {BUZZER}", 0.1), (RED, 0.9))),
    "alarm": Pattern(_steps((f"{RED} {BUZZER}", 0.25), ("", 0.25))),
    "identify": Pattern(_steps((f"{RED} {BUZZER}", 0.2), (GREEN, 0.2)) * 10, repeat=False),
    "idle": Pattern(()),
    # Not a word of the agent: shown while no agent is connected, so that a dead one can be seen from the corridor.
    "no-agent": Pattern(_steps((RED, 0.05), ("", 2.95))),
}


def lamps(indication: str, elapsed_s: float) -> frozenset[str]:
    """Which of led_red, led_green and buzzer are on, `elapsed_s` after the indication began."""
    pattern = PATTERNS.get(indication, PATTERNS["idle"])
    total_s = sum(for_s for _, for_s in pattern.steps)
    if not total_s or (elapsed_s >= total_s and not pattern.repeat):
        return frozenset()
    at_s = elapsed_s % total_s
    for on, for_s in pattern.steps:
        if at_s < for_s:
            return on
        at_s -= for_s
    return frozenset()
