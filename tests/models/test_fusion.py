"""Several frames of one face as one vector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion import RunningAverage, mean_direction


def _unit(seed: int, dim: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_average_is_the_weighted_mean_direction_of_all_frames(frames):
    average = RunningAverage(16)
    for seed, quality in frames:
        fused = average.add(_unit(seed), quality)
    expected = sum(_unit(seed).astype(float) * max(0.05, quality) for seed, quality in frames)
    length = np.linalg.norm(expected)
    assert fused.frames == len(frames)
    if length > 1e-3:
        assert np.allclose(fused.vector, expected / length, atol=1e-4)


def test_another_face_in_the_same_place_begins_anew():
    """Nothing of the first face is left in the vector, and the count starts at one."""
    first, second = np.eye(16, dtype=np.float32)[:2]
    average = RunningAverage(16, min_agreement=0.3)
    average.add(first)
    assert average.add(first).frames == 2
    fused = average.add(second)
    assert (fused.frames, fused.agreement) == (1, 1.0)
    assert np.array_equal(fused.vector, second)


def test_agreement_is_with_the_frames_before():
    first = np.eye(16, dtype=np.float32)[0]
    average = RunningAverage(16)
    assert average.add(first).agreement == 1.0
    assert average.add(np.array([0.6, 0.8] + [0.0] * 14, np.float32)).agreement == pytest.approx(0.6)


def test_mean_direction_has_unit_length():
    assert np.linalg.norm(mean_direction(np.stack([_unit(1), _unit(2)]))) == pytest.approx(1.0, abs=1e-5)
