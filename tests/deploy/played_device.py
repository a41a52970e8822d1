"""A device in a folder: the system's programs are scripts that keep its state in files, releases folders of scripts.

So what runs on a device runs here as it is, down to the commands it calls. `DEVICE` is the folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from played_guard import PlayedGuard

from deploy.device import (
    access,
    boot,
    deadman,
    detached,
    files,
    guard_end,
    health,
    install,
    keys,
    runner,
    setup,
    staged,
    steps,
    update,
    ways,
)  # fmt: skip

SERVICES = ("door-guard", "door-agent", "door-vision")
WELL = {"configuration": True, "camera": True, "server": True, "clock": True}
_SYSTEMCTL = r"""#!/bin/bash
echo "systemctl $*" >> "$DEVICE/calls"
verb=$1; shift
units() { for one; do case $one in -*) ;; *) echo "${one%.service}";; esac; done; }
current=$(basename "$(readlink "$DEVICE/opt/current")")
case $verb in
  is-active|is-enabled) for u in $(units "$@"); do [ -e "$DEVICE/active/$u" ] || exit 3; done;;
  stop) for u in $(units "$@"); do rm -f "$DEVICE/active/$u"; done;;
  reload|reload-or-restart) [ ! -e "$DEVICE/failing/reload" ] || exit 1;;
  start|restart) for u in $(units "$@"); do
    rm -f "$DEVICE/active/$u"; [ -e "$DEVICE/opt/releases/$current/sick-$u" ] || touch "$DEVICE/active/$u"; done;;
  kill) [ -e "$DEVICE/refuses" ] || touch "$DEVICE/opened";;
  show) case "$*" in
    *StatusText*) cat "$DEVICE/status" 2>/dev/null;;
    *SubState*) n=$(cat "$DEVICE/starting" 2>/dev/null || echo 0)
      if [ "$n" -gt 0 ]; then echo $((n - 1)) > "$DEVICE/starting"; echo start; else echo running; fi;;
    *) echo NRestarts=0;; esac;;
esac
exit 0
"""
_OTHER = """#!/bin/bash
echo "{name} $*" >> "$DEVICE/calls"
[ ! -e "$DEVICE/failing/{name}" ] || {{ echo "{name}: no" >&2; exit 73; }}
"""
_SSHD = """#!/bin/bash
[ ! -e "$DEVICE/failing/sshd" ] || { echo "sshd: bad option" >&2; exit 255; }
[ -e "$DEVICE/no-include" ] || [ "$1" != -T ] || cat "$DEVICE/etc/ssh/00.conf"
"""
_RELEASE = {
    "door-agent": """#!/bin/bash
[ "$1" != check-config ] || [ ! -e "$DEVICE/failing/check-config" ] || exit 2
[ "$1" != check-config ] || exit 0
case "$*" in
  "events list --kind "*) grep -F "kind\\": \\"$4" "$DEVICE/rows" 2>/dev/null || true; exit 0;;
  "enroll --list "*) [ ! -e "$DEVICE/people" ] || { cat "$DEVICE/people"; exit 0; };;
esac
exec bash "$(dirname "$0")/doctor" "$@"
""",
    "python": """#!/bin/bash
echo "stores $*" >> "$DEVICE/calls"
[ $# -gt 3 ] || echo '{"journal": 1}'
""",
}


class PlayedDevice:
    """`calls` is what was run. Releases `old` (current, running) and `new` are there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "opt"
        for name in ("bin", "active", "failing", "etc", "state", "units", "weights", "run"):
            (folder / name).mkdir(parents=True)
        self._script("systemctl", _SYSTEMCTL)
        for name in ("systemd-run", "systemd-sysusers", "systemd-tmpfiles", "udevadm", "sysctl"):
            self._script(name, _OTHER.format(name=name))
        self._script("sshd", _SSHD)
        self._script("ip", "#!/bin/bash\necho '2: eth0    inet 10.0.0.7/24 brd 10.0.0.255 scope global eth0'\n")
        self._script("ss", "#!/bin/bash\n")
        for name in ("old", "new"):
            self.release(name)
        files.link(self.root / "current", "releases/old")
        (folder / "etc" / "door.toml").write_text("settings of the old release")
        for unit in SERVICES:
            (folder / "active" / unit).touch()
        self._guard = PlayedGuard(folder / "run" / "guard.sock", folder)

    def release(self, name: str, *, weights: bytes | None = None) -> Path:
        """A whole release; its doctor says that all is well."""
        folder = self.root / "releases" / name
        (folder / "venv" / "bin").mkdir(parents=True)
        (folder / "systemd").mkdir()
        for unit in (*SERVICES, "door-settle"):
            kind = "Type=oneshot" if unit == "door-settle" else "Type=notify"
            text = f"# {name}\n[Service]\n{kind}\n\n[Install]\nWantedBy=multi-user.target\n"
            (folder / "systemd" / f"{unit}.service").write_text(text)
        for name_, text in _RELEASE.items():
            self._script(name_, text, folder / "venv" / "bin")
        self.doctor(name, WELL)
        if weights is not None:
            (folder / "weights").mkdir()
            (folder / "weights" / "net.onnx").write_bytes(weights)
        (folder / ".complete").touch()
        return folder

    def doctor(self, release: str, said: dict[str, bool] | str) -> None:
        """What a release's doctor prints, or a line of shell instead of it."""
        if isinstance(said, dict):
            checks = [{"name": k, "ok": v, "found": "", "expected": "", "do_this": ""} for k, v in said.items()]
            said = f"echo '{json.dumps({'checks': checks})}'"
        (self.root / "releases" / release / "venv" / "bin" / "doctor").write_text(said + "\n")

    def sick(self, release: str, unit: str) -> None:
        """That service does not live with that release."""
        (self.root / "releases" / release / f"sick-{unit}").touch()

    def fails(self, program: str) -> None:
        """A program of the system fails from now on, as in a sandbox that is too tight for it."""
        (self.folder / "failing" / program).touch()

    def wired(self, inputs: dict[str, bool], lamps: tuple[str, ...] = ()) -> None:
        """The guard has these inputs (name -> active) and lamps."""
        self._guard.inputs, self._guard.lamps = inputs, lamps

    def line(self, name: str, *, active: bool) -> None:
        """The guard tells everybody who listens of an input."""
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._guard.news.append({"type": "input", "line": name, "active": active, "at_s": now_s})

    @property
    def shown(self) -> list[str]:
        """Indications that somebody asked the guard for."""
        with self._guard.hears:
            self._guard.hears.wait_for(lambda: self._guard.shown, timeout=10)
            return list(self._guard.shown)

    def has_rows(self, *rows: dict[str, object]) -> None:
        """The journal, oldest first, for `door-agent events list`."""
        (self.folder / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def has_people(self, *people: dict[str, object]) -> None:
        """The roster, for `door-agent enroll --list`."""
        (self.folder / "people").write_text(json.dumps({"people": people}))

    def open(self) -> None:
        """The agent lets somebody in, as it does at root's signal."""
        (self.folder / "opened").touch()

    def status(self, words: str) -> None:
        """What the agent has told systemd of itself."""
        (self.folder / "status").write_text(words)

    def starting_for(self, looks: int) -> None:
        """A service is still starting for so many looks at it."""
        (self.folder / "starting").write_text(str(looks))

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def openings(self) -> int:
        return sum(call.startswith("systemctl kill -s SIGUSR1") for call in self.calls)

    @property
    def running(self) -> set[str]:
        return {path.name for path in (self.folder / "active").iterdir()}

    @property
    def current(self) -> str:
        return (self.root / "current").readlink().name

    @property
    def releases(self) -> set[str]:
        return {path.name for path in (self.root / "releases").iterdir()}

    def close(self) -> None:
        self._guard.close()

    def _script(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.folder / "bin") / name
        path.write_text(text)
        path.chmod(0o755)

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        """This process is on the device from now on."""
        patch.setenv("DEVICE", str(self.folder))
        patch.setenv("PATH", f"{self.folder / 'bin'}:{os.environ['PATH']}")
        root, config = self.root, self.folder / "etc" / "door.toml"
        places = {"ROOT": root, "CONFIG": config}
        names = {
            install: {**places, "UNITS": self.folder / "units", "WEIGHTS": self.folder / "weights",
                      "RESTART_DUE": root / ".restart-due",
                      "COMMAND": self.folder / "bin" / "door-agent",
                      "RELEASE_KEY": self.folder / "etc" / "release.pub.pem",
                      "PLACES": dict.fromkeys(install.PLACES, self.folder / "units")},
            ways: places,
            update: {**places, "TRIAL": root / "trial.json"},
            staged: {**places, "FOLDER": self.folder / "update", "ANSWER": root / "rollout.json",
                     "COPY": root / ".offered.tar", "RELEASE_KEY": self.folder / "etc" / "release.pub.pem"},
            deadman: {"RUNNER": root / "runner.pyz"},
            access: {"SSHD": self.folder / "etc" / "ssh" / "00.conf", "SYSCTL": self.folder / "etc" / "60.conf",
                     "STATE": self.folder / "state"},
            runner: {"LOCK": self.folder / "run" / "lock", "STATE": self.folder / "state"},
            setup: {**places, "STATE": self.folder / "state", "PICTURES": self.folder / "run" / "pictures"},
            keys: {"KEYS": self.folder / "etc" / "keys"},
            health: {**places, "_SETTLED_S": 0.0, "VERDICT_S": 0.0, "as_agent": _as_anybody},
            guard_end: {"GUARD": str(self.folder / "run" / "guard.sock")},
            detached: {"TOLD": self.folder / "run" / "told.jsonl"},
            boot: {"BOOT_CONFIG": self.folder / "etc" / "config.txt", "ETC": self.folder / "etc"},
            steps: {"STATE": self.folder / "state", "CONFIG": config},
        }  # fmt: skip
        for module, values in names.items():
            for name, value in values.items():
                patch.setattr(module, name, value)
        patch.setattr(update.sys, "argv", [__file__])
        patch.setattr(update.shutil, "chown", lambda *_: None)
        patch.setattr(update.time, "sleep", lambda _: None)

    def offers(self, patch: pytest.MonkeyPatch, name: str) -> None:
        """The bundle is of this release, which is installed when it is not there."""

        def install_release(*_: object) -> None:
            if name not in self.releases:
                self.release(name)

        patch.setattr(install.Installer, "unpack", lambda one, _: setattr(one, "manifest", {"version": name}))
        patch.setattr(install.Installer, "install_release", install_release)


def _as_anybody(command, *, timeout_s, group="door", told=""):
    """The door's users are not here; everything else of it is."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s, cwd="/", input=told, errors="replace"
    )
