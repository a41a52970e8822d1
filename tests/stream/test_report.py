"""Looking at a journal from outside, also while it is written: list, tail, export, verify, the report of a day."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import sqlite3

import pytest

from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed
from agent.day_report import day_report
from agent.errors import StoreError
from agent.journal.report import export, listed, tail
from agent.journal.verify import verify
from tests.stream.conftest import record


@pytest.fixture
def journal(make):
    outbox, posts = make()
    for n in range(1, 21):
        outbox.append(record(n), token=str(n))
    outbox.append(Record(Kind.FIRE, {"state": "Alarm", "note": "<script>alert(1)</script>"}, Priority.ALARM), token="f")  # noqa: S106
    posts.wait_for(Committed, 21)
    return outbox, posts, outbox._settings.path


def test_list_shows_the_newest_oldest_first_and_by_kind(journal):
    _, _, path = journal
    assert [r["seq"] for r in listed(path, newest=3)] == [20, 21, 22]
    assert [r["kind"] for r in listed(path, kind="Door/State/F")] == [Kind.FIRE]
    assert [r["seq"] for r in listed(path)] == list(range(1, 23))


def test_tail_goes_on_with_rows_written_meanwhile(journal):
    outbox, posts, path = journal
    rows = tail(path, newest=2, poll_s=0.01)
    assert [r["seq"] for r in itertools.islice(rows, 2)] == [21, 22]
    outbox.append(record(30), token="t")  # noqa: S106
    posts.wait_for(Committed, 22)
    assert next(rows)["body"] == {"n": 30}
    rows.close()


def test_exports_are_json_lines_and_csv_of_every_row(journal):
    _, _, path = journal
    lines = [json.loads(line) for line in export(path, "jsonl")]
    table = list(csv.DictReader(export(path, "csv")))
    assert [r["seq"] for r in lines] == [int(r["seq"]) for r in table] == list(range(1, 23))
    assert [r["hash"] for r in lines] == [r["hash"] for r in table]
    assert json.loads(table[-1]["body"]) == lines[-1]["body"]


def test_verify_holds_while_the_agent_writes(journal):
    outbox, _, path = journal
    for n in range(200):
        outbox.append(record(n))
    for _ in range(10):
        assert verify(path).ok


def test_what_cannot_be_read_says_why(journal, tmp_path):
    outbox, _, path = journal
    with pytest.raises(StoreError, match="no journal"):
        list(listed(tmp_path / "none.db"))
    outbox.stop()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    for look in (verify, lambda p: list(listed(p))):
        with pytest.raises(StoreError, match="newer release"):
            look(path)
    path.write_bytes(b"junk" * 5000)
    for look in (verify, lambda p: list(listed(p))):
        with pytest.raises(StoreError, match="keep it"):
            look(path)


def test_the_day_on_a_page_is_self_contained_and_escaped(journal, clock):
    _, _, path = journal
    day = dt.datetime.fromtimestamp(clock.wall_ms / 1000, dt.UTC).date()
    page = day_report(path, day, "UTC")
    assert "The journal holds: 22 rows" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<tr") == 1 + 22 + 3  # heading, events, kinds
    assert "http" not in page
    assert f"<h1>s1/d1 · {day}</h1>" in page  # of two printed days nobody knew which door
    empty = day_report(path, day - dt.timedelta(days=1), "UTC")
    assert "(0)" in empty
    assert "Nothing was written on this day" in empty
