"""The wall clock that NTP has set is believed for days without a network, and no longer."""

import time
from pathlib import Path

import pytest

from agent import clock
from agent.clock import HELD_FOR_S, HELD_PPM, SystemClock
from agent.core.journal import ClockQuality

HOUR_S, DAY_S = 3600.0, 86400.0
OK, ERROR = 0, 5  # what adjtimex answers


class Machine:
    """Its clocks, and whether the kernel calls them synchronised."""

    def __init__(self, monkeypatch, keep: Path) -> None:
        self.keep = keep
        self.utc_s, self.at_s, self.state = 1_800_000_000.0, 50.0, ERROR
        monkeypatch.setattr(clock, "_SET_FROM_RTC", keep.with_name("no-rtc"))
        monkeypatch.setattr(time, "time", lambda: self.utc_s)
        monkeypatch.setattr(time, "clock_gettime", lambda _: self.at_s)
        self.start()

    def start(self) -> None:
        """The agent starts (anew)."""
        self.clock = SystemClock(self.keep, libc=self)

    def adjtimex(self, _: object) -> int:
        return self.state

    def online(self) -> None:
        self.state = OK
        assert self.quality() is ClockQuality.NTP
        self.state = ERROR

    def pass_time(self, for_s: float, ppm: float = 0.0) -> None:
        self.at_s += for_s
        self.utc_s += for_s * (1 + ppm / 1e6)

    def quality(self) -> ClockQuality:
        return self.clock.quality()


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Machine:
    return Machine(monkeypatch, tmp_path / "clock")


def test_a_clock_that_nobody_has_set_is_not_believed(machine):
    assert machine.quality() is ClockQuality.NONE


@pytest.mark.parametrize("ppm", [0.0, HELD_PPM, -HELD_PPM])
def test_a_door_without_a_network_knows_the_time_for_a_week(machine, ppm):
    """The kernel calls it unsynchronised after 32,000 seconds."""
    machine.online()
    seen = []
    for _ in range(9):
        seen.append(machine.quality())
        machine.pass_time(DAY_S, ppm)
    assert seen == [ClockQuality.NTP] * 8 + [ClockQuality.NONE]
    machine.online()


@pytest.mark.parametrize("by_s", [-60.0, 60.0, 365 * DAY_S])
def test_a_clock_set_by_hand_is_not_the_one_that_was_held(machine, by_s):
    machine.online()
    machine.pass_time(HOUR_S)
    machine.utc_s += by_s
    assert machine.quality() is ClockQuality.NONE
    machine.utc_s -= by_s
    assert machine.quality() is ClockQuality.NTP


def test_an_agent_that_starts_anew_in_the_same_boot_knows_the_time_too(machine):
    machine.online()
    machine.pass_time(2 * DAY_S)
    machine.start()
    assert machine.quality() is ClockQuality.NTP
    machine.pass_time(HELD_FOR_S - 2 * DAY_S + 1)
    machine.start()  # starting again and again does not make it longer
    assert machine.quality() is ClockQuality.NONE


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["x", null]', "[NaN, 1]"])
def test_a_file_that_says_nothing_is_as_good_as_none(machine, text):
    machine.keep.write_text(text)
    machine.start()
    assert machine.quality() is ClockQuality.NONE
