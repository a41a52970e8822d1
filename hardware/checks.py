"""What `door-agent doctor` looks at in the hardware: each finding with what was expected and what to do about it.

Nothing here moves a lock: while the guard runs it is asked, otherwise inputs are claimed, read and given back. The
relay is never touched.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardware.camera import CameraSettings, take_picture
from hardware.chip import load_lgpio
from hardware.errors import HardwareError, SocketError
from hardware.finding import Check
from hardware.gpio import lgpio_board
from hardware.picture_health import CameraState, judge
from hardware.seqpacket import connect
from hardware.settings import GuardSettings, load_settings

BOOT_CONFIG = Path("/boot/firmware/config.txt")
PIN_CONTROLLERS = Path("/sys/module")
_STRICT, _WATCHDOG = "dtparam=strict_gpiod", "dtparam=watchdog=on"
_REST = {"lock_power": True}  # every other input is inactive at a closed, quiet door
_REASONS = {"order", "exit", "fire"}  # for which the guard energises
_HELLO_WITHIN_S = 2.0
WATCHDOG_DEVICES = Path("/sys/class/watchdog")
_LONGEST_WATCHDOG_S = 15  # the board's timer cannot count further


def check_hardware(config_path: str, *, camera_source: str = "none") -> list[Check]:
    """All checks of the hardware of the door configured at `config_path`; never raises for what it finds."""
    try:
        settings = load_settings(config_path)
    except HardwareError as error:
        return [
            Check("hardware settings", ok=False, found=str(error), expected="a door's lines", do_this="mend the file")
        ]
    return [*_lines(settings), *_boot(settings), *_kernel_watchdog(settings), *_camera(camera_source)]


def _lines(settings: GuardSettings) -> Iterator[Check]:
    if settings.backend == "lgpio":
        yield _library()
    hello = _ask_guard(settings.socket_path)
    if hello is not None:
        yield Check("guard", ok=True, found=f"answers, {hello.get('backend')}", expected="answers")
        yield _relay(settings, energised=hello.get("relay") is True, why=str(hello.get("why")))
        yield from (_line(settings, name, active=active is True) for name, active in hello.get("inputs", {}).items())
        yield from (_lamp(name, pin.pin, hello.get("lines", [])) for name, pin in settings.lamps.items())
        return
    yield Check("guard", ok=False, found="does not answer", expected="answers", do_this="systemctl start door-guard")
    if settings.backend == "lgpio":
        yield from _read_lines(settings)


def _read_lines(settings: GuardSettings) -> Iterator[Check]:
    try:
        with contextlib.closing(lgpio_board(settings.chip)) as board:
            for name, pin in settings.inputs.items():
                yield _line(settings, name, active=board.input(name, pin).is_active())
    except HardwareError as error:
        yield Check(
            "GPIO",
            ok=False,
            found=str(error),
            expected=f"/dev/gpiochip{settings.chip} and its lines",
            do_this=str(error),
        )


def _relay(settings: GuardSettings, *, energised: bool, why: str) -> Check:
    """What the relay's pin shows, and whether the guard knows why."""
    pin = settings.relay
    level = "high" if pin.active_high else "low"
    return Check(
        "line relay",
        ok=not energised or why in _REASONS,
        found=f"{f'energised: {why}' if energised else 'dropped'} (GPIO{pin.pin}, active {level})",
        expected="dropped while nobody is let in or out, and the lock secured then",
        do_this="nobody drives it: a short circuit, or another program at the pin (gpioinfo)",
    )


def _line(settings: GuardSettings, name: str, *, active: bool) -> Check:
    pin, rest = settings.inputs.get(name), _REST.get(name, False)
    words = {True: "active", False: "inactive"}
    wiring = f"GPIO{pin.pin}, pull {pin.pull}, active {'low' if pin.active_low else 'high'}" if pin else "unknown pin"
    return Check(
        f"line {name}",
        ok=active is rest,
        found=f"{words[active]} ({wiring})",
        expected=f"{words[rest]} while the door is shut and quiet",
        do_this=f"if the door is shut and quiet: check the wire, then hardware.inputs.{name}.active_low",
    )


def _lamp(name: str, pin: int, held: object) -> Check:
    """A lamp or the buzzer: that the guard has it. Only eyes and ears can tell that it works: let the door identify."""
    there = isinstance(held, list) and name in held
    return Check(
        f"line {name}",
        ok=there,
        found=f"GPIO{pin}, {'held by the guard' if there else 'not held by the guard'}",
        expected="held by the guard; order `identify` to see and hear it",
        do_this="" if there else "the guard runs with another configuration: systemctl restart door-guard",
    )


def _library() -> Check:
    try:
        version = load_lgpio().LGPIO_PY_VERSION
    except HardwareError as error:
        return Check("lgpio", ok=False, found=str(error), expected="0.2.2.0 or newer", do_this="see the message")
    return Check(
        "lgpio", ok=True, found=".".join(str(b) for b in version.to_bytes(4, "big")), expected="0.2.2.0 or newer"
    )


def _boot(settings: GuardSettings) -> Iterator[Check]:
    """What holds the relay before the guard claims it, after the guard died, and when the kernel hangs."""
    if settings.backend != "lgpio" or not BOOT_CONFIG.exists():
        return
    level = f"gpio={settings.relay.pin}=op,{'dl' if settings.relay.active_high else 'dh'}"
    lines = [line.strip() for line in BOOT_CONFIG.read_text(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if _is_about(line, settings.relay.pin)), "nothing about it")
    for name, wanted in (("relay at power-on", level), ("relay after its guard", _STRICT), ("watchdog", _WATCHDOG)):
        there = last == wanted if wanted == level else wanted in lines or (wanted == _STRICT and _outputs_fall_back())
        says = last if wanted == level else f"not {wanted}"
        yield Check(
            name,
            ok=there,
            found="set" if there else f"{BOOT_CONFIG} says {says}",
            expected=wanted,
            do_this="" if there else f"make {wanted} the last line on it in {BOOT_CONFIG} (provision does) and reboot",
        )


def _kernel_watchdog(settings: GuardSettings) -> Iterator[Check]:
    """Whether systemd feeds the board's own watchdog: the device tree gives it, a manager's setting uses it."""
    if settings.backend != "lgpio" or not any(WATCHDOG_DEVICES.glob("watchdog*")):
        return
    asked = ["systemctl", "show", "--property=RuntimeWatchdogUSec", "--value"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  fixed words
        found = done.stdout.strip() or "0"
    except (OSError, subprocess.TimeoutExpired) as error:
        found = str(error)
    used = re.fullmatch(r"(\d+)s", found)
    well = used is not None and 0 < int(used[1]) <= _LONGEST_WATCHDOG_S
    yield Check(
        "kernel watchdog",
        ok=well,
        found=f"RuntimeWatchdogSec={found}",
        expected="RuntimeWatchdogSec=10: a kernel that hangs is reset, and the relay drops",
        do_this="" if well else "RuntimeWatchdogSec=10 under [Manager] in /etc/systemd/system.conf.d/watchdog.conf",
    )


def _is_about(line: str, pin: int) -> bool:
    """Whether a line of the boot settings sets this pin: `gpio=4,17=op,dl` or `gpio=16-18=ip`. The last one counts."""
    found = re.fullmatch(r"gpio=([\d,-]+)=.*", line)
    ranges = [part.split("-") for part in found[1].split(",")] if found else []
    return any(one[0].isdigit() and int(one[0]) <= pin <= int(one[-1] or one[0]) for one in ranges if one[0])


def _outputs_fall_back() -> bool:
    """Whether the kernel lets a line go when its process dies: a parameter of either pin controller, Pi 4 and Pi 5."""
    found = [path.read_text().strip() for path in PIN_CONTROLLERS.glob("pinctrl_*/parameters/persist_gpio_outputs")]
    return found == ["N"]


def _ask_guard(path: str) -> Mapping[str, Any] | None:
    try:
        with contextlib.closing(connect(path)) as guard:
            hello = guard.recv(_HELLO_WITHIN_S)
    except SocketError:
        return None
    return hello if isinstance(hello, dict) and hello["type"] == "hello" else None


def _camera(source: str) -> Iterator[Check]:
    if source == "none":
        return
    try:
        frame = take_picture(CameraSettings(source))
    except HardwareError as error:
        ours = "vision_worker" in str(error)
        yield Check("camera", ok=ours, found=str(error), expected="a picture", do_this="" if ours else str(error))
        return
    height_px, width_px = frame.image_bgr.shape[:2]
    state = judge(frame.image_bgr)
    yield Check(
        "camera",
        ok=state is CameraState.OK,
        found=f"{state}, {width_px} x {height_px}",
        expected="a bright picture with some detail",
        do_this="look at the lens, the light and what the camera is pointed at",
    )
