"""Somebody edits a door's journal: every edit is noticed, by `verify` with the first bad row, or by the server.

python -m tests.faults.tamper --n 200
Of four kinds of journal (one epoch, one with folded rows, two epochs after a fork, two after a rescue) rows, facts,
marks, epochs, the file's own notes and the write-ahead log are edited. The same journals unedited must not be
complained of. The last line printed is one JSON object: tried, noticed, ways, by_verify, by_server_or_door, wrong_row,
innocent_accused.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from agent.command_line import as_program, count
from agent.errors import StoreError
from agent.journal.opening import open_journal
from agent.journal.schema import JournalDamagedError
from agent.journal.verify import verify
from tests.faults.tamper_edits import (
    EPOCHS,
    IN_PLACE,
    MARKS,
    ROWS,
    Edit,
    Way,
    claim_delivered,
    drop_mark,
    edit_mark,
    uncarry,
)
from tests.faults.tamper_files import WHOLE_FILE, whole_file
from tests.faults.tamper_journals import DEVICE, Server, folded, moment, parted, plain, record, rescued


def complaint(path: Path, server: Server) -> str | None:
    """The door starts on the journal as it now is, goes on living, and connects. Who complains, and of what?"""
    opened = open_journal(path, DEVICE, moment(ROWS + 1))
    store = opened.store
    try:
        if opened.word == "quarantined":
            return f"door: {opened.detail}"
        store.append([(moment(ROWS + 1), record(0))] * 45)
        try:
            told = server.talk(store)
        except JournalDamagedError as e:  # found while it is read: the outbox replaces it there and then
            return f"door: {e}"
        return told[0] if told else None
    finally:
        store.close()


Build = Callable[[Path, Server, random.Random], None]
WAYS: tuple[tuple[Build, Way | str], ...] = (
    *((plain, way) for way in (*IN_PLACE, *WHOLE_FILE)),
    *((folded, way) for way in MARKS),
    *((parted, way) for way in (*EPOCHS, uncarry)),
    *((rescued, way) for way in (*EPOCHS, claim_delivered, drop_mark, edit_mark)),
)


def attempt(n: int, folder: Path) -> dict[str, object]:
    """One edit of a fresh journal, and who noticed."""
    rng = random.Random(n)  # noqa: S311  repeatable
    path = folder / "journal.db"
    server = Server(folder / "community.db")
    build, way = WAYS[n % len(WAYS)]
    build(path, server, rng)
    expected = 0
    if isinstance(way, str):
        whole_file(way, path, rng, server)
    else:
        edit = Edit(path, rng)
        expected = way(edit)
        edit.db.close()
    bad = _verified(path)
    complains = complaint(path, server)
    server.ledger.close()
    return {
        "journal": build.__name__,
        "way": way if isinstance(way, str) else way.__name__,
        "verify": bad[0] if bad else None,
        "wrong_row": bool(expected and bad and bad[1] != expected),
        "complaint": complains,
    }


def innocent(folder: Path) -> list[str]:
    """Journals that nobody edited: whoever complains of one of these is wrong."""
    wrong = []
    for build in (plain, folded, parted, rescued):
        path = folder / build.__name__ / "journal.db"
        path.parent.mkdir()
        server = Server(path.with_name("community.db"))
        build(path, server, random.Random(1))  # noqa: S311  repeatable
        lawful = {"parted": {"server: fork"}, "rescued": {"server: rows-lost"}}.get(build.__name__, set())
        bad, complains = _verified(path), complaint(path, server)
        if bad or complains not in (None, *lawful):
            wrong.append(f"{build.__name__}: {bad}, {complains}")
        server.ledger.close()
    return wrong


def _verified(path: Path) -> tuple[str, int] | None:
    try:
        bad = verify(path).bad
    except StoreError as e:
        return str(e), 0
    return (bad[0].why, bad[0].seq) if bad else None


def run(n: int) -> tuple[dict[str, int], list[dict[str, object]]]:
    """All attempts; the second value lists those that nobody noticed, or whose first bad row was the wrong one."""
    results = []
    for i in range(n):
        with tempfile.TemporaryDirectory() as folder:
            results.append(attempt(i, Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        wrong = innocent(Path(folder))
    unnoticed = [r for r in results if not r["verify"] and not r["complaint"]]
    counts = {
        "tried": n,
        "noticed": n - len(unnoticed),
        "ways": min(n, len(WAYS)),
        "by_verify": sum(bool(r["verify"]) for r in results),
        "by_server_or_door": sum(bool(r["complaint"]) for r in results),
        "wrong_row": sum(bool(r["wrong_row"]) for r in results),
        "innocent_accused": len(wrong),
    }
    return counts, [*unnoticed, *(r for r in results if r["wrong_row"]), *({"accused": w} for w in wrong)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=count, default=200)
    counts, unnoticed = run(parser.parse_args().n)
    for one in (*unnoticed, counts):
        print(json.dumps(one))  # noqa: T201
    return int(counts["noticed"] != counts["tried"] or bool(counts["wrong_row"] or counts["innocent_accused"]))


if __name__ == "__main__":
    sys.exit(as_program("tamper", main))
