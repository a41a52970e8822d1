"""Unlocked hours: the door is ordered unlocked while one of the site's windows holds, and locked again after it.

Wall time is looked at anew each time, so a clock that is set, a holiday or a changed roster counts within EVERY_S.
Without a trusted clock nothing unlocks, and what stands unlocked ends. A window that a lock-down or a block ended, or
that the core refused (an intermittent lock, a lock-down), is over for good: only the next window unlocks again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final, Protocol, TypeAlias

from agent.controller import BEAT_S, INTENT_WAIT_S, Intent
from agent.core.door import DoorState
from agent.core.events import DoorEvent, Json, Kind, ModeOrdered, Order, Record
from agent.core.roster import PersonKind, Roster

EVERY_S: Final = 10.0
ACTOR: Final = "schedule"
FACT: Final = "unlock_hours_over"  # windows that are over for good, kept over a restart
_SETTLED_S: Final = INTENT_WAIT_S + 2 * BEAT_S  # by then the core has answered an order
_LONGEST_S: Final = 26 * 3600  # a window of a whole day, on the day the clocks go back, and time to order the next
_REMEMBERED_S: Final = 2 * 24 * 3600  # longer than any window: older ones cannot hold again
_FORCED_S: Final = 60.0  # an opening and a duress code so close to each other are one visit
_OF_THE_HOUSE: Final = {PersonKind.RESIDENT, PersonKind.STAFF}

Stretch: TypeAlias = tuple[str, int]  # one day's window: schedule id, and when it began in UTC seconds


class Desk(Protocol):
    """What this needs of the controller."""

    @property
    def state(self) -> DoorState:
        """The door."""

    def admit(self, intent: Intent) -> None:
        """Write down, then do."""

    def step(self, event: DoorEvent, now_s: float | None = None) -> None:
        """Let the core decide."""

    def write(self, record: Record) -> None:
        """Write down."""


class Hours:
    """Used by the controller's thread only. `local` is the site's local time, None while the clock is not trusted.

    A restart forgets who came in: with first_person_in the door then waits for a person again, because nobody knows
    how long it was down and whether anybody is still there. Without first_person_in it is ordered unlocked at once.
    """

    def __init__(
        self,
        desk: Desk,
        roster: Callable[[], Roster],
        local: Callable[[], datetime | None],
        facts: Mapping[str, Any],
    ) -> None:
        self._desk, self._roster, self._local = desk, roster, local
        self._over = _from_fact(facts.get(FACT))
        self._asked: frozenset[Stretch] = frozenset()  # what the standing order was given for
        self._holding: frozenset[Stretch] = frozenset()  # as last known
        self._entry_s: float | None = None
        self._entered = ""  # who that was
        self._entry_before_s: float | None = None  # the last one before her visit
        self._forced_s: dict[str, float] = {}  # who opened under duress or tried to, and when
        self._due_s = self._settled_s = 0.0

    def wrote(self, record: Record, now_s: float) -> None:
        """Hear of every row: somebody who came in may be the first person in.

        Only residents and staff are: a courier let in from afar or a visitor must not unlock an empty house, nor
        whoever is forced to open. When she came is kept on the clock that is never set, so a wrong wall clock at that
        moment does no harm.
        """
        person_id = record.body.get("person_id")
        if not isinstance(person_id, str):
            return
        if record.kind is Kind.DURESS:
            self._forced_s[person_id] = self._due_s = now_s
            if person_id == self._entered and self._entry_s is not None and now_s - self._entry_s <= _FORCED_S:
                self._entry_s = self._entry_before_s  # her face had opened the door before the phone was out
        if record.kind is not Kind.ACCESS_TAKEN or now_s - self._forced_s.get(person_id, -inf) <= _FORCED_S:
            return
        person = self._roster().persons.get(person_id)
        if person is not None and person.kind in _OF_THE_HOUSE:
            if person_id != self._entered or self._entry_s is None or now_s - self._entry_s > _FORCED_S:
                self._entered, self._entry_before_s = person_id, self._entry_s
            self._entry_s = self._due_s = now_s

    def tend(self, now_s: float) -> None:
        """Look at the hours every EVERY_S and after somebody came in."""
        if now_s < max(self._due_s, self._settled_s):
            return
        self._due_s = now_s + EVERY_S
        local = self._local()
        if local is not None:
            self._holding = self._stretches(local, now_s)
        self._note_ended(clock_trusted=local is not None)
        wanted = self._holding - self._over if local is not None else frozenset()
        until_s = self._desk.state.unlocked_until_s
        stands = until_s is not None and now_s < until_s
        if wanted and local is not None and not (stands and wanted <= self._asked):
            self._unlock(wanted, local, now_s)
        elif stands and not wanted:
            self._desk.step(ModeOrdered(Order.LOCK, ACTOR), now_s)  # what secures is done first, then written
        if not wanted:
            self._asked = frozenset()

    def _stretches(self, local: datetime, now_s: float) -> frozenset[Stretch]:
        """The windows by which the door should stand unlocked now."""
        roster, utc = self._roster(), local.astimezone(UTC)
        entry = None if self._entry_s is None else utc - timedelta(seconds=max(0.0, now_s - self._entry_s))
        calendar = roster.calendar
        return frozenset(
            (hours.schedule, int(began.timestamp()))
            for hours in roster.unlock_hours
            if calendar.unlocked(hours, local, entry) and (began := calendar.began(hours.schedule, local))
        )

    def _note_ended(self, *, clock_trusted: bool) -> None:
        """Windows that somebody else ended are over; a row says so and keeps it over a restart."""
        state = self._desk.state
        ended: frozenset[Stretch] = frozenset()
        if state.unlocked_until_s is None:  # refused, or ended by a lock-down or a block, however short
            ended = self._asked & self._holding
        if not clock_trusted and (state.locked_down or state.blocked):
            ended = self._holding  # nothing stood any more, but the same window must not come back
        new = ended - self._over
        if not new:
            return
        newest_s = max(began_s for _, began_s in new)
        self._over = frozenset(s for s in self._over | new if s[1] > newest_s - _REMEMBERED_S)
        body: dict[str, Json] = {"order": Order.UNLOCK.value, "actor": ACTOR, "outcome": "over"}
        kept: list[Json] = [[schedule, began_s] for schedule, began_s in sorted(self._over)]
        self._desk.write(Record(Kind.COMMAND, {**body, "schedules": _names(new)}, facts={FACT: kept}))

    def _unlock(self, wanted: frozenset[Stretch], local: datetime, now_s: float) -> None:
        """What releases is written first. The order has an end of its own, should nobody take it back."""
        self._asked, self._settled_s = wanted, now_s + _SETTLED_S
        for_s = max(began_s for _, began_s in wanted) + _LONGEST_S - local.timestamp()
        order = ModeOrdered(Order.UNLOCK, ACTOR, round(for_s, 3))
        self._desk.admit(Intent(f"hours-{secrets.token_hex(8)}", order, {"schedules": _names(wanted)}))


def _names(stretches: frozenset[Stretch]) -> list[Json]:
    return [*sorted({schedule for schedule, _ in stretches})]


def _from_fact(fact: object) -> frozenset[Stretch]:
    """What the journal kept; anything of another shape is taken as absent."""
    found = fact if isinstance(fact, list) else []
    return frozenset(
        (one[0], one[1])
        for one in found
        if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], int)  # noqa: PLR2004  a pair
    )
