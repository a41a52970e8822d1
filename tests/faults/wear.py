"""What one committed event costs the card: bytes that the kernel sends to the block device, everything included.

python -m tests.faults.wear --events 2000 --folder /var/tmp
The last line printed is one JSON object: events, written_bytes_per_event, stored_bytes_per_event, commit_p50_ms,
commit_p99_ms. A folder in memory (tmpfs) gives 0 written bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent.command_line import as_program, count
from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality
from agent.journal.opening import open_journal
from agent.journal.schema import Moment


def _written_bytes() -> int:
    found = re.search(r"^write_bytes: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def run(events: int, folder: Path) -> dict[str, float]:
    path = folder / "journal.db"
    store = open_journal(path, "s1/d1", Moment("boot", 1, 1, ClockQuality.NTP)).store
    before, times_ms = _written_bytes(), []
    for n in range(events):
        began_s = time.perf_counter()
        body = {"request_id": f"{n:016x}", "credential": "face", "person_id": f"p-{n % 300:04}", "distance": 0.3123}
        record = Record(Kind.ACCESS_GRANTED, body, Priority.NORMAL, {"refusals": n % 5})
        store.append([(Moment("boot", n * 1000, 1_790_000_000_000 + n * 1000, ClockQuality.NTP), record)])
        times_ms.append((time.perf_counter() - began_s) * 1000)
    store.close()
    cuts = statistics.quantiles(times_ms, n=100)
    return {
        "events": events,
        "written_bytes_per_event": round((_written_bytes() - before) / events),
        "stored_bytes_per_event": round(path.stat().st_size / events),
        "commit_p50_ms": round(cuts[49], 2),
        "commit_p99_ms": round(cuts[98], 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=count, default=2000)
    parser.add_argument("--folder", help="on the disk to be measured; default: the folder for temporary files")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        print(json.dumps(run(a.events, Path(folder))))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(as_program("wear", main))
