"""A journal that can't be opened as it should: full or read-only disk, spoiled facts. The door goes on as it stood."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed, StoreFailed, StoreRecovered, StoreReported
from agent.outbox_report import listed, verify
from tests.stream.conftest import record, until

FACTS = {"mode": "LockedDown", "commands": {"office": 9}}
_START = """
import contextlib, json, shutil, subprocess, sys
from pathlib import Path
from agent.core.stream import Committed, StoreRecovered
from agent.outbox import Outbox, OutboxSettings
from tests.stream.conftest import Posts, SetClock, record, until
how, given, disk = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
path = disk / given.name
for side in ("", "-wal", "-shm"):
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(given.with_name(given.name + side), path.with_name(path.name + side))
if how == "full":
    with (disk / "somebody-elses").open("wb", buffering=0) as f, contextlib.suppress(OSError):
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(size))
else:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
posts = Posts()
outbox = Outbox(OutboxSettings(path, "s1", "d1"), posts, SetClock())
outbox.start()
said = {"facts": dict(outbox.facts()), "newest": len(outbox.newest()), "floor": outbox.status().floor_ms > 0}
outbox.append(record(7), token="t")
until(lambda: outbox.status().state == "failing" and len(outbox._ring) == 1, "the row that waits")
said["posts"] = [type(p).__name__ for p in posts.all]
if how == "full":
    (disk / "somebody-elses").unlink()
else:
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
posts.wait_for(Committed, timeout_s=30)
said["recovered"] = len(posts.of(StoreRecovered))
outbox.stop()
for side in ("", "-wal", "-shm"):
    given.with_name(given.name + side).unlink(missing_ok=True)
shutil.copy(path, given)
sys.stderr.write(json.dumps(said))
"""


def stored_door(make, left: tuple[str, ...] = ()) -> Path:
    """A journal with facts and a few rows; `left`: side files of one that was killed, its newest rows in its log."""
    outbox, posts = make()
    outbox.append(Record(Kind.DOOR_MODE, {"mode": "LockedDown"}, Priority.HIGH, FACTS), token="x")  # noqa: S106
    posts.wait_for(Committed)
    path = outbox._settings.path
    if left:
        copy = path.with_name("killed") / path.name
        copy.parent.mkdir()
        for side in ("", *left):
            shutil.copy(path.with_name(path.name + side), copy.with_name(copy.name + side))
        path = copy
    outbox.stop()
    return path


@pytest.mark.parametrize("left", [(), ("-wal", "-shm"), ("-wal",)])
@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_door_that_starts_on_a_disk_that_takes_nothing_stands_as_it_stood(make, tmp_path, how, left):
    """Lock-down and command counters are remembered, rows wait in memory, and it mends by itself."""
    path, disk = stored_door(make, left), tmp_path / "disk"
    disk.mkdir()
    mounted = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"', str(disk)]
    command = [*mounted, sys.executable, "-c", _START, how, str(path), str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stderr)
    assert said == {"facts": FACTS, "newest": 2, "floor": True, "posts": ["StoreFailed"], "recovered": 1}
    assert [r["body"]["n"] for r in listed(path) if "n" in r["body"]] == [7]
    assert verify(path).ok
    assert make(path=path)[0].facts() == FACTS


def test_a_spoiled_fact_costs_that_fact_alone_and_is_told(make):
    path = stored_door(make)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE facts SET value = '{\"office\": 9' WHERE key = 'commands'")
    outbox, posts = make()
    assert outbox.facts() == {"mode": "LockedDown"}
    assert posts.wait_for(StoreReported)[0].word == "quarantined"
    outbox.append(record(8), token="x")  # noqa: S106
    posts.wait_for(Committed)
    outbox.stop()
    first = next(r for r in listed(path) if r["epoch"] == outbox.status().epoch)
    assert first["body"]["facts_lost"] == ["commands"]
    assert make()[0].facts() == {"mode": "LockedDown"}


def test_a_changed_fact_is_noticed_and_kept(make):
    """Whoever edits the lock-down away in the file is told of, at the next start and by verify."""
    path = stored_door(make)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE facts SET value = '\"Locked\"' WHERE key = 'mode'")
    assert "facts" in verify(path).bad[0].why
    outbox, posts = make()
    assert "facts" in posts.wait_for(StoreReported)[0].detail
    assert outbox.facts() == FACTS | {"mode": "Locked"}


def test_a_damaged_journal_does_not_hold_up_the_start(make, monkeypatch):
    """Carrying rows over can take long: the door is there with its facts meanwhile."""
    path = stored_door(make)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER rows_never_change")
        db.execute("UPDATE rows SET body = '{}'")
    outbox, posts = make(start=False)
    monkeypatch.setattr(outbox, "_turn", lambda: None)
    outbox.start()
    assert outbox.facts() == FACTS
    assert posts.of(StoreReported, StoreFailed, StoreRecovered) == []
    monkeypatch.undo()
    assert posts.wait_for(StoreReported)[0].word == "quarantined"
    until(lambda: outbox.status().state == "ok", "the new journal")
    assert outbox.facts() == FACTS
