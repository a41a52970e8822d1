"""A door on the virtual device: bundle installed, configured, its services running, drills on the device itself."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import bundle
from tests.device.harness.guest import Guest, GuestError
from tests.device.harness.image import NATIVE, PROJECT, NoDeviceError, cache_folder, image, rig_folder

HERE = Path(__file__).resolve().parents[1]
PYTHON = "/opt/door-agent/current/venv/bin/python"
ON_DEVICE = "/home/pi/on_device"
UNITS = ["door-guard", "door-agent"]
# BCM numbers of the rig's door
INPUT_PINS = {"contact": 22, "exit": 23, "fire": 24, "tamper": 25, "lock_power": 26, "doorbell": 16}
PINS = {"relay": 17, **INPUT_PINS, "buzzer": 5, "red": 6, "green": 13}
LGPIO = "lgpio==0.2.2.0 --hash=sha256:11372e653b200f76a0b3ef8a23a0735c85ec678a9f8550b9893151ed0f863fff"
# makes setuptools build for the other machine: compiler, linker, and two names by which that machine's Python finds it
CROSS = {
    "CC": "aarch64-linux-gnu-gcc",
    "LDSHARED": "aarch64-linux-gnu-gcc -shared",
    "_PYTHON_HOST_PLATFORM": "linux-aarch64",
    "SETUPTOOLS_EXT_SUFFIX": ".cpython-{digits}-aarch64-linux-gnu.so",
}
RELEASE_S = 5.0
USUAL: dict[str, Any] = {
    "lock_type": "fail-safe",
    "lock_duty": "continuous",
    "release_s": RELEASE_S,
    "relock_on_close": True,
    "relock_delay_s": 0.5,
}

CONFIG = """\
[door]
site = "rig"
id = "door-1"
lock_type = "{lock_type}"
lock_duty = "{lock_duty}"
release_time_s = {release_s}
relock_on_close = {relock_on_close}
relock_delay_s = {relock_delay_s}

[hardware]
backend = "lgpio"
buzzer_pin = {buzzer}
led_red_pin = {red}
led_green_pin = {green}

[hardware.relay]
pin = {relay}
active_high = {active_high}

{inputs}
[camera]
source = "none"
"""


@dataclass
class Door:
    """One provisioned guest."""

    guest: Guest
    active_high: bool = True
    extra: str = ""  # sections of the configuration besides the usual ones

    @classmethod
    def provisioned(cls, name: str, *, ports: dict[int, int] | None = None) -> Door:
        """Boot the bare image and install this tree's bundle as an installer would. Nothing is started yet."""
        source = ensure_bundle()  # what is missing for it is known before the image takes its minutes
        guest = Guest(rig_folder(), image(), cache_folder() / name, ports or {})
        if guest.folder.exists():
            guest.remove()
        door = cls(guest)
        try:
            guest.start()
        except GuestError as error:
            guest.remove()
            raise NoDeviceError(f"the virtual device does not boot here: {error}") from error
        try:
            door.install(source)
        except BaseException:
            guest.remove()
            raise
        return door

    def install(self, source: Path) -> None:
        """The bundle `source` on a bare guest, lines laid; nothing is started."""
        guest = self.guest
        with tempfile.TemporaryDirectory() as scratch:
            runner = Path(scratch) / "runner.pyz"
            bundle.make_runner(runner)
            guest.push(source, runner, HERE / "on_device", to="/home/pi/")
        guest.run("install -m 644 /home/pi/on_device/rig-scope.service /etc/systemd/system/")
        guest.without_watchdog()
        guest.run("systemctl enable -q rig-scope && systemctl start rig-scope")
        self.lay_wires()
        self.write_config("/home/pi/door.toml")
        command = f"python3 /home/pi/runner.pyz install /home/pi/{source.name} --config /home/pi/door.toml --no-start"
        sys.stderr.write(guest.run(command, timeout_s=600))
        guest.run(f"rm /home/pi/{source.name} && sync")

    def start(self, *, vision: bool = False) -> None:
        """Enable and start the services. Without vision (a condition keeps it down) a run takes less of the machine."""
        drop_in = "/etc/systemd/system/door-vision.service.d"
        allow = "rm -f" if vision else "touch"
        words = "[Unit]\\nConditionPathExists=!/etc/rig-no-vision\\n"
        self.guest.run(f"mkdir -p {drop_in}; printf '{words}' > {drop_in}/rig.conf; {allow} /etc/rig-no-vision")
        self.guest.run("systemctl daemon-reload")
        self.guest.run("systemctl stop -q door-vision", check=False)  # not so if the agent is just pulling it up
        units = " ".join([*UNITS, "door-vision"])
        self.guest.run(f"systemctl enable -q {units}; systemctl restart {units}", timeout_s=240)

    def write_config(self, path: str = "/etc/door-agent/door.toml", **changes: Any) -> None:
        """Write the door's configuration, with `changes` of what is USUAL."""
        values = {**PINS, **USUAL, "active_high": self.active_high, **changes}
        values = {name: str(v).lower() if isinstance(v, bool) else v for name, v in values.items()}
        values["inputs"] = "\n".join(map(_input, INPUT_PINS.items()))
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "door.toml.new"
            local.write_text(CONFIG.format(**values) + self.extra)
            self.guest.push(local, to="/home/pi/door.toml.new")
        owner = "-g door -m 640" if path.startswith("/etc") else "-m 644"
        self.guest.run(f"install {owner} /home/pi/door.toml.new {path}; sync")  # a power cut may come next

    def rewire(self, *, active_high: bool, persist: bool | None = None) -> None:
        """Another relay board and its resistor, another kernel habit: services stop, lines idle, services start."""
        self.active_high = active_high
        self.guest.run("systemctl stop door-agent door-vision door-guard", timeout_s=60, check=False)
        self.write_config()
        self.lay_wires()
        if persist is not None:
            self.guest.run(f"echo {int(persist)} > /sys/module/gpio_sim/parameters/persist_gpio_outputs")
        self.guest.run(f"systemctl start {' '.join(UNITS)}", timeout_s=120)

    def lay_wires(self) -> None:
        """Resistors and contacts as they are when nothing happens, after every boot too."""
        wiring = json.dumps({"pins": PINS, "active_high": self.active_high})
        self.guest.run(f"python3 {ON_DEVICE}/lines.py {shlex.quote(wiring)}")

    def drill(self, name: str, *, timeout_s: float = 600, **options: Any) -> dict[str, Any]:
        """Run one drill of on_device/drills.py; returns the JSON object of its last line."""
        facts = {"units": UNITS, "pins": PINS, "active_high": self.active_high, "release_s": RELEASE_S, **options}
        command = f"python3 {ON_DEVICE}/drills.py {name} {shlex.quote(json.dumps(facts))}"
        said = self.guest.run(command, timeout_s=timeout_s)
        answer: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        return answer


def _input(line: tuple[str, int]) -> str:
    """One input's section; on the rig a claim's pull beats the wire, so what rests low is claimed without."""
    name, pin = line
    return f"[hardware.inputs.{name}]\npin = {pin}\n" + 'pull = "none"\n' * (name == "lock_power")


def ensure_bundle() -> Path:
    """This tree's bundle for the rig, in the cache."""
    target, folder = NATIVE.target, cache_folder() / "bundle"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "bundle.tar"
    weights = Path(os.environ.get("DOOR_AGENT_WEIGHTS", PROJECT.parent / "shared" / "data" / "weights"))
    bundle.make(target, out, weights=weights if weights.is_dir() else None, wheels=[ensure_lgpio()])
    return out


def ensure_lgpio(target: bundle.Target = NATIVE.target) -> Path:
    """A self-contained lgpio wheel for the guest's Python, built once from its source: PyPI has none for 3.13.

    For aarch64 by a cross compiler; a Python's headers are the same on both machines.
    """
    folder, pattern = cache_folder() / "lgpio", f"*-{target.python}-*{target.machine}.whl"
    if found := sorted(folder.glob(pattern)):
        return found[0]
    digits = target.python.removeprefix("cp")
    version = f"{digits[0]}.{digits[1:]}"
    python = next((p for p in _pythons(version) if _runs(p)), None)
    if python is None:
        raise NoDeviceError(f"building lgpio for the device needs a Python {version} with its headers on this machine")
    aarch64 = {name: words.format(digits=digits) for name, words in CROSS.items()}
    cross = aarch64 if target.machine == "aarch64" else {}
    tools = {"swig": "swig"} | ({CROSS["CC"]: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"} if cross else {})
    if lacking := [word for tool, words in tools.items() if shutil.which(tool) is None for word in words.split()]:
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *lacking], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        tool = Path(scratch) / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "venv", tool.parents[1]], check=True)
        pip = [tool, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        build, wanted = PROJECT / "deploy" / "locks" / "build.txt", Path(scratch) / "lgpio.txt"
        wanted.write_text(LGPIO + "\n")
        subprocess.run([*pip, "install", "--no-deps", "--require-hashes", "-r", build], check=True)
        options = ["--no-deps", "--require-hashes", "--no-build-isolation", "--no-binary=:all:", "-w", folder]
        # PYPI=1 is what its author's own wheels are made with: the C library goes into the module
        subprocess.run([*pip, "wheel", *options, "-r", wanted], check=True, env=os.environ | {"PYPI": "1"} | cross)
    return next(folder.glob(pattern))


def _pythons(version: str) -> list[str]:
    own = (Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python3")
    return [f"/usr/bin/python{version}", *map(str, own)]


def _runs(python: str) -> bool:
    return Path(python).exists() and subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
