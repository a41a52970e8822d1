"""Random kill -9 of broker, door and server and cuts of the link, then the count: nothing lost, doubled or reordered.

python -m tests.faults.chaos --events 2000 --seed 1
The last line printed is one JSON object: events, kills, lost, doubled, reordered, chain_breaks, seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from agent.command_line import above_zero, as_program, count
from tests.faults.bench import Bench, Child, judged, wait_until
from tests.faults.proxy import Proxy


def run(events: int, seed: int, *, per_s: float = 60.0, loss: float = 0.0, folder: Path) -> dict[str, float]:
    """One campaign. The schedule of kills depends on the seed alone; what they hit depends on the machine."""
    rng = random.Random(seed)  # noqa: S311  a repeatable schedule, not a secret
    bench = Bench(folder)
    started_s = time.monotonic()
    bench.broker.start()
    bench.server.start()
    proxy = Proxy(bench.broker.port, loss=loss)
    door = bench.door("door", events=events, per_s=per_s, port=proxy.port)
    door.start()
    kills = 0
    try:
        while door.exit_code is None or door.exit_code != 0:
            if door.exit_code is not None:
                raise RuntimeError(f"the door ended by itself: {(folder / 'door.log').read_text()[-2000:]}")
            if bench.count("door") >= events:  # there is nothing left to disturb
                break
            time.sleep(rng.uniform(0.3, 3.0))
            kills += _strike(rng, bench, door, proxy)
        wait_until(lambda: door.exit_code is not None, 120 + events / 100, "the last acknowledgement")
    finally:
        door.kill()
        proxy.close()
        bench.stop()
    return {"events": events, "kills": kills, **judged(bench.stored("door"), events),
            "seconds": round(time.monotonic() - started_s, 1)}  # fmt: skip


def _strike(rng: random.Random, bench: Bench, door: Child, proxy: Proxy) -> int:
    what = rng.choice(("broker", "door", "server", "link"))
    pause_s = rng.uniform(0.0, 0.5)
    if what == "broker":
        bench.broker.kill()
        time.sleep(pause_s)
        bench.broker.start()
    elif what == "server":
        bench.server.kill()
        time.sleep(pause_s)
        bench.server.start()
    elif what == "door":
        if door.exit_code is not None:
            return 0
        door.kill()
        time.sleep(pause_s)
        door.start()
    else:
        proxy.cut(stall_s=pause_s)
        return 0
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=count, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-s", type=above_zero, default=60.0, help="events the door makes a second")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost between door and broker, 0.2")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(a.events, a.seed, per_s=a.per_s, loss=a.loss, folder=Path(folder))
    print(json.dumps(result))  # noqa: T201
    return int(any(result[k] for k in ("lost", "doubled", "reordered", "chain_breaks")))


if __name__ == "__main__":
    sys.exit(as_program("chaos", main))
