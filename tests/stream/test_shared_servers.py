"""Several server processes on one PostgreSQL keep each door's rows once and in order, however dealt out."""

from __future__ import annotations

import pytest

from tests.faults import shared

pytestmark = pytest.mark.slow


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", shared.WAYS)
def test_three_server_processes_on_one_database_keep_each_doors_order(postgres, tmp_path, way):
    """With shared subscriptions neighbours of a row go to different processes: slower, and still nothing is wrong."""
    result = shared.run(way, 3, 3, 120, postgres(), tmp_path)
    assert [result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")] == [0, 0, 0, 0]
    assert set(result["alarms"]) == set()
