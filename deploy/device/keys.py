"""The keys that a door believes, and its own pair: made here, signed by the site's authority on the laptop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.device.commands import call
from deploy.device.files import replace, sync_folder
from deploy.device.install import CONFIG, mark_restart
from deploy.device.steps import Look, Step, Talk, file_step

KEYS = CONFIG.parent / "keys"


def key_steps(plan: Mapping[str, Any], python: Path, talk: Talk) -> Iterator[Step]:
    """One for each key of `plan`, then the door's certificate; `python` is the release's own."""
    for name, text in plan["keys"].items():
        yield _key_step(name, text.encode())
    yield Certificate(plan, python, talk).step()


def _key_step(name: str, data: bytes) -> Step:
    step = file_step(f"key {name}", KEYS / name, data, 0o600, why="what this door believes")

    def look() -> Look:
        found = step.look()
        return found if not found.ok or owned(KEYS / name) else Look(ok=False, found="not the agent's")

    def do() -> str:
        mark_restart()
        did = step.do()
        own(KEYS, (KEYS / name).parent, KEYS / name)
        return did

    return Step(step.name, step.expected, look, do, step.why)


class Certificate:
    """The door's own; `plan` has site, door and crl (the site's revocation lists, PEM)."""

    def __init__(self, plan: Mapping[str, Any], python: Path, talk: Talk) -> None:
        self.name, self.lists = f"{plan['site']}/{plan['door']}", str(plan.get("crl", ""))
        self.python, self.talk = python, talk

    def step(self) -> Step:
        """Good by the same lists as the broker's, so that what it would refuse is renewed here."""
        why = "the private key is made on the device and never leaves it"
        return Step("certificate", f"of this site for {self.name}", self._look, self._do, why)

    def _look(self) -> Look:
        if not self.python.exists():
            return Look(ok=False, found="none yet")
        why = self._ask("judge", self.lists)
        if not why and not (owned(KEYS / "device.pem") and owned(KEYS / "device.key")):
            why = "its files are not the agent's"
        return Look(not why, why or f"good, the key in {self._ask('place')}")

    def _do(self) -> str:
        mark_restart()
        # whoever has the old key must not be this door again, also where a power cut came between certificate and key
        stolen = (KEYS / "device.key.next").exists() or "taken back" in self._ask("judge", self.lists)
        answer = self.talk.ask("certificate", request=self._ask("rekey" if stolen else "request"))
        replace(KEYS / "device.pem", answer["certificate"].encode(), 0o600)
        if stolen:
            (KEYS / "device.key.next").replace(KEYS / "device.key")
            sync_folder(KEYS)
        own(KEYS, KEYS / "device.pem", KEYS / "device.key")
        return f"made {'another' if stolen else 'a'} key here and had its certificate signed"

    def _ask(self, verb: str, words: str = "") -> str:
        command = [str(self.python), "-I", "-m", "deploy.device.identity", verb, str(KEYS), self.name]
        return call(*command, told=words).strip()


def own(*paths: Path) -> None:
    """For the agent's user alone."""
    for path in paths:
        shutil.chown(path, "door-agent", "door")
        path.chmod(0o700 if path.is_dir() else 0o600)


def owned(path: Path) -> bool:
    """Whether a file is the agent's, so that it can be read once root is out of the way."""
    try:
        return path.owner() == "door-agent"
    except (KeyError, FileNotFoundError):
        return False
