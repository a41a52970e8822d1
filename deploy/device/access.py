"""Who may reach the device afterwards: SSH by key alone, nothing else listens."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.device.commands import InstallError, call, quiet
from deploy.device.files import ensure_folder, replace
from deploy.device.steps import STATE, Look, Step, Talk, keep

SSHD = Path("/etc/ssh/sshd_config.d/00-door-agent.conf")  # the first word on a setting counts there
CONFIRMED = "ssh-confirmed"
LISTENERS = ("rpcbind", "cups", "cups-browsed", "avahi-daemon", "ModemManager", "smbd", "nmbd", "exim4", "bluetooth")
_ALLOWED_UDP = {"68", "546"}  # the address lease's own
_LOOPBACK = re.compile(r"(127\.|\[::1\]|\[::ffff:127\.)")


def sshd_text(user: str, address: str | None) -> str:
    """Keys only, one user, no forwarding but to the door's own page."""
    return f"""\
# Written by door-agent provision; `door-agent provision … --undo` takes it back.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PermitEmptyPasswords no
AllowUsers {user}
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding local
PermitTunnel no
MaxAuthTries 3
LoginGraceTime 30
{f"ListenAddress {address}" if address else "# listens on every address; [ssh] listen in the site file narrows it"}
"""


def access_steps(plan: Mapping[str, Any], talk: Talk) -> Iterator[Step]:
    """`plan` has user, ssh_listen (or null) and keep_mdns."""
    yield _ssh(sshd_text(plan["user"], plan.get("ssh_listen")), talk)
    yield _listeners(keep_mdns=bool(plan.get("keep_mdns")))


def _ssh(text: str, talk: Talk) -> Step:
    digest = hashlib.sha256(text.encode()).hexdigest()
    mark = STATE / CONFIRMED

    def look() -> Look:
        same = SSHD.exists() and SSHD.read_text() == text
        ok = same and mark.exists() and mark.read_text() == digest
        return Look(ok, "keys only" if ok else "not hardened yet" if not SSHD.exists() else "not confirmed yet")

    def do() -> str:
        keep(SSHD)
        before = SSHD.read_bytes() if SSHD.exists() else None
        replace(ensure_folder(SSHD.parent) / SSHD.name, text.encode(), 0o644)
        try:
            call("sshd", "-t")
            call("systemctl", "reload", "ssh")
            talk.ask("try-ssh")
        except InstallError as error:
            if before is None:
                SSHD.unlink()
            else:
                replace(SSHD, before, 0o644)
            call("systemctl", "reload", "ssh")
            raise InstallError(f"SSH is as it was, because nobody could come in any more: {error}") from error
        replace(ensure_folder(mark.parent) / mark.name, digest.encode(), 0o600)
        return "keys only, tried with a new connection"

    return Step("SSH", "keys only, one user, no root", look, do, "a password can be guessed or shared, a key cannot")


def _listeners(*, keep_mdns: bool) -> Step:
    def look() -> Look:
        found = listening()
        if keep_mdns:
            found = [one for one in found if "avahi" not in one]
        kept = ", mDNS for its .local name" if keep_mdns else ""
        return Look(not found, ", ".join(found) if found else f"only SSH{kept}")

    def do() -> str:
        units = [u for u in LISTENERS if quiet("systemctl", "is-active", u) and not (keep_mdns and u == "avahi-daemon")]
        for unit in units:
            for kind in ("socket", "service"):
                quiet("systemctl", "disable", "--now", f"{unit}.{kind}")
        if left := [one for one in listening() if not (keep_mdns and "avahi" in one)]:
            raise InstallError(
                f"these listen to the network and are not known here; switch them off: {', '.join(left)}"
            )
        return "switched off " + ", ".join(units)

    return Step("open ports", "SSH and nothing else", look, do, "what does not listen cannot be attacked")


def listening() -> list[str]:
    """Programs that others can reach over the network, SSH left out: "name udp/5353"."""
    said = subprocess.run(["ss", "-Hltunp"], capture_output=True, text=True, check=False).stdout  # noqa: S607  fixed
    found = set()
    for line in said.splitlines():
        words = line.split()
        kind, local = words[0], words[4]
        program = re.search(r'\("([^"]+)"', line)
        name, port = program[1] if program else "?", local.rsplit(":", 1)[-1]
        ssh = kind == "tcp" and (name in {"sshd", "sshd-session"} or (name == "systemd" and port == "22"))
        if not (ssh or _LOOPBACK.match(local) or (kind == "udp" and port in _ALLOWED_UDP)):
            found.add(f"{name} {kind}/{port}")
    return sorted(found)
