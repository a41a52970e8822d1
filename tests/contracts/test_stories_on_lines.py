"""The stories of fixtures/scenarios once more, on simulated lines with the real guard, link and controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from story_bench import StoryBench, expected_rows, played_rows, why_not

from agent import guard_link
from agent.core.events import Kind
from fixtures.scenarios import Story, stories
from hardware.reflex import REST_S

LATE_S = 0.3  # debounce, a turn of the guard and one of the agent
SAME_S = 0.1
PLAYED = [story for story in stories() if not why_not(story)]
Rows = dict[str, list[tuple[float, str]]]


def by_kind(rows: list[tuple[float, str]]) -> Rows:
    """Rows of one kind in order, as events of the same moment may pass each other; of a state, what it came to be."""
    found: Rows = {}
    for at_s, row in rows:
        same = found.setdefault(row.split()[1], [])
        if same and row.startswith("row Door/State/") and at_s - same[-1][0] < SAME_S:
            same.pop()
        same.append((at_s, row))
    return found


@pytest.mark.parametrize("story", PLAYED, ids=lambda story: story.title)
def test_guard_and_agent_do_together_what_the_story_tells(story: Story, tmp_path: Path, monkeypatch):
    bench = StoryBench(story, tmp_path)
    monkeypatch.setattr(guard_link, "boottime_s", lambda: bench.now_s)
    bench.play()
    told, done = by_kind(expected_rows(story)), by_kind(played_rows(bench))
    assert {k: [row for _, row in rows] for k, rows in done.items()} == {
        k: [row for _, row in rows] for k, rows in told.items()
    }
    for kind, rows in done.items():
        # After its bound the guard rests the coil for a moment before it releases again.
        late_s = LATE_S + (REST_S if kind == Kind.LOCK_PHYSICAL else 0.0)
        assert all(-0.01 <= at_s - due_s <= late_s for (at_s, _), (due_s, _) in zip(rows, told[kind], strict=True))


def test_nearly_all_stories_are_played_here_too():
    assert len(PLAYED) >= 50
