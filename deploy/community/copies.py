"""Two devices under one name, noticed while both are there: a copied card, or one that was replaced and still runs.

Each start of an agent has a random name of its own (`run` in its hello). One device's starts follow each other and an
ended one never speaks again. Two devices throw each other off the broker, which keeps one session for a name, and say
hello in turns. Histories that part are `fork` and `restored` (ingest.py), which also tell of a copy used later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from deploy.community.ingest import Alarm

# a hello that was on its way while its agent was started anew comes late, but not so late
LATE_S: Final = 5.0
_KEPT: Final = 8  # starts remembered for a door


@dataclass
class _Runs:
    first_s: dict[str, float] = field(default_factory=dict)  # in the order in which they were first heard
    told: set[str] = field(default_factory=set)


class Copies:
    """What was heard of every door's starts; in memory: two that go on are noticed again after the server's restart."""

    def __init__(self) -> None:
        self._doors: dict[str, _Runs] = {}

    def late(self, device: str, run: str, now_s: float) -> bool:
        """Whether this start was followed by another one a moment ago: its hello was still on its way."""
        runs = self._doors.get(device)
        if runs is None or run not in runs.first_s:
            return False
        newest_s = max(runs.first_s.values())
        return runs.first_s[run] < newest_s and now_s - newest_s <= LATE_S

    def heard(self, device: str, run: str, now_s: float) -> Alarm | None:
        """A hello of this start of the door's agent; an alarm, once for each start, if a later one was there already.

        `run` is empty for a release from before it was said. `now_s` is monotonic.
        """
        if not run:
            return None
        runs = self._doors.setdefault(device, _Runs())
        runs.first_s.setdefault(run, now_s)
        for old in list(runs.first_s)[:-_KEPT]:
            del runs.first_s[old]
            runs.told.discard(old)
        newest_s = max(runs.first_s.values())
        if runs.first_s[run] == newest_s or now_s - newest_s <= LATE_S or run in runs.told:
            return None
        runs.told.add(run)
        return Alarm("cloned", "two devices speak under this door's name: its card was copied or an old one still runs")
