"""What a roll-out is, as files beside the server: `plan.json` is the command's, `progress.json` the server's.

Each file has one writer and is replaced whole, so that command and server need no lock between them. The bundle lies
beside them under its own SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from agent.errors import StoreError
from deploy.community.rollout import Plan, Progress
from deploy.pki import write_file

_CHUNK_BYTES = 1 << 20


class RolloutStore:
    """The folder `releases_dir`. Made with the first roll-out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self) -> Plan | None:
        """The newest roll-out; None: there was none. Raises StoreError when the file can't be used."""
        found = self._read("plan.json")
        try:
            return None if found is None else Plan.read(found)
        except (ValueError, KeyError, TypeError) as e:
            raise StoreError(f"{self.folder}/plan.json: not a roll-out ({e}); remove it and start again") from e

    def progress(self, plan: Plan) -> Progress:
        """How far the server is with it. Raises StoreError when the file can't be used."""
        found = self._read("progress.json")
        if found is None or found.get("plan") != plan.id:
            return Progress(plan.id)
        try:
            return Progress.read(found)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise StoreError(f"{self.folder}/progress.json: can't be read ({e}); stop the roll-out") from e

    def write_plan(self, plan: Plan) -> None:
        """For the command alone."""
        write_file(self.folder / "plan.json", json.dumps(plan.to_json()).encode(), 0o600)

    def write_progress(self, progress: Progress) -> None:
        """For the server alone."""
        write_file(self.folder / "progress.json", json.dumps(progress.to_json()).encode(), 0o600)

    def bundle(self, sha256: str) -> Path:
        """Where a bundle lies."""
        return self.folder / f"{sha256}.tar"

    def take(self, bundle: Path) -> str:
        """Copy a bundle in, take those before it away; returns its SHA-256. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256()
        with bundle.open("rb") as source, tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as copy:
            try:
                while chunk := source.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
                place = self.bundle(digest.hexdigest())
                Path(copy.name).replace(place)
            except BaseException:
                Path(copy.name).unlink(missing_ok=True)
                raise
        for other in self.folder.glob("*.tar"):
            if other != place:
                other.unlink()
        return digest.hexdigest()

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as e:
            raise StoreError(f"{self.folder}/{name}: can't be read ({e})") from e
        if not isinstance(found, dict):
            raise StoreError(f"{self.folder}/{name}: not what was written there; remove it and start again")
        return found
