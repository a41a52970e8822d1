"""A server whose own clock is wrong: what the doors sent is not taken for old by it."""

from __future__ import annotations

import time

import pytest

from agent.clock import SystemClock
from agent.core.journal import ClockQuality
from deploy.community import consumer
from tests.stream.conftest import record, until

DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize(
    ("own", "doors", "kept"),
    [
        (ClockQuality.RTC, ClockQuality.NTP, True),  # the doors know better
        (ClockQuality.NTP, ClockQuality.NTP, False),  # the time has come
        (ClockQuality.RTC, ClockQuality.RTC, False),  # nobody knows better
    ],
)
def test_a_clock_that_woke_up_in_another_year_does_not_empty_the_ledger(
    site, linked, clock, monkeypatch, own, doors, kept
):
    """Everything that the doors had ever sent was older than 180 days then, and gone within minutes."""
    clock.good, clock.wall_ms = doors, time.time_ns() // 1_000_000
    monkeypatch.setattr(consumer, "_CHECK_S", 0.02)
    monkeypatch.setattr(SystemClock, "quality", lambda _self: own)
    server = site.serve()
    _, outbox, _ = linked("d1")
    for n in (1, 2, 3):
        outbox.append(record(n))
    until(lambda: (outbox.status().depth, outbox.status().head_seq) == (0, 4), "the rows")
    until(lambda: server._forget_s > 0, "the first look")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 20_000 * DAY_NS)
    server._forget_s = 0.0
    until(lambda: server._forget_s > 0, "the next look")
    assert len(site.ledger().newest(10)) == (4 if kept else 0)
