"""Seen before: a count of visits from vectors that expire; nobody is told apart by name, nothing outlives its time."""

import numpy as np
import pytest

from agent.vision.strangers import Strangers

HOUR = 3600.0


def face(seed: int, noise: float = 0.0) -> np.ndarray:
    base = np.random.default_rng(seed).normal(size=256)
    vector = base / np.linalg.norm(base) + noise * np.random.default_rng(seed + 999).normal(size=256) / 16
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def strangers() -> Strangers:
    return Strangers(0.5)


def test_a_visit_counts_once_and_another_person_begins_at_none(strangers: Strangers):
    assert [strangers.visits_before(face(1, n / 10), at_s, HOUR) for n, at_s in enumerate((0, 5, 30, 89))] == [0] * 4
    assert strangers.visits_before(face(2), 100, HOUR) == 0
    assert strangers.visits_before(face(1, 0.2), 200, HOUR) == 1
    assert strangers.visits_before(face(1), 900, HOUR) == 2
    assert len(strangers) == 2


def test_nobody_is_remembered_past_the_time_and_the_vector_is_overwritten(strangers: Strangers):
    strangers.visits_before(face(1), 0, HOUR)
    held = strangers._known[0].vector
    assert held.any()
    strangers.forget(HOUR + 1, HOUR)
    assert not held.any()
    assert len(strangers) == 0
    assert strangers.visits_before(face(1), HOUR + 2, HOUR) == 0


def test_somebody_who_keeps_coming_is_forgotten_an_hour_after_the_first_visit_and_counted_anew(strangers: Strangers):
    """The residents' page says "one hour at most"; each visit used to begin it again."""
    counts = []
    for visit in range(10):
        counts.append(strangers.visits_before(face(1, 0.1), visit * 20 * 60.0, HOUR))
        first = strangers._known[0].vector
    assert counts == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert len(strangers) == 1
    strangers.forget(8 * 20 * 60.0 + HOUR + 1, HOUR)
    assert not first.any()


def test_switched_off_it_remembers_nobody_and_forgets_those_it_knew(strangers: Strangers):
    strangers.visits_before(face(1), 0, HOUR)
    assert strangers.visits_before(face(2), 1, 0) == 0
    assert len(strangers) == 0


def test_a_crowd_pushes_out_whoever_was_not_seen_for_longest(strangers: Strangers):
    for n in range(300):
        assert strangers.visits_before(face(n), float(n), HOUR) == 0
    assert len(strangers) == 200
    assert strangers.visits_before(face(50), 900, HOUR) == 0
    assert strangers.visits_before(face(299), 900, HOUR) == 1
