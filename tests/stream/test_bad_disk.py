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
from agent.journal.report import listed
from agent.journal.verify import verify
from tests.stream.conftest import record, until

pytestmark = pytest.mark.slow

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
said = {"facts": dict(outbox.facts()), "newest": len(outbox.newest().rows), "floor": outbox.status().floor_ms > 0}
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


_KILLED = """
import contextlib, json, os, sys, time
from pathlib import Path
from agent.core.stream import Committed, StoreRecovered
from agent.outbox import Outbox, OutboxSettings
from agent.journal.report import listed
from agent.journal.verify import verify
from tests.stream.conftest import Posts, SetClock, record, until
how, disk = sys.argv[1], Path(sys.argv[2])
path, other = disk / "journal.db", disk / "somebody-elses"
posts = Posts()
outbox = Outbox(OutboxSettings(path, "s1", "d1", ballast_bytes=0), posts, SetClock())
outbox.start()
if how == "die":
    outbox.append(record(1, mode="LockedDown", gone=1), token="1")
    posts.wait_for(Committed)
    with other.open("wb", buffering=0) as f:
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(size))
    for n in range(2, 400):
        outbox.append(record(n, **({"mode": "Locked", "gone": None} if n == 300 else {})))
    until(lambda: outbox.status().state == "failing" and outbox._waiting._number == outbox._ring._number > 300, "rows")
    os._exit(9)
said = {"facts": dict(outbox.facts())}
if how == "again":
    other.unlink()
until(lambda: outbox.status().state == "ok" and not len(outbox._ring), "the rows that waited")
outbox.stop()
said["n"] = [r["body"]["n"] for r in listed(path) if "n" in r["body"]]
said["ok"] = verify(path).ok
if how == "again":  # as after a cut between the commit and the room's being cleared
    (disk / "journal.db.waiting").write_bytes(Path(sys.argv[3]).read_bytes())
sys.stderr.write(json.dumps(said) + "\\n")
"""


_FULL = """
import contextlib, sys
from pathlib import Path
from agent.core.acknowledgement import Ack
from agent.core.stream import Committed, StoreFailed, StoreRecovered
from agent.core.sync import AckJudged
from agent.outbox import Outbox, OutboxSettings
from agent.journal.report import listed
from agent.journal.verify import verify
from tests.stream.conftest import Posts, SetClock, record, until
disk = Path(sys.argv[1])
path, heard, posts = disk / "journal.db", Posts(), Posts()
outbox = Outbox(OutboxSettings(path, "s1", "d1"), posts, SetClock())
outbox.start()

def fill(first, last):
    for n in range(first, last + 1, 500):
        for m in range(n, n + 500):
            outbox.append(record(m), token=str(m))
        posts.wait(lambda: [c.token for c in posts.of(Committed)][-1:] == [str(n + 499)], f"row {n}", 30)

fill(1, 5000)
outbox.attach(heard)
status = outbox.status()
outbox.acknowledge(Ack(status.epoch, 5002, status.head_hash, "n"), fresh=True)
heard.wait_for(AckJudged)
with (disk / "somebody-elses").open("wb", buffering=0) as f:
    for size in (65536, 1):
        with contextlib.suppress(OSError):
            while True:
                f.write(bytes(size))
fill(5001, 11000)
assert outbox.status().state == "ok"
outbox.stop()
rows = [r["body"]["n"] for r in listed(path) if "n" in r["body"]]
assert rows[-6000:] == list(range(5001, 11001)), rows[-3:]
assert rows[0] > 1
assert len(posts.of(StoreFailed)) <= 3, len(posts.of(StoreFailed))
assert verify(path).ok
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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_acknowledged_rows_make_room_on_a_disk_that_somebody_else_filled(tmp_path):
    """6,000 rows are stored while the disk stays full: in the log's own space, and in that of rows the server has."""
    script = 'mount -t tmpfs -o size=12m tmpfs "$2" && "$3" -c "$1" "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", _FULL, str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_rows_that_waited_for_a_full_disk_outlive_a_kill_and_come_once(tmp_path):
    """And so does the lock-down that was lifted meanwhile: it is known at once, while the disk is still full."""
    (tmp_path / "disk").mkdir()
    run = f'"{sys.executable}" -c "$1"'
    script = (
        'mount -t tmpfs -o size=12m tmpfs "$2" && '
        f'{run} die "$2"; test $? = 9 && cp "$2/journal.db.waiting" "$3" && {run} again "$2" "$3" && {run} last "$2"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", _KILLED, str(tmp_path / "disk"), str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    again, last = map(json.loads, done.stderr.splitlines()[-2:])
    assert again == last == {"facts": {"mode": "Locked"}, "n": list(range(1, 400)), "ok": True}


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
