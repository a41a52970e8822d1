"""Many doors on one machine: the agent's real outbox and link, a real broker and server, a broker that dies in between.

python -m tests.faults.fleet --doors 200 --seconds 60 --picture build/fleet.png
Each door journals an event every `--every` seconds (8.6: ten times the thousand a day that deploy/fleet reckons
with); half-way the broker is killed and comes back, and everybody reconnects. Printed:
a table of the run second by second, and as the last line one JSON object: doors, events, lost, doubled, events_per_s,
ack_p99_ms, reconnect_peak_ratio (share of the fleet that came back within the busiest second), kib_per_door, and more.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import queue
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TypeAlias

from agent.clock import SystemClock
from agent.command_line import above_zero, as_program, count
from agent.core.events import Kind, Record
from agent.core.stream import Committed, LinkUp
from agent.link.settings import Backoff, LinkSettings
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings
from tests.faults.bench import ROOT, Bench
from tests.faults.fleet_chart import Timeline

_DOORS_A_PROCESS = 120  # select() ends at 1,024 descriptors, a door has six
_CONNECTS_PER_S = 40.0  # of the first connections, which are spread: two cores make about 100 handshakes a second
_MEMORY = Path("/dev/shm")  # noqa: S108  a private folder in it
_PATHS = ("ca", "cert", "key", "server_key")
_LOOK_S = 0.02  # how often a worker looks whether what it waits for was acknowledged
_STUCK_S = 120.0  # a slow machine is waited for as long as anything moves; so long without any progress is the end
_News: TypeAlias = "queue.SimpleQueue[tuple[Door, float, object]]"


class Door:
    """One door of a worker: outbox, link, and when its rows came to be acknowledged."""

    def __init__(self, config: dict, folder: Path, news: _News) -> None:
        backoff = Backoff(**config.pop("backoff", {}))
        settings = LinkSettings(**{k: Path(v) if k in _PATHS else v for k, v in config.items()}, backoff=backoff)
        self.name = settings.door
        path = folder / settings.door / "journal.db"
        clock = SystemClock()
        given = OutboxSettings(path, "site", settings.door, ballast_bytes=4096)
        self.outbox = Outbox(given, lambda event: news.put((self, clock.now_s(), event)), clock)
        self.link = MqttLink(settings, lambda event: news.put((self, clock.now_s(), event)), self.outbox)
        self.n = 0
        self.waiting: list[tuple[int, float]] = []
        self.sent_s: dict[str, float] = {}
        self.ups_s: list[float] = []
        self.acks: list[tuple[float, float]] = []  # when, and after how many milliseconds

    def event(self, now_s: float) -> None:
        self.n += 1
        self.sent_s[str(self.n)] = now_s
        self.outbox.append(Record(Kind.DOOR_PHYSICAL, {"n": self.n, "state": "Open"}), token=str(self.n))

    def take(self, at_s: float, event: object) -> None:
        if isinstance(event, LinkUp):
            self.ups_s.append(at_s)
        elif isinstance(event, Committed):
            self.waiting.append((event.seq, self.sent_s.pop(event.token)))

    def look(self, now_s: float) -> bool:
        """True when something was acknowledged since the last look."""
        acked, before = self.outbox.status().acked_seq, len(self.waiting)
        self.acks += [(now_s, (now_s - sent_s) * 1000) for seq, sent_s in self.waiting if seq <= acked]
        self.waiting = [w for w in self.waiting if w[0] > acked]
        return len(self.waiting) < before

    def done(self) -> bool:
        return not (self.waiting or self.sent_s or self.outbox.status().depth)


class Share:
    """A worker's doors: events when they are due, then waiting until everything is acknowledged or nothing moves."""

    def __init__(self, doors: list[Door], news: _News, every_s: float, end_s: float) -> None:
        self._doors, self._news, self._every_s, self._end_s = doors, news, every_s, end_s
        self._due: list[tuple[float, int]] = []
        self._open: set[Door] = set()
        self._moved_s = end_s

    def run(self, clock: SystemClock, rng: random.Random) -> None:
        began_s = clock.now_s()
        self._due = [(began_s + rng.uniform(0, self._every_s), number) for number in range(len(self._doors))]
        heapq.heapify(self._due)
        while (now_s := clock.now_s()) < self._end_s or not all(d.done() for d in self._doors):
            self._events(now_s)
            self._hear(now_s)
            if now_s - self._moved_s > _STUCK_S:
                return
            time.sleep(_LOOK_S)

    def _events(self, now_s: float) -> None:
        while self._due and (due_s := self._due[0][0]) <= now_s < self._end_s:
            number = self._due[0][1]
            heapq.heapreplace(self._due, (due_s + self._every_s, number))
            self._doors[number].event(now_s)

    def _hear(self, now_s: float) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                door, at_s, event = self._news.get_nowait()
                door.take(at_s, event)
                self._open.add(door)
                self._moved_s = max(self._moved_s, now_s)
        moved = [door.look(now_s) for door in self._open]
        if any(moved):
            self._moved_s = max(self._moved_s, now_s)
        self._open = {door for door in self._open if door.waiting}


def work(config: dict) -> dict:
    """A worker process: its share of the doors, for as long as told, then until everything is acknowledged."""
    clock, rng = SystemClock(), random.Random(config["seed"])  # noqa: S311  spread, not secrecy
    before_kib = _rss_kib()
    news: _News = queue.SimpleQueue()
    doors = [Door(c, Path(config["folder"]), news) for c in config["doors"]]
    for door in doors:
        door.outbox.start()
        door.link.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began_s = clock.now_s()
    Share(doors, news, config["every_s"], began_s + config["seconds"]).run(clock, rng)
    took_s, kib = clock.now_s() - began_s, (_rss_kib() - before_kib) / len(doors)
    for door in doors:
        door.link.stop()
        door.outbox.stop()
    return {
        "events": {d.name: d.n for d in doors},
        "acks": [a for d in doors for a in d.acks],
        "began_s": began_s,
        "ups_s": [u for d in doors for u in d.ups_s],
        "seconds": took_s,
        "cpu_s": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
        "kib": kib,
    }


def _rss_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def run(
    bench: Bench, seconds: float, every_s: float, picture: Path | None = None, *, retry_s: float | None = None
) -> dict[str, float]:
    """One campaign with the doors of `bench`; its broker is killed half-way and started again.

    The doors' journals lie in memory where there is a folder for that: thousands of doors do not share one disk. The
    server's database is on a disk. `retry_s` shortens the doors' first wait before they connect again.
    """
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as journals:
        given = {} if retry_s is None else {"backoff": {"first_s": retry_s, "cap_s": retry_s * 4}}
        return _run(bench, Path(journals), seconds, every_s, picture, given)


def _run(
    bench: Bench, journals: Path, seconds: float, every_s: float, picture: Path | None, given: dict[str, object]
) -> dict[str, float]:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    doors = len(bench.doors)
    spread_s = doors / _CONNECTS_PER_S
    configs = [{**bench.link_config(name), "first_connect_spread_s": spread_s, **given} for name in bench.doors]
    shares = range(-(-doors // _DOORS_A_PROCESS))
    workers = []
    try:
        bench.broker.start()
        bench.server.start()
        workers += [_start(bench, journals, configs[i :: len(shares)], seconds, every_s, i) for i in shares]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "started\n"
        _wait_for_all(bench, doors)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        time.sleep(seconds / 2)
        killed_s = SystemClock().now_s()
        bench.broker.kill()
        time.sleep(1.0)
        bench.broker.start()
        results = [json.loads(worker.communicate()[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        bench.stop()
    timeline = Timeline(results, killed_s)
    for line in timeline.table():
        print(line)  # noqa: T201
    if picture is not None:
        timeline.draw(picture, f"{doors} doors, one event every {every_s} s each")
    return _summary(bench, results, timeline)


def _start(
    bench: Bench, journals: Path, configs: list[dict], seconds: float, every_s: float, number: int
) -> subprocess.Popen[str]:
    config = {"doors": configs, "folder": str(journals), "seconds": seconds, "every_s": every_s, "seed": number}
    path = bench.folder / f"worker-{number}.json"
    path.write_text(json.dumps(config))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.fleet", "--worker", str(path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait_for_all(bench: Bench, doors: int) -> None:
    """Every door's first row is at the server; waited for as long as their number grows."""
    heard, moved_s = 0, time.monotonic()
    while heard < doors:
        time.sleep(1.0 if doors > _DOORS_A_PROCESS else 0.1)
        before, heard = heard, _heard(bench)
        if heard > before:
            moved_s = time.monotonic()
        elif time.monotonic() - moved_s > _STUCK_S:
            raise TimeoutError(f"{doors - heard} of {doors} doors did not come within {_STUCK_S} s after the last one")


def _heard(bench: Bench) -> int:
    try:
        db = sqlite3.connect(f"file:{bench.database}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(DISTINCT device) FROM events").fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:
        return 0


def _summary(bench: Bench, results: list[dict], timeline: Timeline) -> dict[str, float]:
    made = {f"site/{name}": n for r in results for name, n in r["events"].items()}
    db = sqlite3.connect(f"file:{bench.database}?mode=ro", uri=True)
    stored: dict[str, list[int]] = {}
    for device, body in db.execute(
        "SELECT device, body FROM events WHERE kind = ? ORDER BY id", (str(Kind.DOOR_PHYSICAL),)
    ):
        stored.setdefault(device, []).append(json.loads(body)["n"])
    db.close()
    events, doors = sum(made.values()), len(bench.doors)
    return {
        "doors": doors,
        "events": events,
        "lost": sum(len(set(range(1, n + 1)) - set(stored.get(d, []))) for d, n in made.items()),
        "doubled": sum(len(s) - len(set(s)) for s in stored.values()),
        "reordered": sum(s != sorted(s) for s in stored.values()),
        "events_per_s": round(events / max(r["seconds"] for r in results), 1),
        "ack_p50_ms": round(timeline.ack_ms(0.5), 1),
        "ack_p99_ms": round(timeline.ack_ms(0.99), 1),
        "ack_quiet_p99_ms": round(timeline.ack_ms(0.99, before_kill=True), 1),
        "reconnected": len(timeline.ups_s),
        "reconnect_s": round(max(timeline.ups_s, default=0.0), 1),
        "reconnect_peak_ratio": round(timeline.peak_ups_per_s() / doors, 2),
        "kib_per_door": round(max(r["kib"] for r in results)),
        "doors_cpu_s": round(sum(r["cpu_s"] for r in results), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doors", type=count, default=200)
    parser.add_argument("--seconds", type=above_zero, default=60.0)
    parser.add_argument("--every", type=above_zero, default=8.6, help="seconds between two events of a door")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the run")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.worker:
        print(json.dumps(work(json.loads(a.worker.read_text()))))  # noqa: T201
        return 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), doors=tuple(f"d{n}" for n in range(a.doors)))
        result = run(bench, a.seconds, a.every, a.picture)
    print(json.dumps(result))  # noqa: T201
    return int(bool(result["lost"] or result["doubled"] or result["reordered"]))


if __name__ == "__main__":
    sys.exit(as_program("fleet", main))
