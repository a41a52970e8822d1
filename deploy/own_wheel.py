"""This program as a wheel, from its source tree or from the wheel that it was installed from: a laptop has either."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.errors import DoorAgentError

PROJECT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("agent", "hardware", "models", "deploy", "fixtures")
NAME: Final = "door-agent"
EPOCH: Final = 315_532_800  # 1980-01-01, the oldest a zip can say: the same tree makes the same wheel
SHARED: Final = "share/door-agent/systemd"  # where pyproject.toml puts the units in an environment


class BundleError(DoorAgentError):
    """The bundle cannot be made; the message says what to do."""


def version() -> str:
    """This program's, of the tree or of the installed wheel."""
    if _source():
        return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])
    return _installed().version


def units() -> Path:
    """The folder with systemd's units and what goes with them.

    Raises:
        BundleError: an installation without them.
    """
    if _source():
        return PROJECT / "systemd"
    for path in _installed().files or ():
        if str(path).endswith(f"{SHARED}/door-guard.service"):
            return Path(str(path.locate())).resolve().parent
    raise BundleError(
        f"this installation of {NAME} has no units ({SHARED}): install its wheel with pip, or use a source tree"
    )


def own_wheel(into: Path) -> None:
    """The wheel, into a folder."""
    if _source():
        _build(into)
    else:
        _pack(into)


def pip(*arguments: str) -> None:
    """Run this environment's pip quietly. Raises BundleError with its words."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603  our own
    if done.returncode:
        raise BundleError(f"pip {arguments[0]} failed:\n{done.stderr[-2000:]}")


def _source() -> bool:
    return (PROJECT / "pyproject.toml").is_file() and (PROJECT / "systemd").is_dir()


def _installed() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError as error:
        raise BundleError(f"{NAME} is neither a source tree here nor installed; install its wheel with pip") from error


def _build(into: Path) -> None:
    """From a copy, so that no build folder is left in the tree."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in (*PACKAGES, "systemd"):
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            if (PROJECT / name).exists():
                shutil.copy(PROJECT / name, copy / name)
            elif name == "README.md":
                (copy / name).write_text("door-agent\n")
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into), str(copy))


def _pack(into: Path) -> None:
    """The files of the installed wheel, under the hashes that they have now."""
    installed = _installed()
    stem = f"{NAME.replace('-', '_')}-{installed.version}"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    stamp = time.gmtime(EPOCH)[:6]
    with zipfile.ZipFile(into / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, path in sorted(_wheel_files(installed, stem)):
            data = path.read_bytes()
            wheel.writestr(zipfile.ZipInfo(name, stamp), data, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.writerow((name, f"sha256={digest}", len(data)))
        rows.writerow((f"{stem}.dist-info/RECORD", "", ""))
        wheel.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD", stamp), record.getvalue())


def _wheel_files(installed: importlib.metadata.Distribution, stem: str) -> Iterator[tuple[str, Path]]:
    """(name in the wheel, file here); what pip added when it installed is left out."""
    added = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    for path in installed.files or ():
        name, here = str(path), Path(str(path.locate()))
        if SHARED in name:
            yield f"{stem}.data/data/{SHARED}/{here.name}", here
        elif not name.startswith("..") and "__pycache__" not in name and path.name not in added:
            yield name, here
