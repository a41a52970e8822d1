"""A month offline, then the uplink is back: how long the backlog takes, and whether the door notices.

python -m tests.faults.drain --rows 30000
While the backlog drains, a record is committed 20 times a second as an opening would be; their commit times during the
drain are compared with those before it, and one fresh alarm is timed past the backlog. The commit is all that an
opening feels of a drain, so the difference is also given as a share of a whole opening (250 ms, README.md of the
project). The last line printed is one JSON object: rows, seconds, rows_per_s, commit_p50_ms, commit_p95_ms,
commit_drain_p50_ms, commit_drain_p95_ms, opening_slower_percent, alarm_ms (until the door knows that the server has
it), peak_mib, lost, doubled, reordered, chain_breaks.
"""

from __future__ import annotations

import argparse
import json
import queue
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent.clock import SystemClock
from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed
from agent.link_settings import LinkSettings
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings
from tests.faults.bench import Bench, judged, wait_until

_PACE_S = 0.05
_OPENING_MS = 250.0  # first frame with a face to relay
_WITHIN = ("ca", "cert", "key", "server_key")


class Door:
    """Outbox and link in this process, with a commit timed the way the grant path waits for it."""

    def __init__(self, bench: Bench) -> None:
        self.mailbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        config = {k: Path(str(v)) if k in _WITHIN else v for k, v in bench.link_config("door").items()}
        settings = LinkSettings(**config)
        self.outbox = Outbox(
            OutboxSettings(bench.folder / "door" / "journal.db", "site", "door"), self.mailbox.put, SystemClock()
        )
        self.outbox.start()
        self.link = MqttLink(settings, self.mailbox.put, self.outbox)
        self.n = self.newest = 0

    def backlog(self, rows: int) -> None:
        for _ in range(rows):
            self.append(Priority.NORMAL, None)
            if self.n % 1000 == 0:
                wait_until(lambda: self.outbox.status().head_seq > self.n - 1000, 30, "the commits")
        wait_until(lambda: self.outbox.status().head_seq == rows + 1, 60, "the backlog")

    def append(self, priority: Priority, token: str | None) -> None:
        self.n += 1
        self.outbox.append(Record(Kind.DOOR_PHYSICAL, {"n": self.n, "state": "Open"}, priority), token=token)

    def timed(self, priority: Priority = Priority.NORMAL) -> float:
        """Commit one record; milliseconds until the controller would have heard of it."""
        began_s = time.perf_counter()
        self.append(priority, str(self.n))
        while not isinstance(event := self.mailbox.get(timeout=30), Committed):
            pass
        self.newest = event.seq
        return (time.perf_counter() - began_s) * 1000


def run(rows: int, folder: Path) -> dict[str, float]:
    bench = Bench(folder)
    bench.broker.start()
    door = Door(bench)
    try:
        door.backlog(rows)
        before = [_paced(door) for _ in range(60)]
        bench.server.start()
        door.link.start()
        wait_until(lambda: door.outbox.status().acked_seq > 0, 30, "the first acknowledgement")
        began_s = time.monotonic()
        alarm_ms = _alarm(door, bench)
        during = []
        while door.outbox.status().depth > 5:
            during.append(_paced(door))
        seconds = time.monotonic() - began_s
        wait_until(lambda: door.outbox.status().depth == 0, 30, "the last acknowledgement")
        counts = judged(bench.stored("door"), door.n)
    finally:
        door.link.stop()
        door.outbox.stop()
        bench.stop()
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows_per_s": round(rows / seconds),
        **_quantiles("", before),
        **_quantiles("drain_", during),
        "opening_slower_percent": round((_median(during or before) - _median(before)) / _OPENING_MS * 100, 1),
        "alarm_ms": alarm_ms,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **counts,
    }


_median = statistics.median


def _paced(door: Door) -> float:
    time.sleep(_PACE_S)
    return door.timed()


def _alarm(door: Door, bench: Bench) -> float:
    """Milliseconds from a fresh alarm behind the backlog until the server has it and has said so."""
    began_s = time.perf_counter()
    door.timed(Priority.ALARM)
    seq = door.newest
    wait_until(lambda: bench.has_preview("door", seq) or door.outbox.status().acked_seq >= seq, 30, "the alarm")
    wait_until(lambda: seq not in door.link._sync.previews, 30, "the server's word that it has seen it")
    return round((time.perf_counter() - began_s) * 1000, 1)


def _quantiles(name: str, times_ms: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times_ms, n=20) if len(times_ms) > 1 else [0.0] * 19
    return {f"commit_{name}p50_ms": round(cuts[9], 2), f"commit_{name}p95_ms": round(cuts[18], 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000)
    with tempfile.TemporaryDirectory() as folder:
        result = run(parser.parse_args().rows, Path(folder))
    print(json.dumps(result))  # noqa: T201
    return int(any(result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")))


if __name__ == "__main__":
    sys.exit(main())
