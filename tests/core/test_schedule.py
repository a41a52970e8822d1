"""Weekly hours on the wall clock: over midnight, holidays, clocks that go forward and back, first person in."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.schedule import ALWAYS, DAYS, HOLIDAY, Calendar, Schedule, UnlockHours, Window

XIAMEN = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Schedule("office", (Window(DAYS[:5], 8 * 60, 18 * 60),))
NIGHT = Schedule("night", (Window(("fri",), 22 * 60, 6 * 60),))
FESTIVE = Schedule("festive", (Window((HOLIDAY,), 10 * 60, 12 * 60),))
SMALL_HOURS = Schedule("small-hours", (Window(("sun",), 90, 150),))  # 01:30 to 02:30
WHOLE_DAY = Schedule("whole-day", (Window(("wed",), 0, 24 * 60),))
EMPTY = Schedule("empty", ())
ALL = {s.id: s for s in (OFFICE, NIGHT, FESTIVE, SMALL_HOURS, WHOLE_DAY, EMPTY)}
CALENDAR = Calendar(ALL, frozenset({"2026-10-01"}))


def at(text: str, zone: ZoneInfo = XIAMEN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    ("schedule", "local", "allowed"),
    [
        ("office", "2026-11-23 07:59:59", False),
        ("office", "2026-11-23 08:00", True),
        ("office", "2026-11-23 17:59:59", True),
        ("office", "2026-11-23 18:00", False),
        ("office", "2026-11-22 12:00", False),  # a Sunday
        ("night", "2026-11-27 21:59", False),
        ("night", "2026-11-27 22:00", True),
        ("night", "2026-11-28 05:59", True),  # Saturday, still Friday's window
        ("night", "2026-11-28 06:00", False),
        ("night", "2026-11-28 23:00", False),
        ("whole-day", "2026-11-25 00:00", True),
        ("whole-day", "2026-11-25 23:59:59", True),
        ("whole-day", "2026-11-26 00:00", False),
        ("empty", "2026-11-25 12:00", False),
        ("unknown", "2026-11-25 12:00", False),
    ],
)
def test_a_window_holds_from_its_start_to_before_its_end(*, schedule: str, local: str, allowed: bool):
    assert CALENDAR.allows(schedule, at(local)) is allowed


def test_on_a_holiday_only_holiday_windows_start():
    """2026-10-01 is a Thursday."""
    assert not CALENDAR.allows("office", at("2026-10-01 10:30"))
    assert CALENDAR.allows("festive", at("2026-10-01 10:30"))
    assert not CALENDAR.allows("festive", at("2026-10-02 10:30"))


def test_a_window_that_began_the_evening_before_a_holiday_runs_to_its_end():
    calendar = Calendar(ALL, frozenset({"2026-11-28"}))
    assert calendar.allows("night", at("2026-11-28 03:00"))
    calendar = Calendar(ALL, frozenset({"2026-11-27"}))
    assert not calendar.allows("night", at("2026-11-28 03:00"))


def test_an_untrusted_clock_allows_only_always():
    assert CALENDAR.allows(ALWAYS, None)
    assert not any(CALENDAR.allows(schedule, None) for schedule in ALL)


@pytest.mark.parametrize("zone", [BERLIN, ZoneInfo("Australia/Lord_Howe")])  # an hour, half an hour
def test_a_window_that_begins_in_the_skipped_time_begins_when_it_is_over(zone: ZoneInfo):
    """Whoever comes in in the first minutes of it is its first person in."""
    day, skipped = ("2026-03-29", 140) if zone is BERLIN else ("2026-10-04", 135)
    calendar = Calendar({"early": Schedule("early", (Window(("sun",), skipped, 300),))})
    over = at(f"{day} 03:00" if zone is BERLIN else f"{day} 02:30", zone)
    before = (over.astimezone(UTC) - timedelta(seconds=1)).astimezone(zone)
    assert calendar.began("early", before) is None
    for minutes in (0, 1, 15, 90):
        now = (over.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(zone)
        assert calendar.began("early", now) == over.astimezone(UTC)
        hours = UnlockHours("early", first_person_in=True)
        assert calendar.unlocked(hours, now, over.astimezone(UTC))


def test_when_the_clocks_go_forward_the_skipped_part_does_not_happen():
    """In Berlin 02:00 becomes 03:00 on 2026-03-29: of 01:30 to 02:30 only half an hour is left."""
    first = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    minutes = [(first + timedelta(minutes=m)).astimezone(BERLIN) for m in range(240)]
    assert sum(CALENDAR.allows("small-hours", local) for local in minutes) == 30


def test_when_the_clocks_go_back_the_repeated_part_happens_twice():
    """In Berlin 03:00 becomes 02:00 on 2026-10-25: 02:00 to 02:30 comes twice."""
    first = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    minutes = [(first + timedelta(minutes=m)).astimezone(BERLIN) for m in range(240)]
    assert sum(CALENDAR.allows("small-hours", local) for local in minutes) == 90


@given(
    start_min=st.integers(0, 1439),
    end_min=st.integers(0, 1440),
    day=st.sampled_from(DAYS),
    minute=st.integers(0, 7 * 1440 - 1),
)
def test_a_week_has_exactly_the_minutes_of_the_window(start_min: int, end_min: int, day: str, minute: int):
    """Against a count in plain minutes of the week, where no clock changes."""
    calendar = Calendar({"s": Schedule("s", (Window((day,), start_min, end_min),))})
    local = at("2026-11-23 00:00") + timedelta(minutes=minute)  # a Monday
    length_min = (end_min - start_min) if end_min > start_min else (end_min - start_min + 1440)
    since_start_min = (minute - DAYS.index(day) * 1440 - start_min) % (7 * 1440)
    assert calendar.allows("s", local) is (since_start_min < length_min)


def test_the_door_is_unlocked_in_its_hours_only_by_a_trusted_clock():
    hours = UnlockHours("office", first_person_in=False)
    assert CALENDAR.unlocked(hours, at("2026-11-23 09:00"), None)
    assert not CALENDAR.unlocked(hours, at("2026-11-23 19:00"), None)
    assert not CALENDAR.unlocked(hours, None, None)
    assert not CALENDAR.unlocked(UnlockHours(ALWAYS, first_person_in=False), at("2026-11-23 09:00"), None)


@pytest.mark.parametrize(
    ("last_entry", "unlocked"),
    [
        (None, False),
        ("2026-11-23 07:30", False),  # before the hours
        ("2026-11-20 17:00", False),  # in Friday's hours
        ("2026-11-23 08:00", True),
        ("2026-11-23 08:59", True),
        ("2026-11-23 09:30", False),  # a clock that was set back since
    ],
)
def test_first_person_in_waits_for_somebody_within_the_same_hours(*, last_entry: str | None, unlocked: bool):
    hours = UnlockHours("office", first_person_in=True)
    entry = None if last_entry is None else at(last_entry)
    assert CALENDAR.unlocked(hours, at("2026-11-23 09:00"), entry) is unlocked


def test_first_person_in_counts_over_midnight():
    hours = UnlockHours("night", first_person_in=True)
    assert CALENDAR.unlocked(hours, at("2026-11-28 01:00"), at("2026-11-27 22:10"))


def test_overlapping_windows_began_with_the_earliest():
    calendar = Calendar({"s": Schedule("s", (Window(("mon",), 600, 720), Window(("mon",), 540, 660)))})
    assert calendar.began("s", at("2026-11-23 10:30")) == at("2026-11-23 09:00")


def test_a_local_time_without_a_zone_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="aware datetime"):
        CALENDAR.allows("office", datetime(2026, 11, 23, 9, 0))  # noqa: DTZ001  that is the mistake
