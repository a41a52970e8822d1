"""What doctor asks where releases are taken from afar: the key that judges them, and who puts them in place."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hardware.finding import Check

if TYPE_CHECKING:
    from agent.config import Config

_WATCHER: Final = "door-update.path"
_ASK_S: Final = 10.0


def check_updates(config: Config) -> Iterator[Check]:
    """Nothing where the door takes no release from afar; whether its server is there is not judged by this."""
    if config.updates is None:
        return
    from deploy.device.signature import public_key

    key = Path(config.updates.release_key_file)
    try:
        public_key(key.read_text())
        ok, found = True, f"{key} is there, fetched from {config.updates.host}:{config.updates.port}"
    except (OSError, ValueError) as error:
        ok, found = False, f"{key}: {error}"
    yield Check("release key", ok, found, "the site's key for bundles", "" if ok else "provision the device again")
    if (systemctl := shutil.which("systemctl")) is None:
        return
    said = _said(systemctl)
    ok = said == "active"
    todo = "" if ok else f"sudo systemctl enable --now {_WATCHER}; it comes with provisioning"
    yield Check("updater", ok, f"{_WATCHER} is {said}", "active: it sees a fetched release", todo)


def _said(systemctl: str) -> str:
    command = [systemctl, "is-active", _WATCHER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ASK_S)  # noqa: S603  fixed
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not known ({error})"
    return done.stdout.strip() or "not known"
