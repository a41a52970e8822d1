"""What the tests of the hardware share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard_process import GuardProcess
from reflex_bench import MAGNET, STRIKE, Bench


@pytest.fixture
def guard(tmp_path) -> Iterator[GuardProcess]:
    made = GuardProcess(tmp_path)
    yield made
    made.stop()


@pytest.fixture(params=[STRIKE, MAGNET], ids=["intermittent", "continuous"])
def bench(request) -> Bench:
    return Bench(request.param)
