"""The units: how little they may do, that every line says why, and that they fit each other and the programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from agent.cli.common import DEFAULT_CONFIG
from agent.config import Runtime, Store
from agent.config_updates import RELEASES_DIR
from agent.updates import desk as update_desk
from agent.updates import files as update_files
from deploy.device import camera_network, staged
from deploy.device.health import DOCTOR_S, LONGEST_START_S
from deploy.device.install import OWN
from deploy.device.runner import LOCK_WAIT_S
from deploy.device.update import GATE_WITHIN_S
from deploy.own_wheel import PACKAGES
from hardware.guard import CHIP_WAIT_S, HANG_KILLED_AFTER_S, WATCHDOG_EVERY_S

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = ["door-guard", "door-agent", "door-vision"]
ROOTS = ["door-settle", "door-update"]  # as root, for as long as an update takes
ALL_UNITS = [*UNITS, *ROOTS]
# of 10; a service without any of it has 9.6. door-settle runs seconds after a power cut, as root, to put units in place
MAX_EXPOSURE = {"door-guard": 0.5, "door-agent": 1.5, "door-vision": 0.5, "door-settle": 4.0, "door-update": 4.0}


MAX_EXPOSURE_WITH_NETWORK_CAMERA = 1.3


def exposure(path: Path) -> float:
    """What systemd says of a unit, of 10; its drop-ins beside it count."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


def lines(unit: str) -> list[str]:
    return (FOLDER / f"{unit}.service").read_text().splitlines()


def settings(unit: str, section: str = "Service") -> dict[str, list[str]]:
    """Every setting with all its values: some are given twice on purpose."""
    found: dict[str, list[str]] = {}
    here = ""
    for line in lines(unit):
        if line.startswith("["):
            here = line.strip("[]")
        elif line and not line.startswith("#") and here == section:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def one(unit: str, key: str, section: str = "Service") -> str:
    [value] = settings(unit, section)[key]
    return value


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", ALL_UNITS)
def test_exposure_is_within_its_bound(unit):
    assert exposure(FOLDER / f"{unit}.service") <= MAX_EXPOSURE[unit]


@pytest.mark.needs("systemd-analyze")
def test_with_a_network_camera_the_vision_process_is_still_shut_in(tmp_path):
    """The README names the figure, for an installer to weigh."""
    (tmp_path / "door-vision.service").write_text((FOLDER / "door-vision.service").read_text())
    drop = tmp_path / camera_network.NAME
    drop.parent.mkdir()
    drop.write_text(camera_network.drop_in("rtsp://cam:secret@192.0.2.10/live"))
    assert exposure(tmp_path / "door-vision.service") <= MAX_EXPOSURE_WITH_NETWORK_CAMERA
    assert f"to {MAX_EXPOSURE_WITH_NETWORK_CAMERA} of 10" in (FOLDER / "README.md").read_text()


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", ALL_UNITS)
def test_systemd_understands_every_line(unit):
    command = ["systemd-analyze", "verify", "--man=no", str(FOLDER / f"{unit}.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit in line and "is not executable" not in line]
    assert complaints == []  # only our interpreter is missing on a machine that is no door


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_lives_for_ever_and_is_killed_for_good_when_it_stands_still(unit):
    assert one(unit, "Restart") == "always"
    assert one(unit, "StartLimitIntervalSec", "Unit") == "0"
    assert one(unit, "Type") == "notify"
    assert one(unit, "WatchdogSignal") == "SIGKILL"
    assert one(unit, "LimitCORE") == "0"
    assert one(unit, "User") == unit
    assert one(unit, "Group") == "door"


def test_the_guards_times_fit_its_program():
    """Fed four times in a watchdog's time; the kernel's own timer comes first; a stop is dropped within 4 s."""
    watchdog_s = float(one("door-guard", "WatchdogSec"))
    assert 3 * WATCHDOG_EVERY_S < watchdog_s <= 2.0
    assert watchdog_s > HANG_KILLED_AFTER_S
    assert float(one("door-guard", "TimeoutStartSec")) > CHIP_WAIT_S


def test_every_end_of_the_guard_drops_the_relay_from_the_guards_own_note():
    command = one("door-guard", "ExecStopPost")
    assert "-m hardware.relay_off" in command
    assert f"--noted-in {Runtime().guard_dir}" in command
    assert "--allow-user door-agent" in one("door-guard", "ExecStart")


@pytest.mark.parametrize("unit", UNITS)
def test_paths_are_the_products(unit):
    start = one(unit, "ExecStart")
    assert start.startswith("/opt/door-agent/current/venv/bin/python -I -m ")
    assert f"--config {DEFAULT_CONFIG}" in start
    assert one(unit, "ConditionPathExists", "Unit") == DEFAULT_CONFIG


def test_folders_are_those_of_the_configuration():
    assert Runtime().guard_dir == f"/run/{one('door-guard', 'RuntimeDirectory')}"
    assert Runtime().agent_dir == f"/run/{one('door-agent', 'RuntimeDirectory')}"
    assert Store().state_dir == f"/var/lib/{one('door-agent', 'StateDirectory')}"
    assert one("door-guard", "Environment") == f"LG_WD={Runtime().guard_dir}"


def test_devices_and_network_are_where_they_belong():
    assert settings("door-guard")["DeviceAllow"] == ["char-gpiochip rw"]
    assert set(settings("door-vision")["DeviceAllow"]) == {
        "char-video4linux rw",
        "char-media rw",
        "char-dma_heap rw",
    }
    assert "DeviceAllow" not in settings("door-agent")
    assert one("door-agent", "PrivateDevices") == "yes"
    for unit in ("door-guard", "door-vision"):
        assert one(unit, "PrivateNetwork") == "yes"
        assert one(unit, "RestrictAddressFamilies") == "AF_UNIX"


@pytest.mark.parametrize("unit", ALL_UNITS)
def test_the_documentation_that_a_unit_names_comes_with_its_release(unit):
    """A link to the packages' folder, which has every README of theirs (deploy/device/install.py)."""
    path = one(unit, "Documentation", "Unit").removeprefix("file:///opt/door-agent/current/share/doc/")
    assert (FOLDER.parent / path).is_file()
    assert path.split("/")[0] in PACKAGES
    assert path.endswith(".md")


@pytest.mark.parametrize("unit", ROOTS)
def test_who_judges_a_release_is_not_shut_off_from_what_it_judges_by(unit):
    """Each of these once made every good release look ill, or the way back fail; the rig runs the unit itself."""
    shuts = {
        "PrivateNetwork",
        "ProtectClock",
        "ProtectKernelTunables",
        "PrivateDevices",
        "DevicePolicy",
        "ProtectSystem",
    }
    assert not shuts & settings(unit).keys()
    assert "AF_INET" in one(unit, "RestrictAddressFamilies")
    assert "adjtimex" in " ".join(settings(unit)["SystemCallFilter"])


def test_the_judge_at_boot_has_time_for_two_verdicts():
    two_verdicts_s = 2 * (LONGEST_START_S + DOCTOR_S + 60)
    assert float(one("door-settle", "TimeoutStartSec")) > two_verdicts_s
    assert two_verdicts_s < GATE_WITHIN_S
    for unit in UNITS:
        assert float(one(unit, "TimeoutStartSec")) < LONGEST_START_S


def test_the_agents_request_and_the_program_that_takes_it_name_the_same_file():
    """And what is installed is there to be read by the users that run it."""
    text = (FOLDER / "door-update.path").read_text()
    assert f"PathExists={Store().state_dir}/update/{update_files.REQUEST}\n" in text
    assert (Path(Store().state_dir) / "update", update_files.REQUEST) == (staged.FOLDER, staged.REQUEST)
    assert (staged.ANSWER.name, staged.ROOT) == (update_files.ANSWER, Path(RELEASES_DIR))
    assert one("door-update", "ExecStart").endswith(" /opt/door-agent/runner.pyz staged")
    assert one("door-update", "UMask") == "0022"
    assert "[Install]" not in (FOLDER / "door-update.service").read_text(), "started by a request alone"
    assert {"door-update.path", "door-update.service"} < OWN


def test_the_updater_has_time_for_the_wait_and_two_verdicts():
    hours = float(one("door-update", "TimeoutStartSec").removesuffix("h"))
    assert hours * 3600 >= LOCK_WAIT_S + staged.QUIET_WAIT_S + GATE_WITHIN_S + 3600
    assert hours * 3600 <= update_desk.NO_WORD_S


WORDS_ALONE = re.compile(r"(Description|Documentation|WantedBy)=")
ONE_THOUGHT = 4  # settings that one comment may speak for


@pytest.mark.parametrize("unit", ALL_UNITS)
def test_every_setting_says_why(unit):
    """A comment above it, which speaks for the few settings of the same thought that follow."""
    silent, spoken_for = [], 0
    for line in lines(unit):
        if line.startswith("#"):
            spoken_for = ONE_THOUGHT
        elif not line or line.startswith("["):
            spoken_for = 0
        elif not WORDS_ALONE.match(line):
            spoken_for -= 1
            silent += [line] if spoken_for < 0 else []
    assert silent == []


def test_the_users_exist_and_have_their_devices_only():
    text = (FOLDER / "door.sysusers").read_text()
    users = re.findall(r"^u (\S+)", text, re.MULTILINE)
    memberships = set(re.findall(r"^m (\S+) +(\S+)", text, re.MULTILINE))
    assert sorted(users) == sorted(UNITS)
    assert memberships == {(unit, "door") for unit in UNITS} | {("door-guard", "gpio"), ("door-vision", "video")}


_GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")


@pytest.mark.skipif(not _GENERATOR.exists(), reason="systemd's fstab generator is not installed")
def test_a_missing_partition_for_the_state_keeps_neither_the_boot_nor_the_guard_waiting(tmp_path):
    """The line of deploy/README.md, as systemd makes units of it: emergency mode would mean a door without an exit."""
    readme = (FOLDER.parent / "deploy" / "README.md").read_text()
    [line] = re.findall(r"^echo '(LABEL=door-state .*)' >> /etc/fstab$", readme, re.MULTILINE)
    (tmp_path / "fstab").write_text(line + "\n")
    folders = [tmp_path / name for name in ("normal", "early", "late")]
    for folder in folders:
        folder.mkdir()
    environment = {"SYSTEMD_FSTAB": str(tmp_path / "fstab"), "SYSTEMD_SYSROOT_FSTAB": "/dev/null"}
    subprocess.run([_GENERATOR, *folders], env=environment, check=True, timeout=30)
    unit = "var-lib-door\\x2dagent.mount"
    wanted_by = {p.parent.name for p in folders[0].rglob(unit) if p.is_symlink()}
    assert (folders[0] / unit).exists()
    assert "local-fs.target.requires" not in wanted_by
    assert one("door-agent", "StateDirectory") == "door-agent"  # requires the mount, and waits for it
    for key in ("StateDirectory", "RequiresMountsFor", "ReadWritePaths", "BindPaths"):
        assert key not in settings("door-guard")
        assert key not in settings("door-guard", "Unit")
