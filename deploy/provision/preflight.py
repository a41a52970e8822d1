"""What kind of device answers, before anything is changed there; what will not do, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.bundle import Target
from deploy.provision.bundles import Bundle
from deploy.provision.ssh import DeviceError, Session

MIN_MEMORY_MIB = 400
MIN_LGPIO = 0x00020200
PYTHONS = ("cp311", "cp313")
# one line each: key=value; nothing but a shell is taken for granted
_ASK = r"""
echo machine=$(uname -m)
echo python=$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])' 2>/dev/null)
echo venv=$(python3 -c 'import ensurepip, venv' 2>/dev/null && echo yes)
echo board=$(tr -d '\0' < /proc/device-tree/model 2>/dev/null || sed -n 's/^Model[^:]*: //p' /proc/cpuinfo)
echo system=$(. /etc/os-release; echo "$PRETTY_NAME")
left=$(du -sm /var/tmp/door-agent-setup 2>/dev/null | cut -f1)
echo disk_mib=$(($(df -m --output=avail / | tail -1) + ${left:-0}))
echo memory_mib=$(awk '/^MemTotal/ {print int($2/1024)}' /proc/meminfo)
echo root=$(sudo -n true 2>/dev/null && echo yes)
echo systemd=$(systemctl --version 2>/dev/null | awk 'NR==1 {print $2}')
echo gpio=$(ls /dev/gpiochip* 2>/dev/null | tr '\n' ' ')
echo current=$(readlink /opt/door-agent/current | sed 's|.*/||')
echo name=$(hostname)
echo lgpio=$(cd "$(mktemp -d)" && LG_WD=$PWD python3 -c 'import lgpio; print(lgpio.LGPIO_PY_VERSION)' 2>/dev/null)
"""


@dataclass(frozen=True, slots=True)
class Device:
    """A device's answers."""

    target: Target
    board: str
    system: str
    disk_mib: int
    current: str
    lgpio: int  # its version as the library says it; 0: not there


def look(session: Session) -> Device:
    """Ask, and refuse what cannot work.

    Raises:
        DeviceError: not a Linux with systemd, sudo, a Python and a machine that there are bundles for.
    """
    said = dict(line.split("=", 1) for line in session.run(_ASK).splitlines() if "=" in line)
    said = {key: value.strip() for key, value in said.items()}
    faults = list(_faults(said))
    if faults:
        raise DeviceError(f"{said.get('board') or 'this device'} cannot be set up:\n  " + "\n  ".join(faults))
    return Device(
        target=Target(said["machine"], said["python"]),
        board=said["board"] or "unknown board",
        system=said["system"],
        disk_mib=int(said["disk_mib"]),
        current=said["current"],
        lgpio=int(said.get("lgpio") or 0),
    )


def _faults(said: dict[str, str]) -> list[str]:
    machine, python = said.get("machine", ""), said.get("python", "")
    faults = []
    if machine not in {"aarch64", "x86_64"}:
        more = " Write the 64-bit Raspberry Pi OS on the card." if machine.startswith("arm") else ""
        faults.append(f"machine: found {machine or 'nothing'}, expected aarch64.{more}")
    if python not in PYTHONS:
        faults.append(f"Python: found {python or 'none'}, expected {' or '.join(PYTHONS)}: Raspberry Pi OS 12 or 13")
    elif said.get("venv") != "yes":
        faults.append("Python: its venv module is missing; on Debian: apt-get install python3-venv")
    if said.get("root") != "yes":
        faults.append(
            "sudo: asks for a password. On the device, once: "
            'echo "$USER ALL=(ALL) NOPASSWD: ALL" | sudo tee /etc/sudoers.d/010_door-installer'
        )
    if not said.get("systemd"):
        faults.append("systemd: not there; the door's services need it")
    if int(said.get("memory_mib") or 0) < MIN_MEMORY_MIB:
        faults.append(f"memory: found {said.get('memory_mib')} MiB, expected at least {MIN_MEMORY_MIB}")
    return faults


def pins(device: Device, bundle: Bundle) -> None:
    """The library for the pins: the system's, or the bundle's own.

    Raises:
        DeviceError: neither is there; a guard without it would never start.
    """
    if not bundle.lgpio and device.lgpio < MIN_LGPIO:
        found = "an older one" if device.lgpio else "none"
        raise DeviceError(
            f"lgpio: found {found}, expected 0.2.2.0: the guard moves the pins by it. With a network on the device: "
            "sudo apt-get install python3-lgpio. Without: door-agent bundle … --wheel FILE, which brings it along"
        )


def room(device: Device, bundle_mib: int, factor: int) -> None:
    """Room for the release beside the one that runs, and for its copies on the way.

    Raises:
        DeviceError: the disk is too full.
    """
    if device.disk_mib < factor * bundle_mib:
        raise DeviceError(
            f"disk: found {device.disk_mib} MiB free, expected {factor * bundle_mib} for a bundle of {bundle_mib} MiB. "
            "Use a larger card, or make room (sudo journalctl --vacuum-size=20M; old files in /home)"
        )
