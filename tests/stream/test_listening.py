"""How long the server has been listening: the base of every "this door is silent"."""

from __future__ import annotations

from deploy.community.listening import LONG_S, OFTEN, Listening

WALL_MS = 1_790_000_000_000


def edge(heard: Listening, now_s: float, span_s: float, set_ms: int = 0) -> float | None:
    """The same on the monotonic clock, which began with the wall clock's WALL_MS."""
    found = heard.edge_ms(now_s, WALL_MS + round(now_s * 1000) + set_ms, span_s)
    return None if found is None else (found - set_ms - WALL_MS) / 1000


def test_time_without_a_link_does_not_count():
    heard = Listening()
    assert edge(heard, 500, 180) is None
    heard.up(500)
    assert edge(heard, 600, 180) is None
    assert edge(heard, 680, 180) == 500
    assert edge(heard, 900, 180) == 720
    heard.down(900, "gone")
    assert edge(heard, 2000, 180) is None
    heard.up(2000)
    assert edge(heard, 2100, 180) == 820  # 100 s now, 80 s before the loss
    assert edge(heard, 2200, 180) == 2020


def test_a_link_that_comes_and_goes_adds_up():
    """Otherwise a dead door would never be told of while the server's own link flaps."""
    heard = Listening()
    for n in range(20):
        heard.up(n * 20)
        heard.down(n * 20 + 10, "gone")
    heard.up(400)
    assert edge(heard, 400, 180) == 40


def test_a_wall_clock_that_was_set_begins_anew():
    """Or every door would be silent at once when a server without a clock battery learns the time."""
    heard = Listening()
    heard.up(0)
    assert edge(heard, 1000, 180) == 820
    assert edge(heard, 1005, 180, set_ms=86_400_000) is None
    assert edge(heard, 1190, 180, set_ms=86_400_000) == 1010


def test_its_own_loss_is_told_once_and_many_short_ones_as_well():
    heard = Listening()
    heard.up(0)
    heard.down(100, "the connection ended")
    assert heard.alarm(100 + LONG_S - 1) is None
    assert heard.alarm(100 + LONG_S) == "no doors are heard: the connection ended"
    assert heard.alarm(1000) is None
    heard.up(1000)
    for n in range(OFTEN):
        heard.down(2000 + n, "protocol error")
        heard.up(2000 + n)
    assert heard.alarm(2010) == "the connection was lost 5 times within 10 minutes: protocol error"
    assert heard.alarm(2100) is None
