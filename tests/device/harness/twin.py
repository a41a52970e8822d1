"""The door as a calculation: reflexes and core coupled as their processes are, fed the same acts.

Everything is pure code of the product, so what differs from the real door is the fault of threads, sockets, units,
drivers or timing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.core import door
from agent.core.events import (
    AccessAllowed,
    Credential,
    DoorEvent,
    GuardChanged,
    Indicate,
    Input,
    LineChanged,
    Record,
    RelayReported,
    Release,
    Secure,
    Tick,
)
from agent.guard_link import FEED_EVERY_S, LEASE_S
from hardware import reflex

BEAT_S = 0.01
DEBOUNCE_S = 0.03
RELAYED = ("contact", "exit", "fire", "tamper")


@dataclass(frozen=True)
class Act:
    """At `at_s` a line became active or not, or a request was allowed (`line` is its id)."""

    at_s: float
    line: str
    active: bool = True


@dataclass
class Twin:
    """Run `play` once."""

    settings: door.DoorSettings
    began_s: float
    relay: list[tuple[float, bool]] = field(default_factory=list)
    records: list[tuple[float, Record]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limits = reflex.ReflexSettings(
            dict.fromkeys(RELAYED, DEBOUNCE_S), continuous_duty=True, release_time_s=self.settings.release_time_s
        )
        self.guard, self.state = reflex.State(), door.initial(self.settings, None, self.began_s)
        self.levels = dict.fromkeys(RELAYED, False)
        self.order: Release | None = None
        self.order_id, self.number, self.fed_s = "", 0, 0.0

    def play(self, acts: list[Act], until_s: float) -> None:
        """Beat through time from the beginning to `until_s`."""
        now_s, waiting = self.began_s, sorted(acts, key=lambda act: act.at_s)
        self.reflex(reflex.Sampled(dict(self.levels)), now_s)
        for name in RELAYED:
            self.core(LineChanged(Input(name), active=False, at_s=now_s), now_s)
        self.core(RelayReported(energised=False, why="start", at_s=now_s), now_s)
        self.core(GuardChanged(up=True), now_s)
        while now_s < until_s:
            now_s += BEAT_S
            while waiting and waiting[0].at_s <= now_s:
                act = waiting.pop(0)
                if act.line in self.levels:
                    self.levels[act.line] = act.active
                else:
                    self.core(AccessAllowed(act.line, Credential.REMOTE), now_s)
            self.reflex(reflex.Sampled(dict(self.levels)), now_s)
            due_s = door.next_deadline_s(self.state, self.settings)
            if due_s is not None and due_s <= now_s:
                self.core(Tick(), now_s)
            if self.order and now_s - self.fed_s >= FEED_EVERY_S:
                self.feed(now_s)

    def reflex(self, event: reflex.Event, now_s: float) -> None:
        """One step of the guard; what it reports goes to the core."""
        self.guard, reports = reflex.step(self.guard, event, now_s, self.limits)
        for report in reports:
            match report:
                case reflex.RelayReport(energised, why):
                    self.relay.append((now_s, energised))
                    self.core(RelayReported(energised, why, now_s), now_s)
                case reflex.InputReport(line, active):
                    self.core(LineChanged(Input(line), active, now_s), now_s)

    def core(self, event: DoorEvent, now_s: float) -> None:
        """One step of the agent; what it orders goes to the guard."""
        self.state, effects = door.step(self.state, event, now_s, self.settings)
        for effect in effects:
            match effect:
                case Release():
                    request = self.state.grants[-1].request_id if self.state.grants else "standing"
                    goes_on = self.order is not None and self.order_id.startswith(request + "/")
                    if not (goes_on and self.order and now_s < self.order.until_s):
                        self.number += 1
                        self.order_id = f"{request}/{self.number}"
                    self.order = effect
                    self.feed(now_s)
                case Secure():
                    self.order = None
                    self.reflex(reflex.SecureOrdered(), now_s)
                case Record():
                    self.records.append((now_s, effect))
                case Indicate():
                    pass

    def feed(self, now_s: float) -> None:
        """One lease of the release that stands."""
        self.fed_s = now_s
        if self.order and now_s < self.order.until_s:
            ordered = reflex.Ordered(self.order_id, LEASE_S, self.order.hold, self.order.until_s)
            self.reflex(ordered, now_s)


def shown(record: Record) -> dict[str, Any]:
    """What is compared of a row: never its times."""
    body = {k: v for k, v in record.body.items() if k in {"state", "why", "cause", "reason", "faults"}}
    return {"kind": str(record.kind), **body}
