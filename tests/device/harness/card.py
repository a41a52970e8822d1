"""`python -m tests.device.harness.card CARD FOLDER JOURNAL`: what a power cut left of a journal on a card.

Mounts the card (its file system replays its own journal, as at a boot), opens ours with the outbox's own code and reads
every row. A cut can tear the file system's own superblock, of two sectors; then it is repaired first, from its copy, as
a boot with fsck.repair=yes does. Prints [last row, whole, repaired]. To be run in a mount namespace of its own
(unshare --mount).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from agent.core.journal import ClockQuality, Row
from agent.journal.opening import open_journal
from agent.journal.schema import Moment


def look(journal: Path) -> tuple[int, bool]:
    """(last row, whether every row up to it is there, unchanged and linked to the one before)."""
    if not journal.exists():
        return 0, True
    opened = open_journal(journal, "rig/door-1", Moment("rig", 0, 0, ClockQuality.NONE))
    with contextlib.closing(opened.store) as store:
        epoch, seen = store.current, 0
        while seen < epoch.last_seq:  # read() checks each row's hash and its link
            rows = store.read(epoch, seen + 1, 500)
            if not rows or not all(isinstance(row, Row) and row.seq == seen + 1 + i for i, row in enumerate(rows)):
                return seen, False
            seen += len(rows)
        return seen, opened.word in {"ok", "created"}


def mount(card: str, folder: str) -> bool:
    """Whether the file system had to be repaired for it."""
    command = ["mount", "-o", "loop", card, folder]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return False
    subprocess.run(["e2fsck", "-fy", card], capture_output=True, check=False)  # its exit codes tell what it mended
    subprocess.run(command, check=True)
    return True


def main(card: str, folder: str, journal: str) -> None:
    repaired = mount(card, folder)
    try:
        sys.stdout.write(json.dumps([*look(Path(folder) / journal), repaired]) + "\n")
    finally:
        subprocess.run(["umount", folder], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
