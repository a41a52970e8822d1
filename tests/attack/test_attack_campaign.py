"""`make attack` at a small size, and the weaknesses that it found, each pinned alone."""

from pathlib import Path

import pytest

from agent.core.journal import ClockQuality
from tests.attack import campaign
from tests.attack.attacked_door import Door
from tests.attack.forged_codes import BAD_CODES, CodeForger


@pytest.fixture
def door(tmp_path: Path):
    door = Door(tmp_path / "door")
    yield door
    door.stop()


@pytest.mark.slow
def test_no_attack_opens_each_has_its_reason_and_good_orders_and_codes_in_between_do_open():
    report = campaign.besiege(3, 600, per_round=60)
    assert report["attempts"] >= 600
    assert (report["openings"], report["opened_by"], report["controls_refused"]) == (0, {}, {})
    assert report["controls"] > 20
    assert sum(report["by_reason"].values()) == report["attempts"]
    reasons = {reason.split(": ")[1] for reason in report["by_reason"]}
    assert {"Replayed", "Expired", "NotYetValid", "BadSignature", "WrongDoor", "Malformed", "UnknownKey"} <= reasons
    assert {"repeated", "stale-challenge", "counter-not-above", "retained", "bad-signature", "malformed"} <= reasons
    assert "no answer" not in reasons


def test_a_door_that_lost_the_time_counts_on_from_when_it_knew_it(door: Door):
    """A film of a code must not outlive the network's time server."""
    codes = CodeForger(door)
    door.wait(10.0)
    codes.film()
    door.clock.set_to(0.0, ClockQuality.NONE)
    door.wait(300.0)
    assert door.code(codes.filmed[0][0]) == "Expired"
    assert door.code(codes.good()) == ""


def test_a_door_that_loses_the_time_has_lost_none_of_it_up_to_then(door: Door):
    """The floor stood up to ten seconds behind: a film could be that much older."""
    codes = CodeForger(door)
    door.wait(10.0)
    codes.film()
    door.wait(37.0)
    door.clock.set_to(0.0, ClockQuality.NONE)
    assert door.code(codes.filmed[0][0]) == "Expired"


def test_a_battery_clock_behind_a_time_that_has_passed_is_not_believed(door: Door):
    codes = CodeForger(door)
    door.wait(10.0)
    codes.film()
    filmed_at_s = door.clock.true_utc_s
    door.wait(300.0)
    assert door.command(b"a row, so that the journal knows the time") == "malformed"
    door.clock.set_to(filmed_at_s, ClockQuality.RTC)
    assert door.code(codes.filmed[0][0]) == "Expired"


def test_no_bad_code_opens_or_stops_the_next_good_one(door: Door):
    """SQL, NUL, 4 KB, broken UTF-8, nested JSON, zip headers, shell and paths, as a picture may hold them."""
    for bad in BAD_CODES:
        assert door.code(bad) in ("Malformed", "UnknownKey")
    assert door.code(CodeForger(door).good()) == "Replayed"  # within the second of the start
    door.wait(6.0)
    assert door.code(CodeForger(door).good()) == ""
