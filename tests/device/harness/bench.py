"""An installer with a laptop before a bare virtual device: the command as typed, the device as it is afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deploy import bundle
from deploy.provision import hostkey
from deploy.site_pki import SiteAuthority
from tests.device.harness.door import PINS, ensure_lgpio
from tests.device.harness.guest import Guest
from tests.device.harness.image import NATIVE, PROJECT, Kind, cache_folder, image, rig_for

DOOR = "door-3"
BEFORE_OTHERS = -10  # nice of a device: other jobs of this machine must not look like a slow card or a hanging kernel
SITE = """\
[site]
name = "rig"
[all.door]
lock_type = "fail-safe"
lock_duty = "continuous"
[all.hardware.inputs.contact]
pin = {contact}
[all.hardware.inputs.exit]
pin = {exit}
[all.hardware.inputs.fire]
pin = {fire}
[all.camera]
source = "none"
[doors.door-3.hardware.relay]
pin = {relay}
"""
# what makes one provisioned device equal to another: contents of what was set up, and what runs (never times or keys)
STATE_SCRIPT = r"""
cd /; readlink opt/door-agent/current
for d in etc/door-agent etc/systemd/system etc/systemd/system.conf.d etc/systemd/journald.conf.d etc/ssh/sshd_config.d \
         etc/sysusers.d etc/tmpfiles.d etc/udev/rules.d var/lib/door-agent/weights; do
  find $d -printf '%M %u:%g %p %l\n' 2>/dev/null | sort; done
find etc/door-agent -type f ! -name 'device.*' -exec sha256sum {} + | sort
(cd opt/door-agent/releases && find . -type f ! -name '*.pyc' ! -name RECORD ! -path '*/bin/*' | sort | sha256sum)
ls -A opt/door-agent | grep -v '^\.bundle' ; ls var/tmp/door-agent-setup 2>&1 | tail -1
systemctl is-active door-guard door-agent door-vision
"""


@dataclass
class Laptop:
    """What one call of the command said."""

    code: int
    said: dict[str, Any]
    errors: str


class Bench:
    """Use as a context manager: a guest made anew from the bare image, a site, its signed bundle."""

    def __init__(self, name: str, kind: Kind = NATIVE) -> None:
        self.kind, built, folder = kind, image(kind), cache_folder() / f"bench-{name}"
        self.guest = Guest(rig_for(kind, built), built, folder, {}, nice=BEFORE_OTHERS, kind=kind)
        self.site = cache_folder() / f"bench-{name}-site"

    def __enter__(self) -> Self:
        """Site, bundle, boot."""
        shutil.rmtree(self.site, ignore_errors=True)
        self.site.mkdir(parents=True)
        (self.site / "site.toml").write_text(SITE.format(**PINS))
        self.authority = SiteAuthority.create(self.site / "pki", "rig")
        for end in ("", ".pub"):
            shutil.copy(self.guest.image / f"key{end}", self.site / f"installer_ed25519{end}")
        (self.site / "installer_ed25519").chmod(0o600)
        self.bundle = self.site / "bundle.tar"
        weights = Path(os.environ.get("DOOR_AGENT_WEIGHTS", PROJECT.parent / "shared" / "data" / "weights"))
        self.release = bundle.make(
            self.kind.target,
            self.bundle,
            weights=weights if weights.is_dir() else None,
            wheels=[ensure_lgpio(self.kind.target)],
            key=self.authority.folder / "release.sign.key",
        )
        self.fresh()
        return self

    def __exit__(self, *exc: object) -> None:
        """Throw the guest away."""
        self.guest.remove()
        shutil.rmtree(self.site, ignore_errors=True)

    def fresh(self) -> None:
        """A bare device again."""
        if self.guest.folder.exists():
            self.guest.remove()
        (self.site / "known_hosts").unlink(missing_ok=True)
        self.guest.start()
        self.guest.without_watchdog()

    @property
    def port(self) -> int:
        """Of the device's SSH, on this machine."""
        facts = dict(word.split("=", 1) for word in (self.guest.folder / "vm.env").read_text().split())
        return int(facts["PORT"])

    def command(self, verb: str, *options: str, words: str = "") -> list[str]:
        """The command line of one verb."""
        base = [sys.executable, "-m", "agent.cli.main", verb, "pi@127.0.0.1", "--port", str(self.port), "--json"]
        base += ["--site", str(self.site / "site.toml"), "--door", DOOR, *options]
        if verb != "provision":
            return base
        watched = [] if {"--no-open", "--dry-run", "--undo"} & set(options) else ["--open-now"]
        return [*base, *watched, "--host-key", words or self.words()]

    def words(self) -> str:
        """The device's host key, as somebody who stands before it reads it."""
        return hostkey.words(hostkey.scan("127.0.0.1", self.port, timeout_s=30))

    def call(self, verb: str, *options: str, timeout_s: float = 1800, words: str = "") -> Laptop:
        """Type it and wait."""
        line = self.command(verb, *options, words=words)
        within_s = timeout_s * self.kind.times
        done = subprocess.run(line, capture_output=True, text=True, timeout=within_s, check=False, cwd=PROJECT)
        try:
            said = json.loads(done.stdout)
        except ValueError:
            said = {"error": done.stdout[-500:]}
        return Laptop(done.returncode, said, done.stderr)

    @contextlib.contextmanager
    def typing(self, verb: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Type it, in a process group of its own, to be killed."""
        null = subprocess.DEVNULL
        line = self.command(verb, *options)
        with subprocess.Popen(line, stdout=null, stderr=null, cwd=PROJECT, start_new_session=True) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def state(self) -> str:
        """The device as it is, for comparing two of them."""
        end_s = time.monotonic() + 120
        while True:
            found = self.guest.run(STATE_SCRIPT, check=False, timeout_s=300)
            if "activating" not in found or time.monotonic() > end_s:
                return found
            time.sleep(2)

    def open_ports(self) -> list[int]:
        """Every TCP port of the device that takes a connection, tried from outside, all 65,535."""
        number = subprocess.run(["cksum"], input=f"{self.guest.folder}\n", capture_output=True, text=True, check=True)
        scan = (
            "import socket\nfound=[]\n"
            "for p in range(1,65536):\n"
            "  s=socket.socket(); s.settimeout(0.5)\n"
            "  if s.connect_ex(('10.0.2.15',p))==0: found.append(p)\n"
            "  s.close()\n"
            "print(found)"
        )
        space = f"rig{number.stdout.split()[0]}"
        command = ["ip", "netns", "exec", space, sys.executable, "-c", scan]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        ports: list[int] = json.loads(done.stdout)
        return ports

    def secrets(self) -> list[str]:
        """Files on the device with a private key in them; SSH's own host keys and libraries' test data left out."""
        found = self.guest.run(
            "grep -rlI -e '-----BEGIN [A-Z ]*PRIVATE KEY' /etc /home /opt /var /root /tmp 2>/dev/null || true",
            timeout_s=600,
        ).split()
        return sorted(p for p in found if not p.startswith("/etc/ssh/ssh_host_") and "site-packages" not in p)

    def bad_modes(self) -> list[str]:
        """Files of the door that anybody may write, or that run with somebody else's rights."""
        places = "/opt/door-agent /etc/door-agent /var/lib/door-agent /var/lib/door-agent-setup"
        return self.guest.run(f"find {places} ! -type l '(' -perm /6000 -o -perm /0002 ')'").split()
