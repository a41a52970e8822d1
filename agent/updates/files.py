"""What an update is on the disk: the fetched file, the request to the device's updater, and what that one answers.

The agent writes below its own state folder alone. `door-update.path` sees `request.json` there; what the updater did
stands in `rollout.json` beside the releases, which the agent can read and not write.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.core.updates import Bundle, Stage, Update, Why
from deploy.device.files import replace
from deploy.device.offered import NotTakenError, judge, this_machine

REQUEST: Final = "request.json"
ANSWER: Final = "rollout.json"
RESERVE_BYTES: Final = 64 << 20  # left to the journal and to everybody else
NEEDED_FACTOR: Final = 4  # beside the releases: a copy, unpacked, installed, and room to breathe
_ANSWER_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """How an update went, as far as the device can say."""

    stage: Stage
    why: str = ""
    detail: str = ""


class UpdateFiles:
    """`folder` is made when it is needed; `releases` holds releases/, current, trial.json, rollout.json."""

    def __init__(self, folder: Path, releases: Path, key: Path, fallback_release: str) -> None:
        self.folder, self._releases, self._key = folder, releases, key
        self.running = running_release(releases, fallback_release)  # of this process: each switch starts another

    @property
    def machine(self) -> str:
        """As a bundle names what it is for: aarch64-cp313."""
        here = this_machine()
        return f"{here['machine']}-{here['python']}"

    def part(self, bundle: Bundle) -> Path:
        """What has been fetched so far."""
        return self.folder / f"{bundle.sha256}.part"

    def whole(self, bundle: Bundle) -> Path:
        """The file once its hash was right."""
        return self.folder / f"{bundle.sha256}.tar"

    def obstacle(self, bundle: Bundle) -> str:
        """Why this bundle cannot be taken here, before a byte of it is fetched; empty: nothing."""
        if not self._key.exists():
            return str(Why.NO_RELEASE_KEY)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError):  # a folder that cannot be asked is the updater's to judge
            if shutil.disk_usage(self._releases).free < NEEDED_FACTOR * bundle.size_bytes:
                return str(Why.NO_ROOM)
        return "" if self.room(bundle) else str(Why.NO_ROOM)

    def room(self, bundle: Bundle) -> bool:
        """Whether the rest of it fits beside the journal."""
        part = self.part(bundle)
        have = part.stat().st_size if part.exists() else 0
        return shutil.disk_usage(self.folder).free >= bundle.size_bytes - have + RESERVE_BYTES

    def judged(self, bundle: Bundle) -> tuple[str, str]:
        """Why the fetched file is not taken, in one word and in words; ("", "") when it is."""
        newest = _number(self._releases / "current" / "serial")
        try:
            offered = judge(self.whole(bundle), self._key, newest=newest)
        except NotTakenError as error:
            return error.reason, str(error)
        except (OSError, ValueError) as error:
            return str(Why.DAMAGED), str(error)
        if offered.release != bundle.release:
            return str(Why.DAMAGED), f"it is {offered.release}, {bundle.release} was ordered"
        return "", ""

    def keep_only(self, bundle: Bundle | None) -> None:
        """Take away whatever is there of others, or of all; the request too."""
        kept = (self.part(bundle), self.whole(bundle)) if bundle is not None else ()
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path not in kept:
                path.unlink(missing_ok=True)

    def withdraw(self) -> bool:
        """Take the request back; False: the updater has taken it, or there was none. One of the two removes it."""
        try:
            (self.folder / REQUEST).unlink()
        except FileNotFoundError:
            return False
        return True

    def hand_over(self, update: Update) -> None:
        """Ask the device's updater for it. Raises OSError."""
        what = {"order": update.handed, **update.bundle.to_json()}
        replace(self.folder / REQUEST, json.dumps(what).encode(), 0o600)

    def answer(self, update: Update, boot: str) -> Answer | None:
        """What became of it since it was handed over; None: nothing is known yet."""
        if (self._releases / "trial.json").exists():
            return None  # being judged
        if self.running == update.bundle.release:
            return Answer(Stage.WELL)
        said = self._said(update.handed)
        state = said.get("state")
        why, detail = str(said.get("why", ""))[:80], str(said.get("detail", ""))
        if state in (Stage.REFUSED, Stage.FAILED, Stage.ROLLED_BACK, Stage.CANCELLED, Stage.WAITING):
            return Answer(Stage(state), why, detail)
        if update.boot == boot:
            return None
        if state == "switching":  # judged at the boot that followed, and led back
            return Answer(Stage.ROLLED_BACK, str(Why.NOT_WELL), "led back after it was interrupted")
        return Answer(Stage.WAITING)

    def _said(self, handed: str) -> dict[str, Any]:
        try:
            with (self._releases / ANSWER).open("rb") as file:
                said = json.loads(file.read(_ANSWER_BYTES))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) and said.get("order") == handed else {}


def running_release(releases: Path, otherwise: str) -> str:
    """The name of the release that `current` names; asked at the start of a process, it is the one that runs."""
    try:
        return (releases / "current").readlink().name
    except OSError:
        return otherwise


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
