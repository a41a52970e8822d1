"""Doors that go round in circles: the same missing row is asked for again and again and does not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.core.acknowledgement import Ack
from deploy.community.ingest import Alarm

LONG_S: Final = 60.0  # a door mends a gap within seconds


@dataclass(slots=True)
class _Gap:
    epoch: str
    next: int
    since_s: float
    told: bool = False


class Gaps:
    """In memory, one for each door at most: after the server's restart it is noticed again."""

    def __init__(self) -> None:
        self._gaps: dict[str, _Gap] = {}

    def asked(self, device: str, ack: Ack, now_s: float) -> Alarm | None:
        """Rows of a door were answered so; an alarm, once, where it has been the same gap for LONG_S (monotonic)."""
        if ack.gap is None:
            self._gaps.pop(device, None)
            return None
        gap = self._gaps.get(device)
        if gap is None or (gap.epoch, gap.next) != (ack.epoch, ack.next):
            gap = self._gaps[device] = _Gap(ack.epoch, ack.next, now_s)
        if gap.told or now_s - gap.since_s < LONG_S:
            return None
        gap.told = True
        return Alarm("gap", f"row {gap.next} does not come, though later ones do; asked for it for {LONG_S:.0f} s")
