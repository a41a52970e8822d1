"""Intervals. Small sets lie: every figure goes out with one."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.arrays import Floats

_HALVINGS: Final = 60
_RESAMPLES: Final = 1000
_ROUNDING: Final = 1e-9


def upper95(hits: int, tried: int) -> float:
    """One-sided upper 95 % bound (Clopper-Pearson) on a rate; 1.0 where nothing was tried."""
    return _bound(hits, tried, 0.05)


def upper95_over(units: int, hits: int, tried: int) -> float:
    """The same where `tried` attempts come from only `units` people or prints, which succeed and fail together.

    The rate is read as one of units, rounded up: attempts at one print are one observation, however many overlap.
    """
    return upper95(math.ceil(units * hits / tried - _ROUNDING), units) if tried else 1.0


def interval95(hits: int, tried: int) -> tuple[float, float]:
    """Two-sided 95 % interval (Clopper-Pearson); (0, 1) where nothing was tried."""
    if tried == 0:
        return 0.0, 1.0
    return 1.0 - _bound(tried - hits, tried, 0.025), _bound(hits, tried, 0.025)


def by_person95(failed: Floats, tried: Floats) -> tuple[float, float]:
    """95 % interval of sum(failed) / sum(tried), resampling people: pictures of one person fail together.

    With no failure at all, or all failures, resampling shows nothing: then Clopper-Pearson over people.
    """
    people, total = len(tried), float(tried.sum())
    if total == 0:
        return 0.0, 1.0
    if failed.sum() in (0.0, total):
        return interval95(people if failed.sum() else 0, people)
    picks = np.random.default_rng(0).integers(0, people, (_RESAMPLES, people))
    rates = failed[picks].sum(axis=1) / np.maximum(tried[picks].sum(axis=1), 1e-9)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)


def _bound(hits: int, tried: int, tail: float) -> float:
    """The rate at which `hits` or fewer in `tried` have the probability `tail`."""
    if hits >= tried:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_most(hits, tried, middle) > tail:
            low = middle
        else:
            high = middle
    return high


def _at_most(hits: int, tried: int, rate: float) -> float:
    if rate <= 0.0 or rate >= 1.0:
        return float(rate <= 0.0)
    ways = math.lgamma(tried + 1)
    return sum(
        math.exp(
            ways
            - math.lgamma(count + 1)
            - math.lgamma(tried - count + 1)
            + count * math.log(rate)
            + (tried - count) * math.log1p(-rate)
        )
        for count in range(hits + 1)
    )
