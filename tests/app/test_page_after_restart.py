"""What the page at the door shows right after a start: what was written before it."""

from __future__ import annotations

from pathlib import Path

from agent.app import DoorAgent
from agent.config import load
from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality
from agent.journal.opening import open_journal
from agent.journal.schema import Moment
from fixtures.plain_door import plain_door


def test_a_restarted_door_shows_the_newest_rows_of_its_journal(tmp_path: Path):
    """The feed is filled from the journal, newest on top, without receipts."""
    (tmp_path / "door.toml").write_text(plain_door(tmp_path))
    moment = Moment("boot", 1, 1_790_000_000_000, ClockQuality.NTP)
    (tmp_path / "state").mkdir()
    store = open_journal(tmp_path / "state" / "journal.db", "garden/gate-1", moment).store
    rows = [(moment, Record(Kind.FIRE, {"state": "Alarm", "n": n, "receipt": {}}, Priority.ALARM)) for n in range(70)]
    store.append(rows)
    store.close()
    with DoorAgent(load(str(tmp_path / "door.toml")), "test") as agent:
        shown = [e for e in agent.board.snapshot()["events"] if e["kind"] == Kind.FIRE]
    assert [e["body"] for e in shown] == [{"state": "Alarm", "n": n} for n in range(69, 9, -1)]
    assert shown[0]["at_utc"] == "2026-09-21T14:13:20.000Z"
