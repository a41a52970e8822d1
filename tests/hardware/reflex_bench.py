"""A guard's reflexes on the bench: no hardware, levels and time by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from hardware.reflex import Event, Ordered, ReflexSettings, RelayReport, Report, Sampled, State, step

DEBOUNCE_S = {"exit": 0.03, "fire": 0.03, "contact": 0.03}
STRIKE = ReflexSettings(DEBOUNCE_S, continuous_duty=False)
MAGNET = ReflexSettings(DEBOUNCE_S, continuous_duty=True)
TURN_S = 0.01


@dataclass
class Bench:
    """A guard without hardware: levels by hand, time by hand, everything reported kept with its time."""

    settings: ReflexSettings
    now_s: float = 100.0
    state: State = field(default_factory=State)
    levels: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(DEBOUNCE_S, False))
    told: list[tuple[float, Report]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.give(Sampled(self.levels))

    def give(self, event: Event) -> list[Report]:
        self.state, reports = step(self.state, event, self.now_s, self.settings)
        self.told += [(round(self.now_s, 3), report) for report in reports]
        return reports

    def run(self, for_s: float, turn_s: float = TURN_S) -> None:
        for _ in range(round(for_s / turn_s)):
            self.now_s += turn_s
            self.give(Sampled(dict(self.levels)))

    def set(self, line: str, *, active: bool) -> None:
        self.levels[line] = active
        self.run(0.05)

    def press_exit(self) -> None:
        self.set("exit", active=True)
        self.set("exit", active=False)

    def feed(self, id_: str, for_s: float, *, hold: bool = False, lease_s: float = 1.0) -> None:
        """As the agent does: a feed every 250 ms."""
        for _ in range(round(for_s / 0.25)):
            self.give(Ordered(id_, lease_s, hold))
            self.run(0.25)

    def relay(self) -> list[tuple[float, bool, str]]:
        return [(at_s - 100, r.energised, r.why) for at_s, r in self.told if isinstance(r, RelayReport)]


def close(found: Iterable[tuple[float, bool, str]], wanted: list[tuple[float, bool, str]]) -> bool:
    found = list(found)
    return [f[1:] for f in found] == [w[1:] for w in wanted] and all(
        abs(f[0] - w[0]) < 0.061 for f, w in zip(found, wanted, strict=True)
    )


def on_time_s(relay: list[tuple[float, bool, str]], end_s: float) -> float:
    edges = [*relay, (end_s, False, "end")] if relay and relay[-1][1] else relay
    return sum(fall[0] - rise[0] for rise, fall in itertools.pairwise(edges) if rise[1])
