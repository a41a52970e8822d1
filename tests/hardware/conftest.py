"""What the tests of the hardware share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard_process import GuardProcess


@pytest.fixture
def guard(tmp_path) -> Iterator[GuardProcess]:
    made = GuardProcess(tmp_path)
    yield made
    made.stop()
