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
import tarfile
import tempfile
import time
import zipapp
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from deploy.device.signature import SIGNED_WORDS
from deploy.own_wheel import EPOCH, NAME, PROJECT, BundleError, own_wheel, pip, units, version
from deploy.sbom import bill
from deploy.weights import gather

# needed only where the dlib networks are: never beside weights of our own
DLIB_STACK: Final = frozenset({"dlib-bin", "face-recognition", "face-recognition-models", "setuptools"})
SOURCE_ONLY: Final = frozenset({"face-recognition-models"})  # published without a wheel
# Raspberry Pi OS bookworm has glibc 2.36
NEWEST_GLIBC: Final = 36
OLDEST_GLIBC: Final = 17


Say = Callable[[str], object]


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


def requirements(lock: str, *, leave_out: frozenset[str] = frozenset(), keep: frozenset[str] | None = None) -> str:
    """The lock's text without the packages named in `leave_out`, or with those in `keep` alone."""
    blocks = [
        (block.split("==")[0].strip().lower(), block)
        for block in re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)
    ]
    return "".join(block for name, block in blocks if name not in leave_out and (keep is None or name in keep))


def build_wheels(wanted: str, into: Path) -> None:
    """Wheels of sources under a pinned hash.

    Raises:
        BundleError: one of them came out for this machine alone.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen, tempfile.TemporaryDirectory() as folder:
        chosen.write(wanted)
        chosen.flush()
        pip("wheel", "--no-deps", "--require-hashes", "--no-build-isolation", "-r", chosen.name, "-w", folder)
        for wheel in sorted(Path(folder).glob("*.whl")):
            if not wheel.name.endswith("-none-any.whl"):
                raise BundleError(
                    f"{wheel.name} was built for this machine; leave it out, or make it on the device's kind"
                )
            shutil.copy(wheel, into)


def download_wheels(target: Target, into: Path, *, leave_out: frozenset[str]) -> None:
    """Wheels for another machine and Python, each under a pinned hash; nothing is resolved.

    Nothing is built either but what is published as source alone, which is data and fits every machine.
    """
    lock = target.lock.read_text()
    if not leave_out >= SOURCE_ONLY:
        build_wheels(requirements(lock, keep=SOURCE_ONLY - leave_out), into)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen:
        chosen.write(requirements(lock, leave_out=leave_out | SOURCE_ONLY))
        chosen.flush()
        platforms = [f"manylinux_2_{minor}_{target.machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
        options = [f"--platform={name}" for name in (*platforms, f"manylinux2014_{target.machine}")]
        version = target.python.removeprefix("cp")
        pip(
            *("download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={version}", f"--abi={target.python}", *options, "-r", chosen.name, "-d", str(into)),
        )


def manifest(stage: Path, target: Target) -> dict[str, object]:
    """What the bundle holds: every file with its size and SHA-256."""
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
        "name": NAME,
        "version": release_name(version(), files),
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


def stage_files(stage: Path, target: Target, weights: Path | None, wheels: list[Path], say: Say = print) -> None:
    """Lay out what the bundle holds; `weights`: a folder, else what is on this machine."""
    for folder in ("wheels", "weights", "systemd"):
        (stage / folder).mkdir()
    carried = gather(weights, stage / "weights")
    if not carried:
        say("no face networks on this machine (door-agent models pull): the bundle carries dlib's, which are worse")
    download_wheels(target, stage / "wheels", leave_out=DLIB_STACK if carried else frozenset())
    own_wheel(stage / "wheels")
    for wheel in wheels:
        shutil.copy(wheel, stage / "wheels")
    shutil.copytree(units(), stage / "systemd", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md"))
    make_runner(stage / "runner.pyz")
    described = bill(
        NAME,
        version(),
        list((stage / "wheels").iterdir()),
        [path for path in (stage / "weights").rglob("*") if path.is_file()],
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


def signer(key_file: Path) -> ed25519.Ed25519PrivateKey:
    """The key that signs releases. Raises BundleError where there is none."""
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{key_file}: cannot be read as a key ({error}); `door-agent site init` makes one") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BundleError(f"{key_file} is not an Ed25519 key; `door-agent site init` makes one")
    return key


def sign(described: bytes, key_file: Path, serial: int) -> bytes:
    """`signature.json`: who answers for this manifest, and which of two releases is the newer one."""
    signature = signer(key_file).sign(SIGNED_WORDS % serial + described)
    return json.dumps({"serial": serial, "signature": signature.hex()}).encode()


def make(
    target: Target,
    out: Path,
    *,
    weights: Path | None = None,
    wheels: list[Path] | None = None,
    key: Path | None = None,
    serial: int | None = None,
    say: Say = print,
) -> str:
    """Make a bundle at `out`, signed if `key` is given; returns the name of the release in it.

    `serial` orders releases (default: seconds since 1970); a device takes none below its own.
    """
    if key:
        signer(key)  # before the minutes that the rest takes
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        stage_files(stage, target, weights, wheels or [], say)
        described = manifest(stage, target)
        text = json.dumps(described, indent=1, sort_keys=True).encode()
        (stage / "manifest.json").write_bytes(text)
        if key:
            (stage / "signature.json").write_bytes(sign(text, key, int(time.time()) if serial is None else serial))
        write_tar(stage, out)
        return str(described["version"])
