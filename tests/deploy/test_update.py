"""An update on a played device: the gate, the way back, and what a power cut leaves at each point."""

import json
from pathlib import Path

import pytest
from played_device import SERVICES, WELL, PlayedDevice

from deploy.device import health, update
from deploy.device.commands import InstallError
from deploy.device.files import link
from deploy.device.steps import Talk

ALL = set(SERVICES)


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = PlayedDevice(tmp_path)
    played.take_over(monkeypatch)
    played.offers(monkeypatch, "new")
    yield played
    played.close()


def updated(**more):
    return update.update(Path("b.tar"), Talk(), **more)


def trial(device: PlayedDevice, *well: str) -> None:
    """A power cut behind the rename."""
    link(device.root / "current", "releases/new")
    well = well or (*WELL, *(f"service {unit}" for unit in SERVICES), "doctor")
    update.TRIAL.write_text(json.dumps({"from": "old", "to": "new", "well": sorted(well), "stores": {"journal": 1}}))


def is_old_and_whole(device: PlayedDevice) -> bool:
    return device.current == "old" and device.running == ALL and not update.TRIAL.exists()


def test_a_release_that_is_well_stays_and_its_predecessor_with_it(device):
    device.release("ancient")
    said = updated()
    assert (said["from"], said["release"]) == ("old", "new")
    assert (device.current, device.running) == ("new", ALL)
    assert not update.TRIAL.exists()
    assert device.releases == {"old", "new"}


@pytest.mark.parametrize("unit", ["door-agent", "door-guard", "door-vision"])
def test_a_service_that_was_well_and_is_not_takes_the_release_back(device, unit):
    device.sick("new", unit)
    with pytest.raises(InstallError, match=f"taken back, because of service {unit}; all well again"):
        updated()
    assert is_old_and_whole(device)
    assert device.releases == {"old"}, "the sick one goes, the good one stays"


@pytest.mark.parametrize(
    "doctor",
    [WELL | {"camera": False}, "sleep 60", "kill -9 $$", "echo nonsense", "echo '[]'", "echo '{\"checks\": 7}'",
     "echo '{\"checks\": [{\"name\": \"camera\"}]}'", "exit 1"],
)  # fmt: skip
def test_a_check_that_fails_and_a_doctor_that_hangs_dies_or_talks_nonsense_take_the_release_back(
    device, monkeypatch, doctor
):
    """Whatever the release under test does with its own judgement, it is not the one who judges."""
    monkeypatch.setattr(health, "DOCTOR_S", 0.5)
    device.doctor("new", doctor)
    with pytest.raises(InstallError, match="taken back, because of camera"):
        updated()
    assert is_old_and_whole(device)


def test_a_check_that_the_new_release_does_not_know_any_more_is_no_ailment(device):
    device.doctor("new", {"configuration": True, "picture": True})
    updated()
    assert device.current == "new"


def test_the_judgement_itself_failing_takes_the_release_back(device, monkeypatch):
    real = health.health

    def broken():
        if device.current == "new":
            raise RuntimeError("no such thing")
        return real()

    monkeypatch.setattr(health, "health", broken)
    with pytest.raises(InstallError, match="no verdict"):
        updated()
    assert is_old_and_whole(device)


def test_a_service_that_takes_its_time_to_start_gets_it(device):
    """A long journal is read, models are converted: longer than the verdict's own time."""
    device.doctor("new", f"[ $(cat $DEVICE/starting) -gt 0 ] && exit 1; {Path('/bin/cat')} $DEVICE/well")
    checks = [{"name": n, "ok": True, "found": "", "expected": "", "do_this": ""} for n in WELL]
    (device.folder / "well").write_text(json.dumps({"checks": checks}))
    device.starting_for(4)
    updated()
    assert device.current == "new"


@pytest.mark.parametrize("program", ["systemd-tmpfiles", "systemd-sysusers", "udevadm"])
def test_nothing_between_stop_and_start_leaves_the_door_without_its_services(device, program):
    """In a sandbox (door-settle) such a program may fail; the release under test is led back all the same."""
    device.fails(program)
    device.doctor("new", WELL | {"camera": False})
    trial(device)
    update.finish(Talk())
    assert is_old_and_whole(device)


def test_a_rename_that_fails_leaves_the_old_release_running(device, monkeypatch):
    def full(*_):
        if full.once:
            full.once = False
            raise OSError(28, "No space left on device")
        return link(device.root / "current", "releases/old")

    full.once = True
    monkeypatch.setattr(update, "link", full)
    with pytest.raises(InstallError, match="the switch failed"):
        updated()
    assert is_old_and_whole(device)


def test_settings_and_weights_that_the_new_release_brought_are_led_back_with_it(device):
    for name, weights in (("old", b"old weights"), ("new", b"new weights")):
        (device.root / "releases" / name / "weights").mkdir()
        (device.root / "releases" / name / "weights" / "net.onnx").write_bytes(weights)
    (device.folder / "weights" / "somebody's.onnx").write_bytes(b"put there by hand")
    device.doctor(
        "new", "echo 'settings of the new release' > $DEVICE/etc/door.toml; cp $DEVICE/weights/net.onnx $DEVICE/seen"
    )
    with pytest.raises(InstallError):
        updated()
    assert (device.folder / "seen").read_bytes() == b"new weights"
    assert update.CONFIG.read_text() == "settings of the old release"
    found = {path.name: path.read_bytes() for path in (device.folder / "weights").iterdir()}
    assert found == {"net.onnx": b"old weights", "somebody's.onnx": b"put there by hand"}


def test_stores_that_cannot_be_led_back_do_not_stop_the_rest(device):
    (device.root / "releases" / "new" / "venv" / "bin" / "python").unlink()
    device.sick("new", "door-agent")
    with pytest.raises(InstallError, match="taken back"):
        updated()
    assert is_old_and_whole(device)


@pytest.mark.parametrize(("sick", "release"), [("", "new"), ("door-agent", "old")])
def test_a_boot_after_a_cut_behind_the_rename_gives_the_verdict(device, sick, release):
    if sick:
        device.sick("new", sick)
    trial(device)
    update.start_services()
    update.finish(Talk())
    assert (device.current, device.running) == (release, ALL)
    assert not update.TRIAL.exists()


def test_a_boot_does_not_judge_by_what_is_outside_the_device(device):
    """The same power cut took the router and the server; a good release stays."""
    device.doctor("new", WELL | {"server": False, "clock": False})
    trial(device)
    update.finish(Talk())
    assert device.current == "new"
    assert not update.TRIAL.exists()


def test_a_boot_after_a_cut_before_the_rename_goes_on_with_the_old_release(device):
    trial(device)
    link(device.root / "current", "releases/old")
    update.finish(Talk())
    assert is_old_and_whole(device)


def test_without_a_trial_a_boot_changes_nothing(device):
    update.finish(Talk())
    assert device.calls == []


def test_what_judges_at_boot_is_exchanged_only_when_its_release_has_proved_well(device):
    unit = device.folder / "units" / "door-settle.service"
    unit.write_text("as installed")
    device.sick("new", "door-agent")
    with pytest.raises(InstallError):
        updated()
    assert unit.read_text() == "as installed"
    device.release("new")
    updated()
    assert not unit.is_symlink()
    assert unit.read_text().startswith("# new")


def test_without_a_timer_for_the_gate_nothing_is_changed_and_nothing_is_left_on_trial(device):
    """The agent would wait for a verdict until the next boot, which would lead back to the settings of today."""
    device.fails("systemd-run")
    with pytest.raises(InstallError, match=r"no timer.*nothing was changed"):
        updated()
    assert is_old_and_whole(device)
    assert not any(call.startswith("systemctl stop door-agent") for call in device.calls if ".timer" not in call)


def test_a_journal_that_takes_nothing_leaves_nothing_on_trial(device, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(update, "note", full)
    with pytest.raises(OSError, match="No space"):
        updated()
    assert is_old_and_whole(device)
    assert not any("restart" in call for call in device.calls)


def test_what_could_not_be_led_back_is_taken_up_by_the_timer_and_not_only_by_the_next_boot(device, monkeypatch):
    device.sick("new", "door-agent")
    monkeypatch.setattr(update, "_stores_back", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        updated()
    assert update.TRIAL.exists()
    assert device.calls[-1] != f"systemctl reset-failed {update.GATE_TIMER}.service"


def test_a_gate_that_is_killed_is_replaced_by_a_timer(device):
    """SIGKILL, out of memory: systemd starts the boot's own judgement later; not when there was a verdict."""
    updated()
    armed = [i for i, call in enumerate(device.calls) if call.startswith("systemd-run") and "door-settle" in call]
    switched = device.calls.index("systemctl restart door-guard")
    disarmed = [i for i, call in enumerate(device.calls) if call == f"systemctl stop {update.GATE_TIMER}.timer"]
    assert len(armed) == 1
    assert armed[0] < switched < disarmed[-1]


@pytest.mark.parametrize("status", ["busy: a face is in view", "busy: somebody is being let in"])
def test_nobody_is_updated_under_their_feet_unless_it_is_the_installer(device, monkeypatch, status):
    device.status(status)
    monkeypatch.setattr(update, "QUIET_WAIT_S", 0.0)
    with pytest.raises(InstallError, match=f"somebody is at the door .{status.removeprefix('busy: ')}"):
        updated()
    assert device.current == "old"
    assert not update.TRIAL.exists()
    device.status("quiet")
    updated()
    assert device.current == "new"


def test_the_installer_at_the_door_can_say_now(device):
    device.status("busy: a face is in view")
    updated(now=True)
    assert device.current == "new"
