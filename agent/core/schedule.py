"""Weekly hours: is somebody allowed now, is the door unlocked now.

Told the site's local time (an aware datetime), never asks for it. Hours are wall-clock hours: when the clocks go
forward the skipped part of a window does not happen, when they go back the repeated part happens twice. A window
belongs to the day on which it starts; on a holiday only windows of the day "holiday" start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from agent.core.bounded import BadValueError, flag, integer, part, rows, text, word

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY: Final = "holiday"
ALWAYS: Final = "always"  # the schedule that needs no clock; every roster has it without listing it
_DAY_MIN: Final = 24 * 60
_MAX_WINDOWS: Final = 64
_MAX_HOLIDAYS: Final = 400


def _iso_date(value: object) -> str:
    """A day written as 2026-10-01."""
    found = text(10)(value)
    try:
        return date.fromisoformat(found).isoformat()
    except ValueError as error:
        raise BadValueError("must be a date like 2026-10-01") from error


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_min` to before `end_min`, minutes after midnight; an end at or before the start is tomorrow's."""

    days: Annotated[tuple[str, ...], rows(word(*DAYS, HOLIDAY), 8)]
    start_min: Annotated[int, integer(0, _DAY_MIN - 1)]
    end_min: Annotated[int, integer(0, _DAY_MIN)]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The union of its windows."""

    id: Annotated[str, text(64)]
    windows: Annotated[tuple[Window, ...], rows(part(Window), _MAX_WINDOWS)]


@dataclass(frozen=True, slots=True)
class UnlockHours:
    """Hours in which the door stands unlocked; with `first_person_in`, from the first one let in during them."""

    schedule: Annotated[str, text(64)]
    first_person_in: Annotated[bool, flag]


schedules = rows(part(Schedule), 200)
holidays = rows(_iso_date, _MAX_HOLIDAYS)
unlock_hours = rows(part(UnlockHours), 16)


@dataclass(frozen=True, slots=True)
class Calendar:
    """All schedules of a site by id, and its holidays as ISO dates."""

    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    holidays: frozenset[str] = frozenset()

    def allows(self, schedule_id: str, local: datetime | None) -> bool:
        """Whether the schedule holds. `local` None is an untrusted clock: then only ALWAYS does."""
        if schedule_id == ALWAYS:
            return True
        return local is not None and self.began(schedule_id, local) is not None

    def began(self, schedule_id: str, local: datetime) -> datetime | None:
        """When the window that holds at `local` began (UTC); None when none holds. The earliest, if several do.

        Raises:
            ValueError: `local` has no time zone.
        """
        if local.tzinfo is None:
            raise ValueError("local time without a time zone: hand in an aware datetime")
        schedule = self.schedules.get(schedule_id)
        if schedule is None:
            return None
        return min((_first_moment(start) for start in self._holding(schedule, local)), default=None)

    def unlocked(self, hours: UnlockHours, local: datetime | None, last_entry: datetime | None) -> bool:
        """Whether the door should stand unlocked by these hours. Without a trusted clock it should not.

        `last_entry` is when somebody last came in (aware), None if not known.
        """
        if local is None or hours.schedule == ALWAYS:
            return False  # an always unlocked door is a manager's order, never a schedule's slip
        began = self.began(hours.schedule, local)
        if began is None:
            return False
        return not hours.first_person_in or (last_entry is not None and began <= last_entry <= local)

    def _holding(self, schedule: Schedule, local: datetime) -> Iterator[datetime]:
        """The starts of the windows that hold at `local`: of today's and of yesterday's over midnight."""
        now_min = local.hour * 60 + local.minute
        for day, now_of_day_min in ((local.date(), now_min), (local.date() - timedelta(days=1), now_min + _DAY_MIN)):
            name = HOLIDAY if day.isoformat() in self.holidays else DAYS[day.weekday()]
            for window in schedule.windows:
                end_min = window.end_min + (_DAY_MIN if window.end_min <= window.start_min else 0)
                if name in window.days and window.start_min <= now_of_day_min < end_min:
                    yield datetime.combine(day, time(*divmod(window.start_min, 60)), local.tzinfo)


def _first_moment(wall: datetime) -> datetime:
    """When (UTC) the clock on the wall first shows this time or a later one: a skipped time is over at once."""
    moment = wall.astimezone(UTC)
    if moment.astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    earlier = wall.replace(fold=1).astimezone(UTC)  # a skipped time by the offset of after the change: still before it
    minutes = (moment - earlier) // timedelta(minutes=1)
    shows = (earlier + timedelta(minutes=past) for past in range(minutes + 1))
    naive = wall.replace(tzinfo=None)
    return next((m for m in shows if m.astimezone(wall.tzinfo).replace(tzinfo=None) >= naive), moment)
