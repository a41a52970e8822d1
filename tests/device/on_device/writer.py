"""On the device, with the release's own Python: writes events through the real outbox and prints each committed number.

    writer.py FOLDER SECONDS [careless]

A line is printed only after the outbox said Committed, so whoever has read the line may rely on the row. `careless`
takes SQLite's flushes away: the control that shows that the campaign would see a loss.
"""

import queue
import random
import sys
import time
from pathlib import Path

from agent.clock import SystemClock
from agent.core.events import Kind, Priority, Record
from agent.core.stream import Committed
from agent.outbox import Outbox, OutboxSettings


def main(folder: Path, seconds: float, *, careless: bool) -> None:
    mail: queue.SimpleQueue[object] = queue.SimpleQueue()
    outbox = Outbox(OutboxSettings(folder / "journal.db", "rig", "door-1"), mail.put, SystemClock())
    outbox.start()
    if careless and outbox._store is not None:
        outbox._store.db.execute("PRAGMA synchronous=OFF")
    chance, end_s, n = random.Random(1), time.monotonic() + seconds, 0  # noqa: S311
    while time.monotonic() < end_s:
        burst = chance.choice((1, 1, 1, 2, 7))
        for _ in range(burst):
            n += 1
            body = {"n": n, "filling": "x" * chance.randrange(300)}
            outbox.append(Record(Kind.ACCESS_DENIED, body, Priority.NORMAL), token=str(n))
        while burst:
            answer = mail.get(timeout=30)
            if isinstance(answer, Committed):
                burst -= 1
                sys.stdout.write(f"{answer.seq} {answer.epoch}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), careless="careless" in sys.argv[3:])
