"""Power cuts at the block level while events are written: what the outbox called committed must be there afterwards.

One run of the device is recorded write by write and flush by flush, outside of it. Each cut puts on a card what a card
with a volatile cache would hold had the plug been pulled at that write: everything up to the last flush, and of the
rest nothing, all, or torn sectors. The card is mounted (as a boot would) and the journal opened by the outbox itself.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.device.harness.door import ON_DEVICE, PYTHON, Door
from tests.device.harness.guest import Guest
from tests.device.harness.image import PROJECT

SECTOR = 512
DISCARD = 4
JOURNAL = Path("var/lib/rig-journal/journal.db")
ENTRY = struct.Struct("<QQQQ")  # sector, sectors, flags, data length


@dataclass(frozen=True)
class Acked:
    """Row `seq` was known to be committed when the write log was `log_bytes` long."""

    seq: int
    log_bytes: int


@dataclass
class Found:
    """What all cuts together left."""

    acked: int = 0
    lost: int = 0
    integrity_failures: int = 0
    file_systems_repaired: int = 0  # the card's own superblock was torn; not the journal's matter
    bad: list[dict[str, Any]] = field(default_factory=list)


def run(door: Door, *, cuts: int, seconds: float = 20.0, seed: int = 1, careless: bool = False) -> dict[str, Any]:
    """Record one run of `seconds`, then cut it `cuts` times at random writes. The guest is as before afterwards.

    `careless`: the control, a journal without flushes; it must lose rows.
    """
    guest, chance = door.guest, random.Random(seed)  # noqa: S311  repeatable, not secret
    guest.off()
    card, before = guest.folder / "card.raw", guest.folder / "before.raw"
    copy_card(card, before)
    guest.start()
    acked = record(guest, seconds, careless=careless)
    guest.cut()
    log, found = (guest.folder / "writes.log").rename(guest.folder / "kept.log"), Found()
    try:
        ends = entry_ends(log)
        first = bisect_right(ends, acked[0].log_bytes)
        for n in range(cuts):
            upto = chance.randrange(first, len(ends) + 1)
            expected = max((a.seq for a in acked if a.log_bytes <= ends[upto - 1]), default=0)
            one_cut(guest, log, ("none", "all", str(n))[n % 3], upto, expected, found)
    finally:
        before.replace(card)
        guest.start()
    if not found.bad or careless:
        log.unlink()
    facts = {"cuts": cuts, **asdict(found), "rows_written": acked[-1].seq}
    return {name: value for name, value in facts.items() if not (careless and name == "bad")}


def one_cut(guest: Guest, log: Path, keep: str, upto: int, expected: int, found: Found) -> None:
    """The card as it was at that write, and what the outbox finds on it; `expected` is the last row that it must."""
    torn = guest.folder / "cut.raw"
    copy_card(guest.folder / "before.raw", torn)
    subprocess.run([guest.rig / "lose-writes", log, torn, keep, str(upto)], check=True, capture_output=True)
    last, whole, repaired = inspect(torn, guest.folder / "mnt")
    torn.unlink()
    found.acked += expected
    found.lost += max(0, expected - last)
    found.integrity_failures += not whole
    found.file_systems_repaired += repaired
    if last < expected or not whole:
        found.bad.append({"keep": keep, "entries": upto, "acked": expected, "found": last, "whole": whole})


def record(guest: Guest, seconds: float, *, careless: bool) -> list[Acked]:
    """Let the writer write; note for each committed row how long the write log was when we heard of it."""
    acked, log = [], guest.folder / "writes.log"
    command = f"{PYTHON} {ON_DEVICE}/writer.py /{JOURNAL.parent} {seconds}{' careless' if careless else ''}"
    with guest.running(command) as writer:
        end_s = time.monotonic() + seconds + 30
        for line in writer.stdout or ():
            acked.append(Acked(int(line.split()[0]), log.stat().st_size))
            if time.monotonic() > end_s:
                break
    if len(acked) < 10:
        raise RuntimeError(f"the writer committed only {len(acked)} rows in {seconds} s")
    return acked


def entry_ends(log: Path) -> list[int]:
    """Where each entry of the write log (dm-log-writes format) ends, in bytes."""
    ends, position, size = [], SECTOR, log.stat().st_size
    with log.open("rb") as f:
        while position + SECTOR <= size:
            f.seek(position)
            _, sectors, flags, _ = ENTRY.unpack(f.read(ENTRY.size))
            if flags >> 5 or (flags == 0 and sectors == 0):
                break
            position += SECTOR + (0 if flags & DISCARD else sectors * SECTOR)
            if position > size:
                break
            ends.append(position)
    return ends


def copy_card(source: Path, target: Path) -> None:
    """A sparse copy, always a new file."""
    target.unlink(missing_ok=True)
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def inspect(card: Path, at: Path) -> tuple[int, bool, bool]:
    """(last row found, whether every row up to it is there, unchanged and linked, whether the card was repaired).

    In a mount namespace of its own: whoever copies ours while the card is mounted would keep its loop device alive.
    """
    at.mkdir(exist_ok=True)
    command = ["unshare", "--mount", sys.executable, "-m", "tests.device.harness.card", card, at, JOURNAL]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT)
    found: tuple[int, bool, bool] = tuple(json.loads(done.stdout))
    return found


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    return [name for name in ("lost", "integrity_failures") if result[name]]
