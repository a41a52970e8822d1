"""Another release on a door that is in use: one rename, a health gate, and the way back by itself.

Order: check the bundle and install it beside the old one; note the trial on the disk; stop, rename, start; judge. What
was well before has to be well again, and guard and agent in any case. Otherwise everything is led back: units and
program (one rename), stores, configuration; also when a power cut left the trial without a verdict and the boot's own
judgement fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.device import install, selftest
from deploy.device.files import link, replace, sync_folder
from deploy.device.install import CONFIG, ROOT, Installer, InstallError, call, quiet
from deploy.device.steps import Talk, note

TRIAL = ROOT / "trial.json"
RUNNER = ROOT / "runner.pyz"  # independent of every release: what judges one must not be part of it
STATE_DIR = "/var/lib/door-agent"
SERVICES = ("door-guard", "door-agent", "door-vision")
KEPT_RELEASES = 2
QUIET_WAIT_S = 60.0
_SETTLED_S = 6.0  # a service that dies at once is restarted within it, which is seen
_VERDICT_S = 45.0


def update(bundle: Path, talk: Talk, *, older: bool = False) -> dict[str, Any]:
    """Install and switch; returns {"release", "from", "seconds_down"}.

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
    wanted = versions(old)
    before = health()
    wait_until_quiet(talk)
    keep_runner()
    replace(ROOT / ".config-before", CONFIG.read_bytes(), 0o600)
    trial = {"from": old, "to": new, "well": sorted(before), "stores": wanted}
    replace(TRIAL, json.dumps(trial).encode(), 0o600)
    note("begin", f"update to {new}")
    down_s = switch_to(new)
    judge(trial, talk)
    note("done", f"update to {new}")
    prune()
    return {"release": new, "from": old, "seconds_down": down_s}


def prepare(installer: Installer) -> None:
    """The release beside the old one, judged as far as it can be without running it."""
    for left in ROOT.glob(".bundle-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bundle-") as folder:
        stage = Path(folder)
        installer.unpack(stage)
        installer.install_release(stage)
        installer.install_weights(stage)
    program = str(installer.release / "venv/bin/door-agent")
    call(program, "check-config", "--config", str(CONFIG))


def switch_to(release: str) -> float:
    """Rename and restart. Returns for how long the guard was not there, in seconds.

    The guard goes last and comes back at once: while it is away the exit button has its wire only.
    """
    install.mark_restart()
    quiet(
        "systemctl", "stop", "door-agent", "door-vision"
    )  # both stores closed, whatever comes next may lead them back
    link(ROOT / "current", f"releases/{release}")
    units = Installer(Path(), None, note=lambda _: None)
    units.manifest = {"version": release}
    units.install_units()
    units.enable()
    call("systemctl", "daemon-reload")
    began_s = time.monotonic()
    # a service that does not start is the gate's to judge
    quiet("systemctl", "restart", "door-guard")
    down_s = round(time.monotonic() - began_s, 1)
    quiet("systemctl", "restart", "--no-block", "door-agent", "door-vision")
    install.RESTART_DUE.unlink(missing_ok=True)
    os.sync()
    return down_s


def judge(trial: Mapping[str, Any], talk: Talk) -> None:
    """The gate. Raises InstallError after everything was led back."""
    ill = ailing(trial)
    if not ill:
        TRIAL.unlink()
        sync_folder(ROOT)
        talk.tell("note", words=f"release {trial['to']} is well")
        return
    talk.tell("note", words=f"not well: {', '.join(ill)}; leading back to {trial['from']}")
    lead_back(trial)
    still = ailing(trial)
    more = f"; not well with the old release either: {', '.join(still)}" if still else "; all well again"
    raise InstallError(f"release {trial['to']} was taken back, because of {', '.join(ill)}{more}")


def ailing(trial: Mapping[str, Any]) -> list[str]:
    """What was well before the trial and is not now, after a fair time."""
    end_s = time.monotonic() + _VERDICT_S
    while True:
        now = health()
        ill = sorted(({*trial["well"]} | {"service door-guard", "service door-agent"}) - now)
        if not ill or time.monotonic() > end_s:
            return ill
        time.sleep(2)


def lead_back(trial: Mapping[str, Any]) -> None:
    """The old release, with stores and configuration that it can read. Can be broken off and called again."""
    install.mark_restart()
    quiet("systemctl", "stop", "door-agent", "door-vision")
    python = ROOT / "releases" / trial["to"] / "venv/bin/python"
    command = ["runuser", "-u", "door-agent", "--", str(python), "-I", "-m", "agent.store_versions"]
    command += [STATE_DIR, json.dumps(trial["stores"])]
    led = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    if led.returncode:
        note("begin", f"stores could not be led back: {led.stderr.strip()[-300:]}")
    if (kept := ROOT / ".config-before").exists() and kept.read_bytes() != CONFIG.read_bytes():
        replace(CONFIG, kept.read_bytes(), 0o640)
        shutil.chown(CONFIG, "root", "door")
    switch_to(trial["from"])
    TRIAL.unlink()
    sync_folder(ROOT)
    note("done", f"led back to {trial['from']}")


def finish(talk: Talk) -> None:
    """At boot, and before another update: a trial without a verdict gets one."""
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
        judge(trial, talk)
    except InstallError as error:
        talk.tell("note", words=str(error))


def health() -> set[str]:
    """Names of what is well: each service that stays up, and each of doctor's checks."""
    restarts = {unit: _restarts(unit) for unit in SERVICES}
    checks = {one.name for one in selftest.doctor() if one.ok}
    time.sleep(_SETTLED_S)
    stable = {u for u in SERVICES if quiet("systemctl", "is-active", u) and _restarts(u) == restarts[u]}
    return checks | {f"service {unit}" for unit in stable}


def wait_until_quiet(talk: Talk) -> None:
    """Never while somebody is at the door: the relay dropped, leaf shut, no alarm.

    Raises:
        InstallError: it was not quiet for a minute.
    """
    end_s = time.monotonic() + QUIET_WAIT_S
    while busy := _busy():
        if time.monotonic() > end_s:
            raise InstallError(f"somebody is at the door ({busy}); nothing was changed, try again later")
        talk.tell("progress", what=f"waiting: {busy}")
        time.sleep(3)


def _busy() -> str:
    try:
        guard = selftest.GuardEnd()
    except OSError:
        return ""  # no guard: an update may be what it needs
    guard.close()
    if guard.hello.get("relay"):
        return "the lock is released"
    active = [n for n in ("contact", "exit", "fire") if guard.hello.get("inputs", {}).get(n)]
    return f"{active[0]} is active" if active else ""


def keep_runner() -> None:
    """This very program, for the boot after a power cut."""
    replace(RUNNER, Path(sys.argv[0]).resolve().read_bytes(), 0o644)


def current() -> str:
    """The release that `current` names."""
    return Path(os.readlink(ROOT / "current")).name  # noqa: PTH115  compared as text


def versions(release: str) -> dict[str, int]:
    """The formats that a release reads; empty for one from before it could say so."""
    python = str(ROOT / "releases" / release / "venv/bin/python")
    said = subprocess.run([python, "-I", "-m", "agent.store_versions"], capture_output=True, text=True, check=False)  # noqa: S603  fixed
    found: dict[str, int] = json.loads(said.stdout) if said.returncode == 0 else {}
    return found


def prune() -> None:
    """The newest releases stay, the current one among them; a card is small."""
    folders = sorted((ROOT / "releases").iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    keep = {current(), *[p.name for p in folders if p.name != current()][: KEPT_RELEASES - 1]}
    for folder in folders:
        if folder.name not in keep:
            shutil.rmtree(folder)


def _restarts(unit: str) -> str:
    return call("systemctl", "show", "-p", "NRestarts,MainPID", unit)
