"""Who stays and who came again: seconds of the camera, no pictures."""

from __future__ import annotations

import pytest

from agent.vision.presence import AWAY_S, Presence


def looks(presence: Presence, from_s: float, to_s: float, *people: str) -> None:
    for tenth in range(round(from_s * 10), round(to_s * 10)):
        presence.watched(people, tenth / 10)


def test_somebody_who_stays_has_been_there_since_the_first_look() -> None:
    presence = Presence()
    assert presence.recognised("li", 10.0, 10.5) == 10.0
    looks(presence, 10.5, 300.0, "li")
    assert presence.recognised("li", 10.0, 300.0) == 10.0


def test_a_head_turned_away_is_no_absence_and_two_seconds_out_of_view_are() -> None:
    presence = Presence()
    presence.recognised("li", 10.0, 10.5)
    looks(presence, 10.5, 20.0, "li")
    looks(presence, 20.0, 21.0)
    assert presence.recognised("li", 21.0, 24.0) == 10.0  # found again at once, however long it took to know her
    looks(presence, 24.0, 25.0, "li")
    looks(presence, 25.0, 24.9 + AWAY_S + 0.2)
    assert presence.recognised("li", 25.0 + AWAY_S + 0.1, 28.0) == 25.0 + AWAY_S + 0.1


def test_time_in_which_the_camera_saw_nothing_is_no_absence() -> None:
    presence = Presence()
    presence.recognised("li", 10.0, 10.5)
    looks(presence, 10.5, 20.0, "li")
    looks(presence, 80.0, 80.5)  # a minute of darkness, and she stands there still
    assert presence.recognised("li", 80.0, 80.5) == 10.0


@pytest.mark.parametrize("every_s", [1.1, 2.5])
def test_somebody_who_leaves_before_a_slow_camera_is_gone_as_well(every_s: float) -> None:
    """At a picture a second each was taken for a pause, and she was never let in by her face again."""
    presence, now_s = Presence(), 10.0
    presence.recognised("li", now_s, now_s)
    for people in (["li"] * 5, [""] * 4):
        for person in people:
            now_s += every_s
            presence.watched([person], now_s)
    assert presence.recognised("li", now_s, now_s + every_s) == now_s


def test_people_do_not_count_for_each_other() -> None:
    presence = Presence()
    presence.recognised("li", 10.0, 10.5)
    looks(presence, 10.5, 60.0, "wang", "li")
    assert presence.recognised("wang", 59.0, 60.0) == 59.0
