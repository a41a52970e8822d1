"""The fault commands at a small size; `make chaos`, `make tamper` and `make drain` run them at any other."""

from __future__ import annotations

import pytest

from tests.faults import chaos, drain, tamper, wear

pytestmark = pytest.mark.slow


def test_kill_9_of_broker_door_and_server_loses_doubles_and_reorders_nothing(tmp_path):
    result = chaos.run(200, 3, folder=tmp_path)
    assert {k: result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")} == {
        "lost": 0, "doubled": 0, "reordered": 0, "chain_breaks": 0,
    }  # fmt: skip
    assert result["kills"] > 0


def test_every_way_of_editing_a_journal_is_noticed():
    ways = len(tamper.IN_PLACE) + len(tamper.WHOLE_FILE)
    counts, unnoticed = tamper.run(ways)
    assert unnoticed == []
    assert (counts["noticed"], counts["wrong_row"]) == (ways, 0)


def test_a_backlog_drains_fast_with_a_fresh_alarm_ahead_of_it(tmp_path):
    result = drain.run(3000, tmp_path)
    assert [result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")] == [0, 0, 0, 0]
    assert result["rows_per_s"] > 250  # 30,000 in 60 s take 500; a busy test machine is given the benefit
    assert result["alarm_ms"] < 1000


def test_an_event_writes_less_than_10_kb_to_the_card(tmp_path):
    result = wear.run(300, tmp_path)
    if not result["written_bytes_per_event"]:
        pytest.skip("the folder for temporary files is in memory: nothing is written to a disk")
    assert result["written_bytes_per_event"] < 10_000
    assert result["stored_bytes_per_event"] < 268  # a million events within the quota of 256 MiB
