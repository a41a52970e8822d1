"""The virtual device's disk image: where its scripts are, whether this machine can run it, and building it once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.bundle import Target

PROJECT = Path(__file__).resolve().parents[3]
SWITCH = "DOOR_AGENT_RIG_TESTS"
PYTHON = {"bookworm": "cp311", "trixie": "cp313"}
NEEDED = ("boot", "build-image", "lose-writes", "uml.config")
# added to the rig's kernel: the scope on the GPIO lines
SCOPE_CONFIG = """
CONFIG_FTRACE=y
CONFIG_ENABLE_DEFAULT_TRACERS=y
CONFIG_TRACEFS_FS=y
"""


class NoDeviceError(RuntimeError):
    """This machine cannot make or boot the virtual device: nothing is known about the door."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Which device is played: Debian's words for architecture and suite. arm64 is emulated, programs and all."""

    arch: str = "amd64"
    suite: str = "trixie"

    @property
    def target(self) -> Target:
        """What its bundle is for."""
        return Target({"amd64": "x86_64", "arm64": "aarch64"}[self.arch], PYTHON[self.suite])

    @property
    def times(self) -> float:
        """How much longer everything may take than on a native device."""
        return 1.0 if self.arch == "amd64" else 20.0


NATIVE = Kind()
# An emulated device's time goes by its instructions, 2 ns each: whatever else this machine does, the device has but a
# slow processor that is never taken away, and the door's limits of time mean on it what they mean on a slow board.
CLOCK = "-icount shift=1 -accel tcg,thread=single"


def rig_folder() -> Path:
    """The rig's scripts: DOOR_AGENT_RIG, else the folder `shared/rig` beside the project."""
    return Path(os.environ.get("DOOR_AGENT_RIG", PROJECT.parent / "shared" / "rig"))


def rig_for(kind: Kind, built: Path) -> Path:
    """The rig's scripts for one kind of device; for an emulated one the copy beside its image `built`, with CLOCK.

    Raises:
        NoDeviceError: the rig starts its emulator in another way than this knows.
    """
    if kind.arch == "amd64":
        return rig_folder()
    boot = built / "rig" / "boot"
    words, usual = boot.read_text(), "-accel tcg,thread=multi"
    if CLOCK not in words:
        if usual not in words:
            raise NoDeviceError(f"{boot} does not start the emulator with {usual}")
        boot.write_text(words.replace(usual, CLOCK))
    return boot.parent


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


def image(kind: Kind = NATIVE) -> Path:
    """A folder with a built image; the first call takes about 7 minutes (emulated: up to an hour), later none."""
    rig, digest = rig_folder(), hashlib.sha256(SCOPE_CONFIG.encode())
    for name in sorted(p.name for p in rig.iterdir() if p.is_file()):
        digest.update((rig / name).read_bytes())
    other = "" if kind == NATIVE else f"-{kind.arch}-{kind.suite}"
    folder = cache_folder() / f"image-{digest.hexdigest()[:12]}{other}"
    if not (folder / "rig.env").exists() or not (folder / "root.img").exists():
        build(rig, folder, kind)
    return folder


def build(rig: Path, folder: Path, kind: Kind) -> None:
    """Run the rig's own build with our additions to its kernel (an emulated device has Debian's own)."""
    sys.stderr.write(f"building the virtual device once, about 7 minutes natively: {folder}\n")
    shutil.rmtree(folder, ignore_errors=True)
    scripts = folder / "rig"
    shutil.copytree(rig, scripts)
    scripts.chmod(0o755)
    config = scripts / "uml.config"
    config.chmod(0o644)
    config.write_text(config.read_text() + SCOPE_CONFIG)
    with (folder / "build.log").open("wb") as log:
        if kind.arch == "arm64":  # the rig installs the emulator, but not the firmware that it looks for
            needs = ["apt-get", "install", "-y", "--no-install-recommends", "qemu-system-arm", "ipxe-qemu"]
            subprocess.run(needs, stdout=log, stderr=log, check=False)
        command = [str(scripts / "build-image"), "--arch", kind.arch, "--suite", kind.suite, "--out", str(folder)]
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    if done.returncode:
        (folder / "rig.env").unlink(missing_ok=True)
        tail = (folder / "build.log").read_text(errors="replace").splitlines()[-3:]
        raise NoDeviceError(f"the image was not built, see {folder / 'build.log'}: {' / '.join(tail)}")
    if (
        kind.times > 1
    ):  # its own 15 s are too short for an emulated boot; provisioning sets the door's, as on any device
        unset = ["debugfs", "-w", "-R", "rm /etc/systemd/system.conf.d/watchdog.conf", str(folder / "root.img")]
        subprocess.run(unset, capture_output=True, check=True)
