"""Settings of the operating system that a door needs, each with its reason, each undone by `--undo`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.device.commands import call, quiet
from deploy.device.files import ensure_folder, replace
from deploy.device.steps import Look, Step, file_step, keep

BOOT_CONFIG = Path("/boot/firmware/config.txt")
ETC = Path("/etc/systemd")
NAME = "zz-door-agent.conf"  # read after others in its folder: what it says counts
SWAP_FILES = ("dphys-swapfile.service",)
_CLOCK_TOLERANCE_S = 60.0
_WATCHDOG = b"""\
# A kernel that stops feeding the hardware watchdog is reset: the relay's pin goes back to its resistor.
[Manager]
RuntimeWatchdogSec=10
RebootWatchdogSec=2min
"""
_JOURNALD = b"""\
# The system's log lives in memory: a card wears out by it. The door's own journal is elsewhere and is kept.
[Journal]
Storage=volatile
RuntimeMaxUse=32M
"""


def clock_step(laptop_utc: float) -> Step:
    """A device without a clock battery wakes up in the past: certificates and the report want a plausible time."""

    def off_s() -> float:
        return laptop_utc + (time.monotonic() - began_s) - time.time()

    def look() -> Look:
        ok = synced() or abs(off_s()) < _CLOCK_TOLERANCE_S
        found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        return Look(ok, found if ok else f"{found}, {abs(off_s()) / 86400:.1f} days from this laptop's clock")

    def do() -> str:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + off_s())
        return "set to the laptop's time"

    began_s = time.monotonic()
    return Step(
        "clock", "kept by a time server, or as the laptop's", look, do, "certificates have a beginning and an end"
    )


def synced() -> bool:
    """Whether a time server keeps the clock."""
    return Path("/run/systemd/timesync/synchronized").exists()


def boot_steps(plan: Mapping[str, Any]) -> Iterator[Step]:
    """All of them for one door; `plan` has relay_pin, relay_active_high, ntp."""
    yield _config_txt(plan)
    yield file_step(
        "watchdog",
        ETC / "system.conf.d" / NAME,
        _WATCHDOG,
        0o644,
        why="a dead kernel must not hold the relay",
        then=lambda: call("systemctl", "daemon-reexec"),
    )
    yield file_step(
        "system log in memory",
        ETC / "journald.conf.d" / NAME,
        _JOURNALD,
        0o644,
        why="writes wear out the card; what happened at the door is in the door's own journal",
        then=lambda: call("systemctl", "restart", "systemd-journald"),
    )
    if plan.get("ntp"):
        text = f"[Time]\nNTP={' '.join(plan['ntp'])}\n".encode()
        yield file_step(
            "time servers",
            ETC / "timesyncd.conf.d" / NAME,
            text,
            0o644,
            why="the site's own, reachable without the internet",
            then=lambda: call("systemctl", "try-restart", "systemd-timesyncd"),
        )
    yield _swap()


def _config_txt(plan: Mapping[str, Any]) -> Step:
    level = "dl" if plan["relay_active_high"] else "dh"
    pin = plan["relay_pin"]
    wanted = {
        f"gpio={pin}=op,{level}": "the relay is dropped from power-on, before any program runs",
        "dtparam=watchdog=on": "the hardware watchdog",
        "dtparam=strict_gpiod": "a line falls back to its resistor when its process dies",
    }

    def missing() -> list[str]:
        have = {line.strip() for line in BOOT_CONFIG.read_text(errors="replace").splitlines()}
        return [line for line in wanted if line not in have]

    def look() -> Look:
        if not BOOT_CONFIG.exists():
            return Look(ok=True, found=f"no {BOOT_CONFIG}: this board has none, its relay rests on its resistor alone")
        lacks = missing()
        return Look(not lacks, f"{BOOT_CONFIG} without " + ", ".join(lacks) if lacks else "all set")

    def do() -> str:
        keep(BOOT_CONFIG)
        lacks = missing()
        block = "\n".join(["", "[all]", *(f"# door-agent: {wanted[line]}\n{line}" for line in lacks), ""])
        replace(BOOT_CONFIG, BOOT_CONFIG.read_bytes().rstrip(b"\n") + b"\n" + block.encode(), 0o755)
        return f"added {', '.join(lacks)}; they count from the next boot"

    return Step("boot settings", "; ".join(wanted), look, do, "; ".join(wanted.values()))


def _swap() -> Step:
    def running() -> list[str]:
        return [unit for unit in SWAP_FILES if quiet("systemctl", "is-enabled", unit)]

    def do() -> str:
        call("systemctl", "disable", "--now", *running())
        return "switched it off"

    def look() -> Look:
        found = running()
        return Look(not found, ", ".join(found) if found else "none")

    return Step("swap on the card", "none", look, do, "it wears out the card and stalls the door")


def free_mib(path: str = "/opt") -> int:
    """Room on the disk."""
    return shutil.disk_usage(ensure_folder(Path(path))).free >> 20
