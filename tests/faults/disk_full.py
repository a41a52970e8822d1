"""A real disk runs full under a running door: exit and residents go on, nothing is lost untold, it mends by itself.

python -m tests.faults.disk_full --rounds 4 --mib 16        (as root: it mounts a small file system)
Guard and agent are the real processes on simulated lines; the journal lies on a loop-mounted ext4 that somebody else
fills to the last byte and keeps full. Before, during and after, a resident opens and the exit button is pressed. The
last line printed is one JSON object: openings, exits, refused, lost, declared (rows that did not fit into memory either
and are counted by one), failing_rows, slowest_before_ms, slowest_full_ms (face to relay), recovered_s, chain_ok.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.command_line import as_program, count
from agent.core.events import Kind
from agent.journal.verify import verify
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from tests.app.door_processes import VECTOR, Door
from tests.faults.visitors import Visitors

_PHASES = ("before", "full", "after")


def unable() -> str | None:
    """Why this machine can't mount a small disk; None when it can."""
    if os.geteuid() != 0:
        return "mounting a loop device takes root"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if Path("/dev/loop-control").exists() else "this kernel has no loop devices"


@contextlib.contextmanager
def small_disk(where: Path, mib: int) -> Iterator[Path]:
    """An ext4 of `mib` MiB mounted at `where`, taken away at the end."""
    image = where.with_name(where.name + ".img")
    with image.open("wb") as f:
        f.truncate(mib * 1024 * 1024)
    where.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-J", "size=1", "-b", "1024", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


class Filler:
    """Somebody else's file that takes every free byte as soon as there is one."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "somebody-elses.log"
        self._disk, self._stop = disk, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def fill(self) -> None:
        self._thread.start()
        while os.statvfs(self._disk).f_bavail:
            time.sleep(0.01)

    def remove(self) -> None:
        self._stop.set()
        self._thread.join()
        self._path.unlink()

    def _run(self) -> None:
        with self._path.open("ab", buffering=0) as f:
            while not self._stop.is_set():
                for size in (65536, 1024):
                    with contextlib.suppress(OSError):
                        while not self._stop.is_set() and f.write(bytes(size)):
                            pass
                self._stop.wait(0.005)


def run(rounds: int, mib: int, folder: Path) -> dict[str, Any]:
    with small_disk(folder / "state", mib) as disk:
        door, stop = Door(folder), threading.Event()
        visitors = Visitors(door, _people(disk, rounds * len(_PHASES)))
        beat = threading.Thread(target=visitors.alive, args=(stop,))
        try:
            door.start_guard()
            door.start_agent()
            beat.start()
            door.wrote("Agent/Vision", state="Up")
            door.wrote("Door/State/DoorPhysicalState", state="Closed")
            return _campaign(door, disk, rounds, visitors)
        finally:
            stop.set()
            beat.join()
            door.close()


def _people(disk: Path, count: int) -> list[str]:
    """Enrol so many: the same person is not let in twice within seconds."""
    store = RosterStore(disk)
    residents = Residents(store)
    made = [residents.add(f"P {n}", consent_now(0), [NewFace(VECTOR, 1.0)], "net", "five").id for n in range(count)]
    store.close()
    return made


def _campaign(door: Door, disk: Path, rounds: int, visitors: Visitors) -> dict[str, Any]:
    filler = Filler(disk)
    for phase in _PHASES:
        if phase == "full":
            filler.fill()
        for _ in range(rounds):
            visitors.open(phase)
            visitors.leave()
        if phase == "full":
            filler.remove()
            back_s = time.monotonic()
            door.until(lambda: _well(door), "the journal never recovered", 60)
            recovered_s = time.monotonic() - back_s
    done = visitors.done
    door.until(lambda: _count(door, Kind.REQUEST_TO_EXIT) >= done["exits"], "the last row never came")
    declared: Counter[str] = Counter()
    for body in _bodies(door, "recovered"):
        declared.update(body.get("never_stored", {}))
    wanted = {Kind.ACCESS_GRANTED: done["openings"], Kind.REQUEST_TO_EXIT: done["exits"]}
    lost = sum(max(0, n - _count(door, kind) - declared[kind]) for kind, n in wanted.items())
    return {
        "openings": done["openings"],
        "exits": done["exits"],
        "refused": done["openings"] - done["opened"] + done["exits"] - done["exited"],
        "lost": lost,
        "declared": declared.total(),
        "failing_rows": len(_bodies(door, "Failing")),
        "slowest_full_ms": round(max(visitors.opened_ms["full"], default=-1.0), 1),
        "slowest_before_ms": round(max(visitors.opened_ms["before"], default=-1.0), 1),
        "recovered_s": round(recovered_s, 1),
        "chain_ok": verify(disk / "journal.db").ok,
    }


def _well(door: Door) -> bool:
    """Every failure has its recovery: inside its own file the journal may have gone on while the disk was full."""
    return len(_bodies(door, "recovered")) >= len(_bodies(door, "Failing")) > 0


def _count(door: Door, kind: Kind) -> int:
    return door.kinds().count(kind)


def _bodies(door: Door, state: str) -> list[dict[str, Any]]:
    return [b for k, b in door.rows() if k in (Kind.STORE, Kind.TOMBSTONE) and b.get("state") == state]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=count, default=4, help="openings and exits in each of the three phases")
    parser.add_argument("--mib", type=count, default=16, help="size of the disk")
    a = parser.parse_args()
    why = unable()
    if why is not None:
        sys.stderr.write(f"{why}\n")
        return 5
    with tempfile.TemporaryDirectory() as folder:
        result = run(a.rounds, a.mib, Path(folder))
    print(json.dumps(result))  # noqa: T201
    return int(bool(result["refused"] or result["lost"] or not result["failing_rows"] or not result["chain_ok"]))


if __name__ == "__main__":
    sys.exit(as_program("disk_full", main))
