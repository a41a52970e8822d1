"""Settings of the operating system that a door needs, each with its reason, each undone by `--undo`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.device.commands import call, quiet
from deploy.device.files import ensure_folder, replace
from deploy.device.steps import Look, Step, file_step, keep_units

BOOT_CONFIG = Path("/boot/firmware/config.txt")
ETC = Path("/etc/systemd")
NAME = "zz-door-agent.conf"  # read after others in its folder: what it says counts
BEGIN, END = "# door-agent: begin (written by provision; changes belong into the site file)", "# door-agent: end"
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
    wanted = {
        relay_line(plan["relay_pin"], active_high=plan["relay_active_high"]):
            "the relay is dropped from power-on, before any program runs",
        "dtparam=watchdog=on": "the hardware watchdog",
        "dtparam=strict_gpiod": "a line falls back to its resistor when its process dies",
    }  # fmt: skip

    def look() -> Look:
        if not BOOT_CONFIG.exists():
            return Look(ok=True, found=f"no {BOOT_CONFIG}: this board has none, its relay rests on its resistor alone")
        text = BOOT_CONFIG.read_text(errors="surrogateescape")
        before, own, _ = _parted(text)
        others = [line for line in _lines(before) if line.split("=")[0] == "gpio"]
        found = ", ".join(own) or "none of ours"
        return Look(with_block(text, wanted) == text, found + (f"; others': {', '.join(others)}" if others else ""))

    def do() -> str:
        text = BOOT_CONFIG.read_text(errors="surrogateescape")
        data = with_block(text, wanted).encode(errors="surrogateescape")
        replace(BOOT_CONFIG, data, BOOT_CONFIG.stat().st_mode & 0o777)
        return f"wrote {', '.join(wanted)}; they count from the next boot"

    return Step("boot settings", "; ".join(wanted), look, do, "; ".join(wanted.values()))


def take_out_block() -> bool:
    """The boot settings without our block; what others have written since stays. Whether it was there."""
    if not BOOT_CONFIG.exists():
        return False
    text = BOOT_CONFIG.read_text(errors="surrogateescape")
    before, own, after = _parted(text)
    if own:
        kept = "\n[all]\n".join(part for part in (before, after) if part) + "\n"
        replace(BOOT_CONFIG, kept.encode(errors="surrogateescape"), BOOT_CONFIG.stat().st_mode & 0o777)
    return bool(own)


def relay_line(pin: int, *, active_high: bool) -> str:
    """What keeps the relay dropped from power-on."""
    return f"gpio={pin}=op,{'dl' if active_high else 'dh'}"


def with_block(text: str, wanted: Mapping[str, str]) -> str:
    """`text` with one block of ours at its end, written as a whole.

    The firmware obeys line after line, so that a `gpio=` of ours from an earlier wiring would hold the wrong level, or
    keep an output where a button is now. What others wrote stays, and ours, being last, counts.
    """
    before, _, after = _parted(text)
    kept = "\n[all]\n".join(part for part in (before, after) if part)  # what stood behind our block was for all boards
    block = [BEGIN, "[all]", *(part for line, why in wanted.items() for part in (f"# {why}", line)), END]
    return (f"{kept}\n\n" if kept else "") + "\n".join(block) + "\n"


def _parted(text: str) -> tuple[str, list[str], str]:
    """What stands before our block, its settings, what stands after it."""
    head, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    return head.rstrip("\n"), [line for line in _lines(block) if line != "[all]"], after.strip("\n")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _swap() -> Step:
    def running() -> list[str]:
        return [unit for unit in SWAP_FILES if quiet("systemctl", "is-enabled", unit)]

    def do() -> str:
        units = running()
        keep_units(units)
        call("systemctl", "disable", "--now", *units)
        return "switched it off"

    def look() -> Look:
        found = running()
        return Look(not found, ", ".join(found) if found else "none")

    return Step("swap on the card", "none", look, do, "it wears out the card and stalls the door")


def free_mib(path: str = "/opt") -> int:
    """Room on the disk."""
    return shutil.disk_usage(ensure_folder(Path(path))).free >> 20
