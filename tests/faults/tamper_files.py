"""Edits of a journal's files as a whole: put back, cloned, cut, overwritten; the write-ahead log among them."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

from agent.journal.store import Store
from tests.faults.tamper_edits import (
    ROWS,
)
from tests.faults.tamper_journals import ACKED, Server, moment, record

WHOLE_FILE = ("roll back", "clone", "remove", "overwrite bytes", "cut the log", "overwrite the log", "drop the log")


def whole_file(how: str, path: Path, rng: random.Random, server: Server) -> None:
    if how == "roll back":
        shutil.copy(path.with_name("older.db"), path)
    elif how == "remove":
        path.unlink()
    elif how == "clone":  # the original lives on and talks to the server; then its twin does
        twin = path.with_name("twin.db")
        shutil.copy(path, twin)
        store = Store(twin)
        store.append([(moment(ROWS + 2), record(1))] * 10)
        server.hello(store)
        server.rows(store.read(store.current, ACKED + 1, 500), store.current.name)
        store.close()
    elif how.endswith("the log"):
        _the_log(how, path, rng, server)
    else:
        content = bytearray(path.read_bytes())
        places = [m.start() for m in re.finditer(rb'"person_id":"p-', bytes(content))]
        at = rng.choice(places)  # in a row's text: elsewhere lies space that nobody reads
        content[at : at + 12] = rng.randbytes(12)
        path.write_bytes(content)


def _the_log(how: str, path: Path, rng: random.Random, server: Server) -> None:
    """The door was killed: its newest row, which the server has, stands in the write-ahead log alone."""
    log = path.with_name(path.name + "-wal")
    store = Store(path)
    store.append([(moment(ROWS), record(ROWS))])
    server.talk(store)
    kept = {name: name.read_bytes() for name in (path, log)}
    store.close()
    for name, content in kept.items():
        name.write_bytes(content)
    frames = bytearray(kept[log])
    at = rng.randrange(40, len(frames) - 30)
    if how == "cut the log":
        log.write_bytes(frames[:at])
    elif how == "drop the log":
        log.unlink()
    else:
        frames[at : at + 12] = rng.randbytes(12)
        log.write_bytes(frames)
