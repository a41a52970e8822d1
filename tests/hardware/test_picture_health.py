"""Dark, blind and frozen pictures are told within 10 s, and passing shadows are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hardware.picture_health import CameraState, PictureHealth

FPS = 10
RNG = np.random.default_rng(7)
STREET = np.clip(np.linspace(30, 200, 320)[None, :, None] * np.ones((240, 1, 3)), 0, 255)


def noisy(base: np.ndarray | float, spread: float = 2.0) -> np.ndarray:
    picture = np.full((240, 320, 3), base) if np.isscalar(base) else base
    return np.clip(picture + RNG.normal(0, spread, picture.shape), 0, 255).astype(np.uint8)


FROZEN = noisy(STREET)


def run(health: PictureHealth, make: Callable[[], np.ndarray], start_s: float, for_s: float) -> list[CameraState]:
    return [health.observe(make(), start_s + n / FPS) for n in range(int(for_s * FPS))]


@pytest.mark.parametrize(
    ("make", "state"),
    [
        (lambda: noisy(5.0), CameraState.DARK),
        (lambda: noisy(120.0), CameraState.BLIND),
        (lambda: noisy(250.0, 4.0), CameraState.BLIND),
        (lambda: FROZEN, CameraState.FROZEN),
    ],
    ids=["lamp out", "hand before the lens", "torch", "driver repeats itself"],
)
def test_a_blinded_camera_is_told_within_ten_seconds_and_its_recovery_within_two(make, state):
    health = PictureHealth()
    assert set(run(health, lambda: noisy(STREET), 0.0, 3.0)) == {CameraState.OK}
    told = run(health, make, 3.0, 9.0)
    assert told[0] == CameraState.OK
    assert told[-1] == state
    assert set(told) == {CameraState.OK, state}
    assert run(health, lambda: noisy(STREET), 12.0, 2.0)[-1] == CameraState.OK


def test_a_passing_hand_is_not_told():
    health = PictureHealth()
    run(health, lambda: noisy(STREET), 0.0, 1.0)
    assert set(run(health, lambda: noisy(120.0), 1.0, 2.5)) == {CameraState.OK}
    assert set(run(health, lambda: noisy(STREET), 3.5, 5.0)) == {CameraState.OK}


def test_a_camera_that_starts_in_the_dark_is_told_too():
    assert run(PictureHealth(), lambda: noisy(3.0), 100.0, 4.0)[-1] == CameraState.DARK
