"""The runner's way of working: look, say what was found and expected, do, look again, write it down.

A step never trusts its own note that it was done: it looks at the device. So a run that was broken off anywhere is
simply run again, and a second run does nothing. The note (journal.jsonl) is for people: what was done when, and where
the last run ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.device.commands import InstallError, quiet
from deploy.device.files import ensure_folder, replace, sync_folder
from deploy.device.install import CONFIG

STATE = Path("/var/lib/door-agent-setup")
JOURNAL = "journal.jsonl"
KEPT = "kept"  # files as they were before the first run, for --undo
UNITS_OFF = "units-off.json"
_ABSENT = ".absent"


@dataclass(frozen=True, slots=True)
class Look:
    """What a step finds: as expected or not, in words."""

    ok: bool
    found: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that should be so. `do` returns what it did in words; `why` is for the dry run and the report."""

    name: str
    expected: str
    look: Callable[[], Look]
    do: Callable[[], str]
    why: str = ""


class Talk:
    """One JSON object a line: news to the laptop on standard output, its answers on standard input."""

    deaf = False  # the laptop went away

    def tell(self, kind: str, **facts: Any) -> None:  # noqa: ANN401  JSON-shaped
        """Say something. Telling never stops doing: without a laptop it is said to nobody."""
        if self.deaf:
            return
        try:
            sys.stdout.write(json.dumps({"t": kind, **facts}) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):  # a broken pipe, a terminal that is gone, a closed file
            self.deaf = True
            with contextlib.suppress(OSError, ValueError):  # what is still unsaid goes nowhere, without complaint
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, sys.stdout.fileno())
                os.close(nowhere)

    def gone(self) -> bool:
        """Whether the laptop went away, also when nothing has been said since."""
        with contextlib.suppress(OSError, ValueError):  # no file behind it: then somebody is there
            end = select.poll()
            end.register(sys.stdout.fileno(), 0)
            self.deaf = self.deaf or bool(end.poll(0))
        return self.deaf

    def ask(self, what: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401  JSON-shaped
        """Ask the laptop and wait for its answer.

        Raises:
            InstallError: it refused, said nonsense, or is not there any more.
        """
        self.tell("ask", what=what, **facts)
        line = "" if self.deaf else sys.stdin.readline()
        if not line:
            raise InstallError("the connection ended; run the same command again, it goes on from here")
        try:
            answer: dict[str, Any] = json.loads(line)
            refused = answer.get("refused")
        except (ValueError, AttributeError) as error:
            raise InstallError(f"the laptop answered {what!r} with nonsense: {line[:80]!r}") from error
        if refused is not None:
            raise InstallError(str(refused))
        return answer

    def yes(self, what: str, words: str) -> bool:
        """Whether the person at the laptop says yes to these words. Raises InstallError as `ask` does."""
        return self.ask(what, words=words).get("yes") is True


class Runner:
    """Takes steps in order; `done` counts those that changed something."""

    def __init__(self, talk: Talk, *, dry_run: bool) -> None:
        self.talk, self.dry_run, self.done, self.seen = talk, dry_run, 0, 0

    def take(self, steps: Iterable[Step]) -> None:
        """Take them.

        Raises:
            InstallError: a step failed, or did not lead to what it should; the message says which.
        """
        for step in steps:
            self.seen += 1
            before = step.look()
            if before.ok or self.dry_run:
                self._say(step, before, "ok" if before.ok else "would", "")
                continue
            self.talk.tell("begin", name=step.name, found=before.found, expected=step.expected)
            note("begin", step.name)
            did = step.do()
            after = step.look()
            if not after.ok:
                raise InstallError(f"{step.name}: expected {step.expected}, still found {after.found}")
            self.done += 1
            note("done", step.name, did)
            self._say(step, before, "did", did)

    def _say(self, step: Step, look: Look, what: str, did: str) -> None:
        facts = {"name": step.name, "found": look.found, "expected": step.expected, "did": did, "why": step.why}
        self.talk.tell("step", state=what, **facts)


def note(what: str, step: str, did: str = "") -> None:
    """One line of the journal, on the disk when this returns."""
    line = {"at": round(time.time(), 1), "what": what, "step": step, **({"did": did} if did else {})}
    if not STATE.exists():
        STATE.mkdir(parents=True, mode=0o700)
        sync_folder(STATE.parent)
    with (STATE / JOURNAL).open("a") as journal:
        journal.write(json.dumps(line) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def broken_off() -> str:
    """The step in which the last run ended before its end; empty when it did not."""
    try:
        last = json.loads((STATE / JOURNAL).read_text().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return ""
    return str(last["step"]) if last["what"] == "begin" else ""


def keep(path: Path) -> None:
    """Remember a file as it is now, before it is changed for the first time."""
    copy = STATE / KEPT / str(path).strip("/").replace("/", "%")
    absent = copy.with_name(copy.name + _ABSENT)
    if copy.exists() or absent.exists():
        return
    ensure_folder(copy.parent)
    if path.exists():
        replace(copy, path.read_bytes(), path.stat().st_mode & 0o777)
    else:
        replace(absent, b"", 0o600)


def keep_units(units: Iterable[str]) -> None:
    """Remember services that are about to be switched off."""
    path = STATE / UNITS_OFF
    before = json.loads(path.read_text()) if path.exists() else []
    replace(ensure_folder(STATE) / UNITS_OFF, json.dumps(sorted({*before, *units})).encode(), 0o600)


def undo() -> list[str]:
    """Every kept file as it was, and what was switched off on again; returns their paths and names."""
    did = []
    if (off := STATE / UNITS_OFF).exists():
        did = [unit for unit in json.loads(off.read_text()) if quiet("systemctl", "enable", "--now", unit)]
        off.unlink()
    # not what a power cut left half kept (.….new): what it is of was not changed yet
    for copy in sorted((STATE / KEPT).glob("[!.]*")) if (STATE / KEPT).is_dir() else []:
        path = Path("/" + copy.name.removesuffix(_ABSENT).replace("%", "/"))
        if copy.name.endswith(_ABSENT):
            path.unlink(missing_ok=True)
        else:
            replace(path, copy.read_bytes(), copy.stat().st_mode & 0o777)
        copy.unlink()
        did.append(str(path))
    return did


def file_step(
    name: str, path: Path, data: bytes, mode: int, *, why: str, then: Callable[[], object] | None = None
) -> Step:
    """A whole file that should be there with these bytes and this mode; the old one is kept for --undo.

    `then` makes it count. A mark stands from before the file until that was done: a run that is killed in between
    leaves a file as expected, and a system that has not read it.
    """
    due = STATE / f"due-{name}"

    def look() -> Look:
        if due.exists():
            return Look(ok=False, found=f"{path}, which does not count yet")
        if not path.exists():
            return Look(ok=False, found=f"no {path}")
        same = path.read_bytes() == data and path.stat().st_mode & 0o777 == mode
        return Look(ok=same, found=str(path) if same else f"{path} with other contents")

    def do() -> str:
        if not path.is_relative_to(CONFIG.parent):  # the door's own files are not the system's settings
            keep(path)
        if then:
            replace(ensure_folder(STATE) / due.name, b"", 0o600)
        replace(ensure_folder(path.parent) / path.name, data, mode)
        if then:
            then()
            due.unlink()
            sync_folder(STATE)
        return f"wrote {path}"

    return Step(name, f"{path} as of this site", look, do, why)
