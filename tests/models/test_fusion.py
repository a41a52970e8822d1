"""Several frames of one face as one vector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion import RunningAverage, mean_vector


def _unit(seed: int, dim: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_average_is_the_weighted_mean_vector_of_all_frames(frames):
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


def test_directions_are_averaged_alike_however_long_and_lengths_beside_them():
    one, other = _unit(1), _unit(2)
    mean = mean_vector(np.stack([np.float32(0.8) * one, other]))
    assert np.linalg.norm(mean) == pytest.approx(0.9, abs=1e-5)
    assert mean / 0.9 == pytest.approx((one + other) / np.linalg.norm(one + other), abs=1e-5)


def test_the_clarity_of_a_track_is_that_of_its_frames_by_their_quality():
    average, one = RunningAverage(16), _unit(1)
    average.add(np.float32(0.8) * one, 0.9)
    fused = average.add(np.float32(1.2) * one, 0.3)
    assert fused.agreement == pytest.approx(1.0, abs=1e-5)
    assert np.linalg.norm(fused.vector) == pytest.approx(0.9, abs=1e-5)


def test_nothing_of_another_faces_clarity_is_left():
    first, second = np.eye(16, dtype=np.float32)[:2]
    average = RunningAverage(16, min_agreement=0.3)
    average.add(np.float32(1.3) * first)
    assert np.linalg.norm(average.add(np.float32(0.8) * second).vector) == pytest.approx(0.8, abs=1e-5)
