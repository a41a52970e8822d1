"""door-agent doctor: look at everything this door needs; found, expected, do this."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import add_command, print_json
from agent.cli.doctor_server import check_server
from agent.cli.doctor_updates import check_updates
from hardware.finding import Check

if TYPE_CHECKING:
    from agent.config import Config
    from agent.directory import View


UNITS = Path("/etc/systemd/system")
_IN_MEMORY = ("tmpfs", "ramfs")
_NAMED = 5  # entries that cannot be read


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    add_command(subparsers, "doctor", "Check configuration, lines, camera, face models, stores and the server.")


def run(arguments: argparse.Namespace) -> int:
    """0 all well; 1 something is not, its line says what to do; 3 the configuration is wrong."""
    from agent.config import load

    config = load(arguments.config)
    checks = [Check("configuration", ok=True, found=arguments.config, expected="readable, every key known")]
    for check in all_checks(config, arguments.config):
        checks.append(check)
        if not arguments.json:
            _print(check)
    if arguments.json:
        print_json({"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]})
    return 0 if all(check.ok for check in checks) else 1


def _print(check: Check) -> None:
    print(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.found}")
    if not check.ok:
        print(f"     expected: {check.expected}\n     do this: {check.do_this}")


def all_checks(config: Config, path: str) -> Iterator[Check]:
    """Every check in turn: hardware, models, stores, clock, server, releases from afar."""
    from hardware.checks import check_hardware

    yield from check_hardware(path, camera_source=config.camera.source)
    yield from _camera_network(config)
    yield from _models(config)
    yield from _stores(config)
    yield _clock(Path(config.runtime.agent_dir) / "clock")
    yield from check_server(config)
    yield from check_updates(config)


def _models(config: Config) -> Iterator[Check]:
    from agent.site_network import pipeline_settings
    from models.errors import ModelError
    from models.pipeline import load_pipeline

    try:
        pipeline = load_pipeline(pipeline_settings(config))
    except ModelError as e:
        yield Check(
            "face models", ok=False, found=str(e), expected="a detector and a network", do_this="door-agent models list"
        )
        return
    missing = pipeline.missing
    yield Check(
        "face models",
        ok=missing is None,
        found=pipeline.engine if missing is None else f"{pipeline.engine}; better ones are missing",
        expected="YuNet, reid0095 and MiniFASNet",
        do_this=missing or "",
    )


def _stores(config: Config) -> Iterator[Check]:
    from agent.errors import StoreError
    from agent.residents import Residents
    from agent.roster.store import RosterStore

    folder = Path(config.store.state_dir)
    if not folder.is_dir():
        yield Check(
            "state folder",
            ok=False,
            found=f"{folder} is not there",
            expected="a folder of the agent's user",
            do_this=f"mkdir -p {folder} and give it to the agent's user, or run the installer again",
        )
        return
    yield _disk(folder, config.store.quota_mib)
    try:
        store = RosterStore(folder)
        try:
            residents = Residents(store)
        finally:
            store.close()
    except StoreError as e:
        expected = "readable; until it is, nobody is recognised here, and exits and orders from afar go on"
        yield Check("roster", ok=False, found=str(e), expected=expected, do_this="as it says")
        return
    people = len(residents.roster.persons)
    if faults := residents.roster.faults:
        yield _unreadable(faults)
    yield Check(
        "roster",
        ok=people > 0,
        found=f"{people} people, {residents.template_count()} face templates",
        expected="at least one resident",
        do_this="door-agent enroll NAME PICTURE PICTURE PICTURE --consent" if not people else "",
    )
    if residents.view.recognisable:
        yield _networks(config, residents.view)


def _networks(config: Config, view: View) -> Check:
    """Whether the network that the door works with knows everybody's face."""
    from agent.core.networks import named, to_use
    from agent.site_network import pipeline_settings
    from models.pipeline import ready_networks

    here = {(one.model_id, one.alignment_id): one.name for one in ready_networks(pipeline_settings(config))}
    chosen = to_use(view.networks, tuple(here))
    left_out = view.recognisable - (view.networks.get(chosen, 0) if chosen else 0)
    others = ", ".join(f"{n} with {named(one)}" for one, n in sorted(view.networks.items()) if one != chosen)
    better = next((name for one, name in here.items() if one != chosen), "") if chosen != next(iter(here), None) else ""
    found = f"{view.recognisable - left_out} people are known to {named(chosen) if chosen else 'no network here'}"
    return Check(
        "enrolled faces",
        ok=left_out == 0,
        found=f"{found}; {left_out} are strangers to it, enrolled {others}" if left_out else found + _waits(better),
        expected="everybody's face known to the network in use",
        do_this="enrol these people again, or bring the other network back (door-agent models list; faces.network)"
        if left_out
        else "",
    )


def _waits(better: str) -> str:
    if not better:
        return ""
    return f'; {better} is here and better: faces.network = "{better}" takes it, and everybody is enrolled again'


def _unreadable(faults: Mapping[str, str]) -> Check:
    """Entries of the roster that nobody can read: everybody else comes in, these people do not."""
    some = "; ".join(f"{who or 'the hours'}: {why}" for who, why in sorted(faults.items())[:_NAMED])
    who = next((one for one in sorted(faults) if one), "")
    mend = f"door-agent enroll --remove {who}, then enrol this person again" if who else ""
    hours = "door-agent roster import a file with the hours" if "" in faults else ""
    return Check(
        "roster entries",
        ok=False,
        found=f"{len(faults)} cannot be read: {some}",
        expected="every entry readable; these people are not let in, everybody else is",
        do_this="; ".join(one for one in (mend, hours) if one),
    )


def _disk(folder: Path, quota_mib: int) -> Check:
    """The journal's disk: it survives a power cut, has room for the quota, and nobody else can fill it."""
    from agent.journal.disk import bytes_on_disk

    kind, alone = _file_system(folder)
    space = os.statvfs(folder)
    room_mib = (space.f_bavail * space.f_frsize + bytes_on_disk(folder / "journal.db")) // (1024 * 1024)
    own = "a partition of its own" if alone else "shared with the system (a partition of its own is better)"
    do_this = "put store.state_dir on a disk, see deploy/README.md" if kind in _IN_MEMORY else ""
    if room_mib <= quota_mib:
        do_this = "free space there, or lower store.quota_mib"
    if space.f_flag & os.ST_RDONLY:
        do_this = "it is mounted read-only, rows wait in memory: look at the system's log, then at the card"
    if holds_up_the_boot(folder, Path("/etc/fstab")):
        do_this = "add nofail to its line in /etc/fstab: without that partition nothing boots, nor the exit button"
    return Check(
        "state disk",
        ok=not do_this,
        found=f"{kind}, {own}, room for {room_mib} MiB of events",
        expected=f"a disk with more than {quota_mib} MiB (store.quota_mib)",
        do_this=do_this,
    )


def holds_up_the_boot(folder: Path, fstab: Path) -> bool:
    """True when this folder is a mount that the boot waits for: then a lost partition means no guard, and no exit."""
    try:
        lines = [
            line.split() for line in fstab.read_text(errors="replace").splitlines() if not line.lstrip().startswith("#")
        ]
    except OSError:
        return False
    options = [line[3].split(",") for line in lines if len(line) > 3 and line[1].rstrip("/") == str(folder)]  # noqa: PLR2004
    return any(not {"nofail", "noauto"} & set(one) for one in options)


def _file_system(folder: Path) -> tuple[str, bool]:
    """Its type, and whether it is another one than the system's own."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kind = next((m[m.index("-") + 1] for m in mounts if m[2] == number), "unknown file system")
    return kind, device != Path("/").stat().st_dev


def _camera_network(config: Config) -> Iterator[Check]:
    """Whether the vision process may reach the camera: this command may, which proves nothing."""
    from deploy.device.camera_network import NAME, drop_in
    from deploy.device.commands import InstallError

    path = UNITS / NAME
    try:
        wanted = drop_in(config.camera.source)
    except InstallError as error:
        yield Check("camera network", ok=False, found=str(error), expected="a numbered address", do_this=str(error))
        return
    there = path.read_text() if path.exists() else ""
    if wanted or there:
        expected = f"{path} for camera.source" if wanted else f"no {path}: this camera needs no network"
        restart = "sudo systemctl daemon-reload && sudo systemctl restart door-vision"
        put = f"door-agent check-config --camera-network | sudo tee {path}" if wanted else f"sudo rm {path}"
        folder = f"sudo mkdir -p {path.parent} && " if wanted else ""
        done = there == wanted
        found = "as it should be" if done else "another one" if there else "not there"
        yield Check("camera network", done, found, expected, "" if done else f"{folder}{put} && {restart}")


def _clock(keep: Path) -> Check:
    from agent.clock import SystemClock
    from agent.core.journal import ClockQuality

    quality = SystemClock(keep).quality()
    return Check(
        "clock",
        ok=quality in (ClockQuality.NTP, ClockQuality.RTC),
        found=str(quality),
        expected="ntp or rtc",
        do_this="timedatectl set-ntp true; until then residents are let in and visitors are not",
    )
