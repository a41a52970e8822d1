"""The four ends of an attacked door, in the attacker's hands: clock, guard, vision and broker."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.core.events import RelayReported
from agent.core.journal import ClockQuality

TRUE_UTC_S = 1_796_000_000.0  # late in 2026, when the campaign's doors begin


class AttackerClock:
    """Both clocks as the attacker likes them. Implements agent.clock.Clock."""

    def __init__(self) -> None:
        self.boottime_s, self.true_utc_s, self.wrong_by_s = 100.0, TRUE_UTC_S, 0.0
        self.said = ClockQuality.NTP
        self.boot = "boot-1"

    def now_s(self) -> float:
        return self.boottime_s

    def utc_ms(self) -> int:
        return int((self.true_utc_s + self.wrong_by_s) * 1000)

    def quality(self) -> ClockQuality:
        return self.said

    def boot_id(self) -> str:
        return self.boot

    def advance(self, by_s: float) -> None:
        self.boottime_s += by_s
        self.true_utc_s += by_s

    def set_to(self, utc_s: float | None, said: ClockQuality) -> None:
        """Wall time from now on; None is the true time."""
        self.wrong_by_s = 0.0 if utc_s is None else utc_s - self.true_utc_s
        self.said = said


class Guard:
    """The lines: obeys, says so, and counts."""

    def __init__(self, path: Path, post: Any) -> None:
        self._post, self.energised, self.releases = post, False, 0
        self.clock: AttackerClock

    def release(self, until_s: float, *, hold: bool, echo: bool, request_id: str) -> None:
        self.releases += 1
        self._move(energised=True)

    def secure(self) -> None:
        self._move(energised=False)

    def _move(self, *, energised: bool) -> None:
        if energised is not self.energised:
            self.energised = energised
            self._post(RelayReported(energised, "order", self.clock.now_s()))

    def indicate(self, indication: str) -> None: ...
    def beat(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Vision:
    def __init__(self, *_: Any) -> None: ...
    def send(self, _: Any) -> bool:
        return False

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Link:
    """The broker: keeps what the door answered last."""

    def __init__(self, *_: Any) -> None:
        self.replies: list[dict[str, Any]] = []

    def reply(self, _: bytes | None, reply: Mapping[str, Any]) -> None:
        self.replies.append(dict(reply))

    def set_state(self, _: Mapping[str, Any]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Nowhere(io.TextIOBase):
    """Where the door's lines for the system's log go."""

    def write(self, text: str) -> int:
        return len(text)
