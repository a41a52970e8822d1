"""Each word of the agent has a pattern, and every pattern is bounded and known."""

from __future__ import annotations

import pytest

from agent.core.events import Indication
from hardware.indicate import BUZZER, GREEN, PATTERNS, RED, lamps


@pytest.mark.parametrize("indication", list(Indication))
def test_every_word_of_the_agent_is_shown(indication):
    assert indication.value in PATTERNS
    lit = {name for tick in range(500) for name in lamps(indication.value, tick / 100)}
    assert lit <= {RED, GREEN, BUZZER}
    assert (lit == set()) is (indication is Indication.IDLE)


def test_the_guard_knows_no_word_that_the_agent_has_not():
    assert set(PATTERNS) - {word.value for word in Indication} == {"no-agent"}


def test_a_pattern_played_once_ends_dark_and_a_repeated_one_goes_on():
    assert lamps("welcome", 0.05) == {GREEN, BUZZER}
    assert lamps("welcome", 1.0) == {GREEN}
    assert lamps("welcome", 60.0) == frozenset()
    assert lamps("alarm", 0.1) == lamps("alarm", 1000.1) == {RED, BUZZER}


def test_an_unknown_word_and_time_running_backwards_show_nothing_wild():
    assert lamps("nonsense", 1.0) == frozenset()
    assert lamps("alarm", 0.0) == {RED, BUZZER}
