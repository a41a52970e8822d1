"""Runs on the door's computer as root: puts one bundle in place, switches to it, starts it.

    python3 install.py BUNDLE.tar [--config door.toml] [--no-start]

Needs Python 3.11 and nothing else. Each step looks first and says what it did; a second run does nothing. It can be
broken off anywhere and run again: a release counts only when its `.complete` mark is on the disk, and `current` is one
rename. The order: checksums, users, release, weights, units, configuration, switch, start, sync. The last line of
output is one JSON object {"release", "steps_done", "seconds"}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path("/opt/door-agent")
UNITS = Path("/etc/systemd/system")
CONFIG = Path("/etc/door-agent/door.toml")
WEIGHTS = Path("/var/lib/door-agent/weights")
# where each kind of file of the bundle's systemd/ folder goes
PLACES = {
    ".service": UNITS,
    ".socket": UNITS,
    ".target": UNITS,
    ".slice": UNITS,
    ".sysusers": Path("/etc/sysusers.d"),
    ".tmpfiles": Path("/etc/tmpfiles.d"),
    ".rules": Path("/etc/udev/rules.d"),
}


class InstallError(RuntimeError):
    """Nothing was switched; the message says what to do."""


class Installer:
    """One run. `done` counts the steps that changed something."""

    def __init__(self, bundle: Path, config: Path | None) -> None:
        self.bundle, self.config, self.done = bundle, config, 0
        self.manifest: dict[str, Any] = {}
        self.units: list[str] = []

    def step(self, what: str, *, did: bool) -> None:
        """Report one step."""
        self.done += did
        sys.stdout.write(f"{'did ' if did else 'ok  '} {what}\n")
        sys.stdout.flush()

    @property
    def release(self) -> Path:
        """The folder of the release in the bundle."""
        return ROOT / "releases" / str(self.manifest["version"])

    def run(self, *, start: bool) -> None:
        """All steps."""
        with tempfile.TemporaryDirectory(dir=ensure_folder(ROOT), prefix=".bundle-") as folder:
            stage = Path(folder)
            self.unpack(stage)
            self.install_units(stage)
            self.install_release(stage)
            self.install_weights(stage)
            self.install_config()
            self.switch()
        os.sync()
        if start:
            self.start()

    def unpack(self, stage: Path) -> None:
        """The bundle's files, every one of them checked against the manifest."""
        with tarfile.open(self.bundle) as tar:
            tar.extractall(stage, filter="data")
        self.manifest = json.loads((stage / "manifest.json").read_text())
        wanted = self.manifest["files"]
        found = {str(p.relative_to(stage)) for p in stage.rglob("*") if p.is_file()} - {"manifest.json"}
        if found != set(wanted):
            raise InstallError(f"the bundle is not whole: {sorted(found ^ set(wanted))[:5]}; copy it again")
        for name, facts in wanted.items():
            if hashlib.sha256((stage / name).read_bytes()).hexdigest() != facts["sha256"]:
                raise InstallError(f"{name} in the bundle is damaged; copy the bundle again")
        here = {"machine": platform.machine(), "python": f"cp{sys.version_info.major}{sys.version_info.minor}"}
        if self.manifest["for"] != here:
            raise InstallError(f"the bundle is for {self.manifest['for']}, this device is {here}; make one with --for")

    def install_units(self, stage: Path) -> None:
        """Users, folders, rules and units, before anything can refer to them."""
        changed = set()
        for path in sorted((stage / "systemd").rglob("*")):
            if path.is_dir():
                continue
            suffix = ".service" if path.parent.suffix == ".d" else path.suffix
            if suffix not in PLACES:
                continue
            name = path.stem + ".conf" if suffix in {".sysusers", ".tmpfiles"} else path.name
            folder = PLACES[suffix] / path.parent.name if path.parent.suffix == ".d" else PLACES[suffix]
            if replace(ensure_folder(folder) / name, path.read_bytes(), 0o644):
                changed.add(suffix)
            if suffix in {".service", ".socket", ".target"} and path.parent.suffix != ".d":
                self.units.append(path.name)
        self.step("users, folders and units", did=bool(changed))
        for suffix, command in (
            (".sysusers", "systemd-sysusers"),
            (".tmpfiles", "systemd-tmpfiles --create"),
            (".rules", "udevadm control --reload"),
        ):
            if suffix in changed:
                call(*command.split())
        if changed & {".service", ".socket", ".target", ".slice"}:
            call("systemctl", "daemon-reload")

    def install_release(self, stage: Path) -> None:
        """A virtual environment for each release; it sees the system's packages because lgpio is one of them."""
        mark = self.release / ".complete"
        if not mark.exists():
            shutil.rmtree(self.release, ignore_errors=True)
            call(sys.executable, "-m", "venv", "--system-site-packages", str(self.release / "venv"))
            wheels = [str(p) for p in sorted((stage / "wheels").glob("*.whl"))]
            pip = (str(self.release / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet")
            call(*pip, "install", "--no-index", "--no-deps", "--compile", *wheels)
            os.sync()
            mark.touch()
            sync_folder(self.release)
            self.step(f"release {self.release.name}", did=True)
        else:
            self.step(f"release {self.release.name}", did=False)

    def install_weights(self, stage: Path) -> None:
        """Model files, readable by the vision process."""
        files = sorted((stage / "weights").glob("*")) if (stage / "weights").is_dir() else []
        did = [replace(ensure_folder(WEIGHTS) / p.name, p.read_bytes(), 0o644) for p in files]
        self.step(f"{len(files)} weight files", did=any(did))

    def install_config(self) -> None:
        """The door's configuration, if one was given: checked by the release that will read it before it counts."""
        if self.config is None:
            return
        call(str(self.release / "venv/bin/door-agent"), "check-config", "--config", str(self.config))
        did = replace(ensure_folder(CONFIG.parent) / CONFIG.name, self.config.read_bytes(), 0o640)
        if did:
            call("systemd-tmpfiles", "--create")  # gives it to the group of the door's processes
        self.step("configuration", did=did)

    def switch(self) -> None:
        """`current` names the old release or the new one, never none."""
        link = ROOT / "current"
        target = f"releases/{self.release.name}"
        if link.is_symlink() and os.readlink(link) == target:  # noqa: PTH115  compared as text
            self.step("current release", did=False)
            return
        new = ROOT / ".current-new"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
        sync_folder(ROOT)
        self.step("current release", did=True)

    def start(self) -> None:
        """Units enabled and running with what is on the disk now."""
        wanted = [u for u in self.units if "\n[Install]" in (UNITS / u).read_text()]
        if wanted and not all(quiet("systemctl", "is-enabled", u) for u in wanted):
            call("systemctl", "enable", *wanted)
            self.done += 1
        if self.done or not all(quiet("systemctl", "is-active", u) for u in wanted):
            call("systemctl", "restart", *wanted)
            self.step("started " + ", ".join(wanted), did=True)
        os.sync()


def ensure_folder(path: Path) -> Path:
    """The folder, made if need be."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def replace(path: Path, data: bytes, mode: int) -> bool:
    """Write a whole file (temporary, fsync, rename, fsync the folder) unless it says so already; whether it did."""
    if path.exists() and path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
        return False
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    new.replace(path)
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """A rename counts only when its folder is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def call(*command: str) -> None:
    """Run a command; its words are shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed commands
    if done.returncode:
        raise InstallError(f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def quiet(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  fixed commands


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--config", type=Path, help="the door's configuration file")
    parser.add_argument("--no-start", action="store_true", help="put everything in place, start nothing")
    chosen = parser.parse_args(argv)
    if os.geteuid() != 0:
        sys.stderr.write("install: run as root (sudo)\n")
        return 2
    began, installer = time.monotonic(), Installer(chosen.bundle, chosen.config)
    try:
        installer.run(start=not chosen.no_start)
    except (InstallError, OSError, tarfile.TarError) as error:
        sys.stderr.write(f"install: {error}\n")
        return 1
    seconds = round(time.monotonic() - began, 1)
    facts = {"release": installer.release.name, "steps_done": installer.done, "seconds": seconds}
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
