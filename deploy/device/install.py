"""Runs on the door's computer as root: puts one bundle in place, switches to it, starts it.

    python3 -m deploy.device.install BUNDLE.tar [--config door.toml] [--no-start]

Needs Python 3.11 and nothing else. Each step looks first and says what it did; a second run does nothing. It can be
broken off anywhere and run again: a release counts only when its `.complete` mark is on the disk, and `current` is one
rename. The order: checksums, release, users and units, weights, configuration, switch, start, sync. The last line of
output is one JSON object {"release", "steps_done", "seconds"}.

The units are links into `current`: program and unit change in the same rename, so that a power cut between the two
cannot leave a new unit with an old program.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.device import camera_network
from deploy.device.commands import InstallError, call, quiet
from deploy.device.files import ensure_folder, link, replace, sync_folder
from deploy.device.signature import check_signature
from deploy.device.unpack import unpack

ROOT = Path("/opt/door-agent")
UNITS = Path("/etc/systemd/system")
CONFIG = Path("/etc/door-agent/door.toml")
WEIGHTS = Path("/var/lib/door-agent/weights")
LINKED = frozenset({".service", ".socket", ".target", ".slice", ".timer", ".path"})
# copied, and only once its release has proved well: what judges a release at boot must not be part of it
OWN = frozenset({"door-settle.service", "door-update.service", "door-update.path"})
# where the other files of the bundle's systemd/ folder go, which nothing reads through `current`
PLACES = {
    ".sysusers": Path("/etc/sysusers.d"),
    ".tmpfiles": Path("/etc/tmpfiles.d"),
    ".rules": Path("/etc/udev/rules.d"),
}


# the site's public key for releases; once it is here, an unsigned bundle is refused
RELEASE_KEY = CONFIG.parent / "release.pub.pem"
UNLISTED = {"manifest.json", "signature.json"}
# exists while something on the disk is newer than what runs
RESTART_DUE = ROOT / ".restart-due"
# for our own files alone: the rest of the system is not ours to settle
SETTLE = (
    f"systemd-sysusers {PLACES['.sysusers']}/door.conf",
    f"systemd-tmpfiles --create {PLACES['.tmpfiles']}/door.conf",
    "udevadm control --reload",
    "udevadm trigger --subsystem-match=gpio",
)


COMMAND = Path("/usr/local/bin/door-agent")
COMMAND_TEXT = """\
#!/bin/sh
# The door's own program under the name that every page gives it. It runs as the agent's user, who alone may read keys
# and stores; whoever else calls it is asked by sudo. Files that it reads or writes belong where that user may: /tmp.
[ "$(id -u)" = 0 ] || exec sudo -- "$0" "$@"
as_agent="setpriv --reuid=door-agent --regid=door --groups=video,systemd-journal --"
export HOME=/var/lib/door-agent
$as_agent test -w . || cd /tmp
exec $as_agent /opt/door-agent/current/venv/bin/door-agent "$@"
"""


class Installer:
    """One run. `done` counts the steps that changed something."""

    def __init__(
        self,
        bundle: Path,
        config: Path | None,
        *,
        key: Path | None = None,
        older: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.bundle, self.config, self.done, self.key, self.older = bundle, config, 0, key or RELEASE_KEY, older
        self.note = note or _print
        self.serial = 0
        self.manifest: dict[str, Any] = {}
        self.units: list[str] = []

    def step(self, what: str, *, did: bool) -> None:
        """Report one step."""
        self.done += did
        self.note(f"{'did ' if did else 'ok  '} {what}")

    @property
    def release(self) -> Path:
        """The folder of the release in the bundle."""
        return ROOT / "releases" / str(self.manifest["version"])

    def run(self, *, start: bool) -> None:
        """All steps."""
        for left in ensure_folder(ROOT).glob(".bundle-*"):
            shutil.rmtree(left)  # of a run that was broken off
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bundle-") as folder:
            stage = Path(folder)
            self.unpack(stage)
            restart_due = RESTART_DUE.exists()
            mark_restart()
            self.install_release(stage)
            self.install_units()
            self.install_own_units()
            self.place_weights()
            self.install_config()
            self.switch()
        if not self.done and not restart_due:
            RESTART_DUE.unlink()
        os.sync()
        if start:
            self.start()

    def unpack(self, stage: Path) -> None:
        """The bundle's files, every one of them checked against the manifest."""
        unpack(self.bundle, stage)
        described = (stage / "manifest.json").read_bytes()
        self.serial = check_signature(described, stage / "signature.json", self.key)
        self.manifest = json.loads(described)
        wanted = self.manifest["files"]
        found = {str(p.relative_to(stage)) for p in stage.rglob("*") if p.is_file()} - UNLISTED
        if found != set(wanted):
            raise InstallError(f"the bundle is not whole: {sorted(found ^ set(wanted))[:5]}; copy it again")
        for name, facts in wanted.items():
            if hashlib.sha256((stage / name).read_bytes()).hexdigest() != facts["sha256"]:
                raise InstallError(f"{name} in the bundle is damaged; copy the bundle again")
        here = {"machine": platform.machine(), "python": f"cp{sys.version_info.major}{sys.version_info.minor}"}
        if self.serial < (newest := serial_of(ROOT / "current")) and not self.older:
            raise InstallError(
                f"older than what runs here ({self.serial} < {newest}); if meant: `door-agent update … --allow-older`"
            )
        if self.manifest["for"] != here:
            raise InstallError(f"the bundle is for {self.manifest['for']}, this device is {here}; make one with --for")

    def install_units(self, settle: Callable[..., object] | None = None) -> None:
        """Users, folders, rules and units, before anything can refer to them; `settle` runs what makes them count."""
        changed, self.units = False, []
        for path in sorted((self.release / "systemd").iterdir()):
            if path.suffix in LINKED:
                self.units.append(path.name)
            if path.suffix in LINKED and path.name not in OWN:
                changed |= link(ensure_folder(UNITS) / path.name, f"{ROOT}/current/systemd/{path.name}")
            elif path.suffix in PLACES:
                name = path.name if path.suffix == ".rules" else path.stem + ".conf"
                changed |= replace(ensure_folder(PLACES[path.suffix]) / name, path.read_bytes(), 0o644)
        # each of these does nothing where all is well; a run may have been broken off between file and command
        for command in SETTLE:
            (settle or call)(*command.split())
        changed |= replace(ensure_folder(COMMAND.parent) / COMMAND.name, COMMAND_TEXT.encode(), 0o755)
        self.step("users, folders and units", did=changed)

    def install_own_units(self, *, start: bool = False) -> None:
        """The units that are copied; a link to one, from an earlier release, becomes a file. `start`: what watches."""
        did, waiting = False, []
        for name in sorted(OWN):
            source, unit = self.release / "systemd" / name, ensure_folder(UNITS) / name
            if source.exists():
                if unit.is_symlink():
                    unit.unlink()
                did |= replace(unit, source.read_bytes(), 0o644)
                waiting += [name] if unit.suffix == ".path" else []
        if start and waiting:
            quiet("systemctl", "daemon-reload")
            quiet("systemctl", "start", "--no-block", *waiting)
        self.step("units of no release", did=did)

    def install_release(self, stage: Path) -> None:
        """A virtual environment for each release; it sees the system's packages because lgpio is one of them."""
        mark = self.release / ".complete"
        if did := not mark.exists():
            shutil.rmtree(self.release, ignore_errors=True)
            try:
                self._fill(stage)
            except BaseException:
                shutil.rmtree(self.release, ignore_errors=True)  # a full disk must not stay full of half a release
                raise
            os.sync()
            mark.touch()
            sync_folder(self.release)
        self.step(f"release {self.release.name}", did=did)

    def _fill(self, stage: Path) -> None:
        call(sys.executable, "-m", "venv", "--system-site-packages", str(self.release / "venv"))
        wheels = [str(p) for p in sorted((stage / "wheels").glob("*.whl"))]
        pip = (str(self.release / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet")
        call(*pip, "install", "--no-index", "--no-deps", "--compile", *wheels)
        # units name their documentation without a Python's version in its path
        packages = next((self.release / "venv" / "lib").glob("python3*"), self.release) / "site-packages"
        link(ensure_folder(self.release / "share") / "doc", f"../{packages.relative_to(self.release)}")
        for name in ("systemd", "weights"):
            if (stage / name).is_dir():
                shutil.copytree(stage / name, self.release / name)
        shutil.copy(stage / "manifest.json", self.release)
        (self.release / "serial").write_text(str(self.serial))

    def place_weights(self) -> None:
        """The release's model files where the vision process looks for them, beside those that somebody else put there.

        Each release keeps its own, so that going back brings back what the older one knows by its hash.
        """
        folder = self.release / "weights"
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        places = [ensure_folder((WEIGHTS / p.relative_to(folder)).parent) / p.name for p in files]
        did = [replace(place, p.read_bytes(), 0o644) for place, p in zip(places, files, strict=True)]
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
        did = link(ROOT / "current", f"releases/{self.release.name}")
        self.step("current release", did=did)

    def enable(self) -> bool:
        """Links for the next boot; whether one was made."""
        wants = ensure_folder(UNITS / "multi-user.target.wants")
        made = [link(wants / u, f"../{u}") for u in self.units if "\n[Install]" in self._unit(u)]
        return any(made)

    def start(self) -> None:
        """Units enabled and running with what is on the disk now."""
        new = self.enable()
        new |= camera_network.place(CONFIG, UNITS)
        wanted = [u for u in self.units if "\n[Install]" in self._unit(u) and "\nType=oneshot" not in self._unit(u)]
        due = RESTART_DUE.exists() or new or not all(quiet("systemctl", "is-active", u) for u in wanted)
        if due:
            call("systemctl", "daemon-reload")
            call("systemctl", "restart", *wanted)
            RESTART_DUE.unlink(missing_ok=True)
        self.step("started " + ", ".join(wanted), did=due)
        os.sync()

    def _unit(self, name: str) -> str:
        return (self.release / "systemd" / name).read_text()


def serial_of(release: Path) -> int:
    """The number under which a release was signed; 0 where there is none."""
    try:
        return int((release / "serial").read_text())
    except (OSError, ValueError):
        return 0


def mark_restart() -> None:
    """What follows changes what should run; the mark survives a power cut and goes when the services were restarted."""
    RESTART_DUE.touch()
    sync_folder(RESTART_DUE.parent)


def _print(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


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
