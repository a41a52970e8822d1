"""Another release on a door that is in use: one rename, a health gate, and the way back by itself.

Order: check the bundle and install it beside the old one; note the trial on the disk; stop, rename, start; judge. What
was well before has to be well again, and guard and agent in any case. Otherwise everything is led back: units, program,
weights (one rename and what goes with it), stores, configuration; also when a power cut left the trial without a
verdict and the boot's own judgement fails. Between stop and start nothing may end the run: the services are started
whatever else fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from deploy.device import deadman, health, install
from deploy.device.commands import InstallError, call, quiet
from deploy.device.files import ensure_folder, link, replace, sync_folder
from deploy.device.install import CONFIG, ROOT, Installer
from deploy.device.steps import Talk, note

TRIAL = ROOT / "trial.json"
STATE_DIR = "/var/lib/door-agent"
QUIET_WAIT_S = 60.0
GATE_TIMER = "door-agent-gate"
GATE_WITHIN_S = 1800  # two verdicts at their longest; after that nobody judges any more, and door-settle does
_STORES_S = 600.0


def update(
    bundle: Path, talk: Talk, *, older: bool = False, now: bool = False, wait: Callable[[Talk], None] | None = None
) -> dict[str, Any]:
    """Install and switch; returns {"release", "from", "seconds_down"}. `now`: even with somebody at the door.

    `wait` returns when it may be switched, or raises InstallError; by default a minute's wait for a quiet door.

    Raises:
        InstallError: refused (nothing changed), or led back (the door is as before); the message says which.
    """
    finish(talk)
    if not (ROOT / "current").is_symlink():
        raise InstallError("there is no door here yet; use door-agent provision")
    old = current()
    installer = Installer(bundle, None, older=older, note=lambda what: talk.tell("progress", what=what))
    prepare(installer)
    new = installer.release.name
    if new == old:
        return {"release": new, "from": old, "seconds_down": 0.0}
    trial = {"from": old, "to": new, "stores": versions(old)}
    trial["well"] = sorted(name for name, well in health.health().items() if well)
    if not now:
        (wait or wait_until_quiet)(talk)
    keep_runner()
    replace(ROOT / ".config-before", CONFIG.read_bytes(), 0o600)
    # this process may be killed between here and the verdict
    deadman.arm(GATE_TIMER, GATE_WITHIN_S, "systemctl", "start", "--no-block", "door-settle.service")
    try:
        note("begin", f"update to {new}")
        replace(TRIAL, json.dumps(trial).encode(), 0o600)  # last: where it lies, something will be switched or led back
        down_s = attempt(trial, talk)
    finally:
        if not TRIAL.exists():  # else the timer has it judged; the next boot may be years away
            deadman.disarm(GATE_TIMER)
    note("done", f"update to {new}")
    return {"release": new, "from": old, "seconds_down": down_s}


def prepare(installer: Installer) -> None:
    """The release beside the one that runs and no other, judged as far as it can be without running it."""
    for left in ROOT.glob(".bundle-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bundle-") as folder:
        stage = Path(folder)
        installer.unpack(stage)
        prune({installer.release.name})  # now, and not after it went well: what failed before would fill the card
        installer.install_release(stage)
    program = str(installer.release / "venv/bin/door-agent")
    try:
        call(program, "check-config", "--config", str(CONFIG))
    except InstallError:
        prune(())
        raise


def attempt(trial: Mapping[str, Any], talk: Talk) -> float:
    """Switch and judge; for how long the guard was not there, in seconds.

    Raises:
        InstallError: led back.
    """
    try:
        down_s = switch_to(trial["to"])
    except (InstallError, OSError) as error:
        lead_back(trial)
        raise InstallError(f"release {trial['to']} was taken back, because the switch failed: {error}") from error
    judge(trial, talk)
    return down_s


def switch_to(release: str) -> float:
    """Rename and restart. Returns for how long the guard was not there, in seconds.

    The guard goes last and comes back at once: while it is away the exit button has its wire only.

    Raises:
        InstallError, OSError: the rename or what goes with it failed; the services run, with what `current` names.
    """
    install.mark_restart()
    quiet("systemctl", "stop", "door-agent", "door-vision")  # no store is open while it may be led back
    try:
        link(ROOT / "current", f"releases/{release}")
        parts = _parts(release)
        parts.place_weights()
        parts.install_units(settle=quiet)
        parts.enable()
    finally:
        down_s = start_services()
    install.RESTART_DUE.unlink(missing_ok=True)
    os.sync()
    return down_s


def _parts(release: str) -> Installer:
    """For putting in place what an installed release brings with it."""
    installer = Installer(Path(), None, note=lambda _: None)
    installer.manifest = {"version": release}
    return installer


def start_services() -> float:
    """All three, with what is on the disk now; never raises. A service that does not start is the gate's to judge."""
    quiet("systemctl", "daemon-reload")
    began_s = time.monotonic()
    quiet("systemctl", "restart", "door-guard")
    down_s = round(time.monotonic() - began_s, 1)
    quiet("systemctl", "restart", "--no-block", "door-agent", "door-vision")
    return down_s


def judge(trial: Mapping[str, Any], talk: Talk, leave_out: Collection[str] = ()) -> None:
    """The gate. Doing comes first and telling after it: the laptop may be gone.

    Raises:
        InstallError: everything was led back.
    """
    ill = _verdict(trial, leave_out)
    if not ill:
        TRIAL.unlink()
        sync_folder(ROOT)
        with contextlib.suppress(OSError):  # the one that is there goes on judging
            _parts(trial["to"]).install_own_units(start=True)
        talk.tell("note", words=f"release {trial['to']} is well")
        return
    note("begin", f"not well: {', '.join(ill)}; leading back to {trial['from']}")
    lead_back(trial)
    still = _verdict(trial, leave_out)
    more = f"; not well with the old release either: {', '.join(still)}" if still else "; all well again"
    raise InstallError(f"release {trial['to']} was taken back, because of {', '.join(ill)}{more}")


def _verdict(trial: Mapping[str, Any], leave_out: Collection[str]) -> list[str]:
    """What ails. That the judging itself failed is an ailment too: it looks at a release that may do anything."""
    try:
        return health.ailing(trial["well"], leave_out)
    except Exception as error:  # noqa: BLE001  whatever it is, no verdict means that the old release has to come back
        return [f"no verdict ({error!r})"]


def lead_back(trial: Mapping[str, Any]) -> None:
    """The old release, with stores and configuration that it can read. Can be broken off and called again.

    Raises:
        InstallError, OSError: not all of it could be led back; the services run, the trial stands for the next boot.
    """
    install.mark_restart()
    quiet("systemctl", "stop", "door-agent", "door-vision")
    try:
        _stores_back(trial)
        if (kept := ROOT / ".config-before").exists() and kept.read_bytes() != CONFIG.read_bytes():
            replace(CONFIG, kept.read_bytes(), 0o640)
            shutil.chown(CONFIG, "root", "door")
    finally:
        switch_to(trial["from"])
    TRIAL.unlink()
    remove(ROOT / "releases" / trial["to"])  # another try begins with a whole bundle
    sync_folder(ROOT)
    note("done", f"led back to {trial['from']}")


def _stores_back(trial: Mapping[str, Any]) -> None:
    """By the newer release's program, which alone knows the way; the older one goes on whatever becomes of it."""
    python = ROOT / "releases" / trial["to"] / "venv/bin/python"
    command = [str(python), "-I", "-m", "agent.store_versions", STATE_DIR, json.dumps(trial["stores"])]
    try:
        led = health.as_agent(command, timeout_s=_STORES_S)
        why = led.stderr.strip()[-300:] if led.returncode else ""
    except (OSError, LookupError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        note("begin", f"stores could not be led back: {why}")


def finish(talk: Talk) -> None:
    """At boot, and before another update: a trial without a verdict gets one.

    What depends on the world outside is left out: a router that lost its power too may take minutes.
    """
    try:
        trial = json.loads(TRIAL.read_text())
    except FileNotFoundError:
        return
    except ValueError:  # cannot be torn (it is renamed into place), but a card may do anything
        TRIAL.unlink()
        return
    if current() == trial["from"]:  # cut before the rename, or in the middle of leading back
        lead_back(trial)
        return
    try:
        judge(trial, talk, health.OUTSIDE)
    except InstallError as error:
        talk.tell("note", words=str(error))


def wait_until_quiet(talk: Talk) -> None:
    """Never while somebody is at the door: nobody in view or being let in, the relay dropped, leaf shut, no alarm.

    Raises:
        InstallError: it was not quiet for a minute.
    """
    end_s = time.monotonic() + QUIET_WAIT_S
    while busy := health.busy():
        if time.monotonic() > end_s:
            raise InstallError(
                f"somebody is at the door ({busy}); nothing was changed, try again later, or say --now if it is you"
            )
        talk.tell("progress", what=f"waiting: {busy}")
        time.sleep(3)


def keep_runner() -> None:
    """This very program, for the boot after a power cut."""
    replace(ensure_folder(ROOT) / deadman.RUNNER.name, Path(sys.argv[0]).resolve().read_bytes(), 0o644)


def current() -> str:
    """The release that `current` names."""
    return Path(os.readlink(ROOT / "current")).name  # noqa: PTH115  compared as text


def versions(release: str) -> dict[str, int]:
    """The formats that a release reads; empty for one from before it could say so."""
    python = str(ROOT / "releases" / release / "venv/bin/python")
    try:
        found: dict[str, int] = json.loads(call(python, "-I", "-m", "agent.store_versions"))
    except (InstallError, OSError, ValueError):
        return {}
    return found


def prune(keep: Collection[str]) -> None:
    """Only these releases stay, and what is current; a card is small."""
    for folder in (ROOT / "releases").iterdir():
        if folder.name not in {*keep, current()}:
            remove(folder)


def remove(release: Path) -> None:
    """A release's folder, its mark first: what a power cut leaves of it is not taken for a whole one."""
    if release.is_dir():
        (release / ".complete").unlink(missing_ok=True)
        sync_folder(release)
        shutil.rmtree(release, ignore_errors=True)
