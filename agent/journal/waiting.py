"""Rows that wait for a disk which takes nothing, written where it has no say: into space kept for them beforehand.

Killed meanwhile, the next start takes them up. Which of them are in the journal already is noted there, in the
transaction that stores them, so none comes twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality, fitting_body
from agent.journal.schema import Moment
from agent.journal.work import Entry

_SIZE_BYTES = 1024 * 1024  # some 4,000 rows
_FREE_TIMES = 8  # kept only where the disk has so many times the room


class WaitingRoom:
    """One file beside the journal: JSON lines, each with the name of the outage that it belongs to, then zeros."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + ".waiting")
        self._name = ""
        self._at = self._number = 0

    def keep(self) -> None:
        """Have the space for it."""
        with contextlib.suppress(OSError):
            space = os.statvfs(self._path.parent)
            if self._path.exists() or space.f_bavail * space.f_frsize < _FREE_TIMES * _SIZE_BYTES:
                return
            fresh = self._path.with_name(self._path.name + ".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as f:  # noqa: PTH123  a descriptor
                f.write(bytes(_SIZE_BYTES))  # written, not only promised: a full disk has to take them a second time
                f.flush()
                os.fsync(f.fileno())
            fresh.replace(self._path)

    def read(self) -> list[Entry]:
        """What an earlier run left here; what is written from now on follows it."""
        entries: list[Entry] = []
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # a torn last line ends it
            for line in self._path.read_bytes().split(b"\0", 1)[0].splitlines(keepends=True):
                name, entry = _read(line)
                if self._name not in ("", name):
                    break
                self._name, self._at, self._number = name, self._at + len(line), entry.number
                entries.append(entry)
        return entries

    def write(self, entries: Iterable[Entry]) -> None:
        """Put down those that are not here yet, as far as there is room."""
        self._name = self._name or secrets.token_hex(4)
        lines, number = b"", self._number
        for entry in (e for e in entries if e.number > number):
            line = _line(self._name, entry)
            if self._at + len(lines) + len(line) >= _SIZE_BYTES:
                break
            lines, number = lines + line, entry.number
        if not lines:
            return
        with contextlib.suppress(OSError), self._path.open("r+b", buffering=0) as f:
            f.seek(self._at)
            f.write(lines + b"\0")
            os.fdatasync(f.fileno())
            self._at, self._number = self._at + len(lines), number

    def note(self, number: int) -> tuple[str, int] | None:
        """What the journal has to remember with the entries up to `number`; None: none of them is here."""
        return (self._name, number) if self._name else None

    def clear(self) -> None:
        """Everything is in the journal."""
        if self._name:
            self._name, self._at = "", 0
            with contextlib.suppress(OSError), self._path.open("r+b") as f:
                f.write(b"\0")
                f.flush()
                os.fdatasync(f.fileno())


def _line(name: str, e: Entry) -> bytes:
    w, r = e.when, e.record
    when = [w.boot_id, w.boottime_ms, w.wall_ms, str(w.clock)]
    facts = dict(r.facts) if r.facts else None
    told = [name, e.number, when, str(r.kind), int(r.priority), fitting_body(r.body), facts]
    return json.dumps(told).encode() + b"\n"


def _read(line: bytes) -> tuple[str, Entry]:
    name, number, (boot_id, boottime_ms, wall_ms, clock), kind, priority, body, facts = json.loads(line)
    when = Moment(boot_id, boottime_ms, wall_ms, ClockQuality(clock))
    return name, Entry(when, Record(Kind(kind), body, Priority(priority), facts), None, number)
