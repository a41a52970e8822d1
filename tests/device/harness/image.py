"""The virtual device's disk image: where its scripts are, whether this machine can run it, and building it once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
SWITCH = "DOOR_AGENT_RIG_TESTS"
NEEDED = ("boot", "build-image", "lose-writes", "uml.config")
# added to the rig's kernel: the scope on the GPIO lines
SCOPE_CONFIG = """
CONFIG_FTRACE=y
CONFIG_ENABLE_DEFAULT_TRACERS=y
CONFIG_TRACEFS_FS=y
"""


class NoDeviceError(RuntimeError):
    """This machine cannot make or boot the virtual device: nothing is known about the door."""


def rig_folder() -> Path:
    """The rig's scripts: DOOR_AGENT_RIG, else the folder `shared/rig` beside the project."""
    return Path(os.environ.get("DOOR_AGENT_RIG", PROJECT.parent / "shared" / "rig"))


def cache_folder() -> Path:
    """Images, bundles and guests: DOOR_AGENT_RIG_CACHE, else ~/.cache/door-agent/rig."""
    return Path(os.environ.get("DOOR_AGENT_RIG_CACHE", Path.home() / ".cache" / "door-agent" / "rig"))


def why_not(*, asked: bool) -> str:
    """Why the device tests cannot run here; empty when they can. `asked`: somebody named them on purpose."""
    if not asked and os.environ.get(SWITCH) != "1":
        return f"device tests run with `make rig` (or {SWITCH}=1): they boot a virtual device and take up to 30 minutes"
    if missing := [name for name in NEEDED if not (rig_folder() / name).is_file()]:
        return f"no virtual device here: {rig_folder()} lacks {', '.join(missing)} (set DOOR_AGENT_RIG)"
    if os.geteuid() != 0:
        return "the virtual device needs root (network namespace, loop mounts, image build)"
    if shutil.which("apt-get") is None:
        return "the virtual device is made of Debian packages and this machine has no apt-get"
    return ""


def image() -> Path:
    """A folder with a built image; the first call takes about 7 minutes, later ones none."""
    rig, digest = rig_folder(), hashlib.sha256(SCOPE_CONFIG.encode())
    for name in sorted(p.name for p in rig.iterdir() if p.is_file()):
        digest.update((rig / name).read_bytes())
    folder = cache_folder() / f"image-{digest.hexdigest()[:12]}"
    if not (folder / "rig.env").exists() or not (folder / "root.img").exists():
        build(rig, folder)
    return folder


def build(rig: Path, folder: Path) -> None:
    """Run the rig's own build with our additions to its kernel."""
    sys.stderr.write(f"building the virtual device once, about 7 minutes: {folder}\n")
    shutil.rmtree(folder, ignore_errors=True)
    scripts = folder / "rig"
    shutil.copytree(rig, scripts)
    scripts.chmod(0o755)
    config = scripts / "uml.config"
    config.chmod(0o644)
    config.write_text(config.read_text() + SCOPE_CONFIG)
    with (folder / "build.log").open("wb") as log:
        command = [str(scripts / "build-image"), "--arch", "amd64", "--out", str(folder)]
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    if done.returncode:
        (folder / "rig.env").unlink(missing_ok=True)
        tail = (folder / "build.log").read_text(errors="replace").splitlines()[-3:]
        raise NoDeviceError(f"the image was not built, see {folder / 'build.log'}: {' / '.join(tail)}")
