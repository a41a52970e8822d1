"""Who may reach the device afterwards: SSH by key alone, nothing else listens.

A change to SSH can shut everybody out, so it counts only once the laptop has come in by it. Until then a note lies on
the disk, and whatever happens takes it back: a fault here at once, a timer of systemd's when this process is killed or
waits for a laptop that has gone, door-settle at the boot after a power cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.device import deadman
from deploy.device.commands import InstallError, call, quiet
from deploy.device.files import ensure_folder, replace, sync_folder
from deploy.device.steps import STATE, Look, Step, Talk, file_step, keep, keep_units

SSHD = Path("/etc/ssh/sshd_config.d/00-door-agent.conf")  # the first word on a setting counts there
SYSCTL = Path("/etc/sysctl.d/60-door-agent.conf")
CONFIRMED, UNCONFIRMED = "ssh-confirmed", "ssh-unconfirmed"
BACK_TIMER, BACK_WITHIN_S = "door-agent-ssh-back", 180
LISTENERS = ("rpcbind", "cups", "cups-browsed", "avahi-daemon", "ModemManager", "smbd", "nmbd", "exim4", "bluetooth")
_ALLOWED_UDP = {"68", "546"}  # the address lease's own
_LOOPBACK = re.compile(r"(127\.|\[::1\]|\[::ffff:127\.)")
_EFFECT = ("passwordauthentication no", "permitrootlogin no", "kbdinteractiveauthentication no")
# sshd ends when it cannot bind, as at a boot before the address was leased; the kernel may let it bind all the same
_NONLOCAL = b"""\
# sshd may listen on the management address before the device has it.
net.ipv4.ip_nonlocal_bind = 1
net.ipv6.ip_nonlocal_bind = 1
"""


def sshd_text(user: str, address: str | None, page_port: int | None = None) -> str:
    """Keys only, one user, no forwarding but to the door's own page where it has one."""
    page = f"PermitOpen 127.0.0.1:{page_port} localhost:{page_port}"
    return f"""\
# Written by door-agent provision; `door-agent provision … --undo` takes it back.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PermitEmptyPasswords no
AllowUsers {user}
X11Forwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
AllowTcpForwarding {"local" if page_port else "no"}
{page if page_port else "# the door has no page: nothing to forward to"}
PermitTunnel no
MaxAuthTries 3
LoginGraceTime 30
{f"ListenAddress {address}" if address else "# listens on every address; [ssh] listen in the site file narrows it"}
"""


def access_steps(plan: Mapping[str, Any], talk: Talk) -> Iterator[Step]:
    """`plan` has user, ssh_listen (or null), page_port (or null) and keep_mdns."""
    address = plan.get("ssh_listen")
    if address:
        yield file_step(
            "SSH address",
            SYSCTL,
            _NONLOCAL,
            0o644,
            why="it starts at a boot too, before the address is there",
            then=lambda: call("sysctl", "-qp", str(SYSCTL)),
        )
    yield _ssh(sshd_text(plan["user"], address, plan.get("page_port")), address, talk)
    yield _listeners(keep_mdns=bool(plan.get("keep_mdns")))


def _ssh(text: str, address: str | None, talk: Talk) -> Step:
    digest = hashlib.sha256(text.encode()).hexdigest()
    mark = STATE / CONFIRMED

    def look() -> Look:
        same = SSHD.exists() and SSHD.read_text() == text
        on_trial = (STATE / UNCONFIRMED).exists()  # of a run that was killed: timer or next boot would take it back
        ok = same and mark.exists() and mark.read_text() == digest and not on_trial
        return Look(ok, "keys only" if ok else "not hardened yet" if not SSHD.exists() else "not confirmed yet")

    def do() -> str:
        _must_be_here(address)
        take_back()  # what a killed run left on trial is not what was there before
        keep(SSHD)
        before = SSHD.read_text() if SSHD.exists() else None
        replace(ensure_folder(STATE) / UNCONFIRMED, json.dumps(before).encode(), 0o600)
        try:
            _try(text, talk)
        except BaseException as error:
            with contextlib.suppress(OSError):  # then the timer does it
                take_back()
            raise InstallError(f"SSH is as it was, because nobody could come in any more: {error}") from error
        replace(mark, digest.encode(), 0o600)
        (STATE / UNCONFIRMED).unlink()
        sync_folder(STATE)
        deadman.disarm(BACK_TIMER)
        return "keys only, tried with a new connection"

    return Step("SSH", "keys only, one user, no root", look, do, "a password can be guessed or shared, a key cannot")


def _try(text: str, talk: Talk) -> None:
    """Make it count, and have the laptop come in by it. Whatever raises here, the caller takes it back."""
    deadman.arm(BACK_TIMER, BACK_WITHIN_S, "/usr/bin/python3", "-I", str(deadman.RUNNER), "ssh-back")
    replace(ensure_folder(SSHD.parent) / SSHD.name, text.encode(), 0o644)
    call("sshd", "-t")
    effect = call("sshd", "-T").lower().splitlines()
    if missing := [one for one in _EFFECT if one not in effect]:
        raise InstallError(
            f"sshd does not take {', '.join(missing)} from {SSHD}: does /etc/ssh/sshd_config begin with "
            "`Include /etc/ssh/sshd_config.d/*.conf`?"
        )
    call("systemctl", "reload", "ssh")
    talk.ask("try-ssh")
    if not (STATE / UNCONFIRMED).exists():
        raise InstallError(f"it took longer than {BACK_WITHIN_S} s")


def take_back() -> bool:
    """SSH as it was before a change that nobody confirmed; whether there was one.

    Raises:
        OSError: the disk does not take it; the note stays, and the timer or the next boot tries again.
    """
    note = STATE / UNCONFIRMED
    try:
        before = json.loads(note.read_text())
    except FileNotFoundError:
        return False
    except ValueError:  # a card may do anything; without our file SSH is as the system has it
        before = None
    if before is None:
        SSHD.unlink(missing_ok=True)
    else:
        replace(SSHD, str(before).encode(), 0o644)
    quiet("systemctl", "reset-failed", "ssh")
    # a running one reads its files anew; one that ended, because it could not bind, starts. No connection is lost
    if not quiet("systemctl", "reload-or-restart", "ssh") or not quiet("systemctl", "is-active", "ssh"):
        quiet("systemctl", "restart", "ssh")
    note.unlink()
    sync_folder(STATE)
    deadman.disarm(BACK_TIMER)
    return True


def _must_be_here(address: str | None) -> None:
    """Raises InstallError, before anything is changed, for an address that the device does not have."""
    if address is None:
        return
    said = call("ip", "-o", "addr", "show")
    here = [found.split("/")[0] for found in re.findall(r" inet6? (\S+)", said)]
    if address.split("%")[0] not in here:
        raise InstallError(f"[ssh] listen = {address!r}, this device has {', '.join(here)}: mend the site file")


def _listeners(*, keep_mdns: bool) -> Step:
    def look() -> Look:
        found = listening()
        if keep_mdns:
            found = [one for one in found if "avahi" not in one]
        kept = ", mDNS for its .local name" if keep_mdns else ""
        return Look(not found, ", ".join(found) if found else f"only SSH{kept}")

    def do() -> str:
        units = [u for u in LISTENERS if quiet("systemctl", "is-active", u) and not (keep_mdns and u == "avahi-daemon")]
        kinds = [f"{unit}.{kind}" for unit in units for kind in ("socket", "service")]
        keep_units([one for one in kinds if quiet("systemctl", "is-enabled", one)])
        for one in kinds:
            quiet("systemctl", "disable", "--now", one)
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
