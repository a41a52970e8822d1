"""Makes the one file that an installer carries to a door: wheels by hash, weights, units and the on-device installer.

    door-agent bundle --for aarch64-cp313 --out bundle.tar [--weights FOLDER] [--wheel FILE …] [--key release.key]

Nothing in it is fetched on the device. `manifest.json` names every file with its size and SHA-256, `signature.json`
says who made it and its number in the order of releases; deploy/device/install.py refuses a bundle that says
otherwise. A wheel is taken only under the hash that deploy/locks/
pins. The dlib stack (129 MB, one part of it published as source only) is left out when the bundle carries weights,
because then no network of it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipapp
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent.errors import DoorAgentError
from deploy.device.signature import SIGNED_WORDS
from deploy.sbom import bill

PROJECT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("agent", "hardware", "models", "deploy", "fixtures")
# needed only where the dlib networks are: never beside weights of our own
DLIB_STACK: Final = frozenset({"dlib-bin", "face-recognition", "face-recognition-models", "setuptools"})
# Raspberry Pi OS bookworm has glibc 2.36
NEWEST_GLIBC: Final = 36
OLDEST_GLIBC: Final = 17
EPOCH: Final = 315_532_800  # 1980-01-01, the oldest a zip can say: the same tree makes the same wheel


class BundleError(DoorAgentError):
    """The bundle cannot be made; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the bundle is for: a machine as `uname -m` says it, and a CPython as cp313."""

    machine: str
    python: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """`x86_64-cp313` or `cp313-x86_64`."""
        if found := re.fullmatch(r"(x86_64|aarch64)-(cp3\d\d)|(cp3\d\d)-(x86_64|aarch64)", text):
            first, second, third, fourth = found.groups()
            return cls(first or fourth, second or third)
        raise BundleError(f"--for {text}: give a machine and a Python, for example aarch64-cp313")

    def __str__(self) -> str:
        return f"{self.machine}-{self.python}"

    @property
    def lock(self) -> Path:
        """The lock file that pins its wheels."""
        path = PROJECT / "deploy" / "locks" / f"{self.python}-{self.machine}.txt"
        if not path.is_file():
            have = ", ".join(sorted(p.stem for p in path.parent.glob("cp*") if not p.stem.endswith("-dev")))
            raise BundleError(f"there is no lock for {self}; there are {have}")
        return path


def requirements(lock: str, *, leave_out: frozenset[str]) -> str:
    """The lock's text without the packages named in `leave_out`."""
    blocks = re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)
    return "".join(block for block in blocks if block.split("==")[0].strip().lower() not in leave_out)


def download_wheels(target: Target, into: Path, *, leave_out: frozenset[str]) -> None:
    """Wheels for another machine and Python, each under a pinned hash; nothing is built, nothing resolved."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen:
        chosen.write(requirements(target.lock.read_text(), leave_out=leave_out))
        chosen.flush()
        platforms = [f"manylinux_2_{minor}_{target.machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
        options = [f"--platform={name}" for name in (*platforms, f"manylinux2014_{target.machine}")]
        version = target.python.removeprefix("cp")
        pip(
            *("download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={version}", f"--abi={target.python}", *options, "-r", chosen.name, "-d", str(into)),
        )


def own_wheel(into: Path) -> None:
    """door-agent's wheel, made from a copy so that no build folder is left in the tree."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in PACKAGES:
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            if (PROJECT / name).exists():
                shutil.copy(PROJECT / name, copy / name)
            elif name == "README.md":
                (copy / name).write_text("door-agent\n")
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into), str(copy))


def pip(*arguments: str) -> None:
    """Run this environment's pip quietly."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603  our own
    if done.returncode:
        raise BundleError(f"pip {arguments[0]} failed:\n{done.stderr[-2000:]}")


def manifest(stage: Path, target: Target) -> dict[str, object]:
    """What the bundle holds: every file with its size and SHA-256."""
    project = _project()
    files = {
        str(path.relative_to(stage)): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    }
    return {
        "format": 1,
        "name": project["name"],
        "version": release_name(project["version"], files),
        "for": {"machine": target.machine, "python": target.python},
        "files": files,
    }


def release_name(version: str, files: dict[str, dict[str, object]]) -> str:
    """Version and content: two bundles of one version with other bytes are two releases."""
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return f"{version}+{digest[:10]}"


def write_tar(stage: Path, out: Path) -> None:
    """A tar that depends on nothing but the files: sorted, without owners and times."""
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as handle:
        with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(stage.rglob("*")):
                if path.is_file():
                    info = tarfile.TarInfo(str(path.relative_to(stage)))
                    info.size, info.mode = path.stat().st_size, 0o644
                    tar.addfile(info, io.BytesIO(path.read_bytes()))
        Path(handle.name).replace(out)


def stage_files(stage: Path, target: Target, weights: Path | None, wheels: list[Path]) -> None:
    """Lay out what the bundle holds."""
    for folder in ("wheels", "weights", "systemd"):
        (stage / folder).mkdir()
    download_wheels(target, stage / "wheels", leave_out=DLIB_STACK if weights else frozenset())
    own_wheel(stage / "wheels")
    for wheel in wheels:
        shutil.copy(wheel, stage / "wheels")
    for path in weight_files(weights):
        shutil.copy(path, stage / "weights")
    shutil.copytree(PROJECT / "systemd", stage / "systemd", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md"))
    make_runner(stage / "runner.pyz")
    project = _project()
    described = bill(
        project["name"],
        project["version"],
        list((stage / "wheels").iterdir()),
        list((stage / "weights").iterdir()),
        PROJECT / "models" / "manifest.toml",
    )
    (stage / "sbom.cdx.json").write_text(json.dumps(described, indent=1, sort_keys=True))


def make_runner(out: Path) -> None:
    """deploy/device as one file that any Python 3.11 runs."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "deploy"
        (package / "device").mkdir(parents=True)
        for source in sorted((PROJECT / "deploy" / "device").glob("*.py")):
            shutil.copy(source, package / "device")
        (package / "__init__.py").touch()
        for path in (*Path(folder).rglob("*"), Path(folder)):
            os.utime(path, (EPOCH, EPOCH))
        zipapp.create_archive(folder, out, main="deploy.device.runner:main", compressed=True)


def sign(described: bytes, key_file: Path, serial: int) -> bytes:
    """`signature.json`: who answers for this manifest, and which of two releases is the newer one."""
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BundleError(f"{key_file} is not an Ed25519 key; `door-agent site init` makes one")
    signature = key.sign(SIGNED_WORDS % serial + described)
    return json.dumps({"serial": serial, "signature": signature.hex()}).encode()


def _project() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return found


def weight_files(folder: Path | None) -> Iterator[Path]:
    """The files of a weights folder that models/manifest.toml names, if one is given."""
    if folder is None:
        return
    entries = tomllib.loads((PROJECT / "models" / "manifest.toml").read_text())["model"]
    for name in sorted({file["name"] for entry in entries for file in entry["files"]}):
        if (folder / name).is_file():
            yield folder / name


def make(
    target: Target,
    out: Path,
    *,
    weights: Path | None = None,
    wheels: list[Path] | None = None,
    key: Path | None = None,
    serial: int | None = None,
) -> str:
    """Make a bundle at `out`, signed if `key` is given; returns the name of the release in it.

    `serial` orders releases (default: seconds since 1970); a device takes none below its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        stage_files(stage, target, weights, wheels or [])
        described = manifest(stage, target)
        text = json.dumps(described, indent=1, sort_keys=True).encode()
        (stage / "manifest.json").write_bytes(text)
        if key:
            (stage / "signature.json").write_bytes(sign(text, key, int(time.time()) if serial is None else serial))
        write_tar(stage, out)
        return str(described["version"])
