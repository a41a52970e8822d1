"""A network's numbers: cosines on its scale, and the length of its answers."""

from __future__ import annotations

import numpy as np
import pytest

from agent.roster import intake as roster_intake
from models.scale import LEAST_CLARITY, MOST_CLARITY, Scale, clarity, is_a_face, unit, with_clarity


def test_the_baseline_is_no_likeness_and_one_stays_one() -> None:
    assert Scale(0.3).likeness(np.float32([1.0, 0.3, -1.0])).tolist() == [1.0, 0.0, -1.0]


def test_an_answers_length_is_told_as_a_bounded_share_of_the_usual_one() -> None:
    answers = np.float32([[3, 4], [4.5, 6], [0.3, 0.4], [30, 40]])
    assert clarity(with_clarity(answers, 5.0)) == pytest.approx([1.0, MOST_CLARITY, LEAST_CLARITY, MOST_CLARITY])
    assert unit(with_clarity(answers, 5.0)) == pytest.approx(np.tile(np.float32([0.6, 0.8]), (4, 1)))
    assert clarity(with_clarity(answers, None)) == pytest.approx(1.0)


def test_two_usual_faces_owe_nothing_and_each_counts() -> None:
    scale = Scale(clarity_weight=0.15)
    assert scale.owed_to_clarity(1.0, 1.0) == 0.0
    assert scale.owed_to_clarity(1.2, 1.0) == scale.owed_to_clarity(1.0, 1.2) == pytest.approx(0.03)
    assert scale.owed_to_clarity(0.9, 0.9) == pytest.approx(-0.03)
    assert Scale().owed_to_clarity(1.3, 1.3) == 0.0


@pytest.mark.parametrize("length", [0.0, 0.83, 0.85, 1.0, 1.3, 1.32, np.nan, np.inf])
def test_the_agent_takes_the_vectors_that_vision_takes(length: float) -> None:
    """Both state it: the agent's process loads no numbers library for it."""
    vector = np.full(256, length / 16, np.float32)
    taken = length in (0.85, 1.0, 1.3)
    assert (is_a_face(vector), roster_intake._is_a_face(vector.tobytes())) == (taken, taken)
