"""An update on the device, played in a folder: the gate, the way back, and what a power cut leaves at each point."""

import json
from pathlib import Path

import pytest

from deploy.device import install, steps, update
from deploy.device.files import link
from deploy.device.install import InstallError
from deploy.device.steps import Talk

WELL = {"service door-guard", "service door-agent", "configuration", "camera"}


class Device:
    """A device whose new release is as well as `sick` allows."""

    def __init__(self, root: Path) -> None:
        self.root, self.sick, self.led_back = root, set[str](), 0
        for name in ("old", "new"):
            (root / "releases" / name).mkdir(parents=True)
        link(root / "current", "releases/old")

    def health(self) -> set[str]:
        return WELL - self.sick if update.current() == "new" else WELL

    def switch_to(self, release: str) -> float:
        self.led_back += release == "old"
        link(self.root / "current", f"releases/{release}")
        return 0.5


@pytest.fixture
def device(tmp_path, monkeypatch) -> Device:
    played = Device(tmp_path / "opt")
    for name, value in {
        "ROOT": played.root,
        "TRIAL": played.root / "trial.json",
        "RUNNER": played.root / "runner.pyz",
        "CONFIG": tmp_path / "door.toml",
        "health": played.health,
        "switch_to": played.switch_to,
        "prepare": lambda installer: setattr(installer, "manifest", {"version": "new"}),
        "versions": lambda _: {"journal": 1},
        "_busy": lambda: "",
        "_VERDICT_S": 0.0,
        "quiet": lambda *_: True,
    }.items():
        monkeypatch.setattr(update, name, value)
    monkeypatch.setattr(install, "ROOT", played.root)
    monkeypatch.setattr(install, "RESTART_DUE", played.root / ".restart-due")
    monkeypatch.setattr(steps, "STATE", tmp_path / "state")
    monkeypatch.setattr(update.time, "sleep", lambda _: None)
    monkeypatch.setattr(update.subprocess, "run", lambda *_a, **_k: type("Done", (), {"returncode": 0, "stderr": ""}))
    monkeypatch.setattr(update.sys, "argv", [__file__])
    monkeypatch.setattr(update.shutil, "chown", lambda *_: None)
    (tmp_path / "door.toml").write_text("settings of the old release")
    return played


def test_a_release_that_is_well_stays_and_leaves_no_trial(device):
    said = update.update(Path("b.tar"), Talk())
    assert (said["from"], said["release"]) == ("old", "new")
    assert update.current() == "new"
    assert not update.TRIAL.exists()


@pytest.mark.parametrize("ill", ["service door-agent", "camera"])
def test_what_was_well_and_is_not_takes_the_release_back(device, ill):
    device.sick = {ill}
    with pytest.raises(InstallError, match=f"taken back, because of {ill}; all well again"):
        update.update(Path("b.tar"), Talk())
    assert update.current() == "old"
    assert not update.TRIAL.exists()


def test_settings_that_the_new_release_changed_are_led_back_with_it(device, monkeypatch):
    device.sick = {"camera"}
    switch = device.switch_to

    def migrating(release):
        if release == "new":
            update.CONFIG.write_text("settings of the new release")
        return switch(release)

    monkeypatch.setattr(update, "switch_to", migrating)
    with pytest.raises(InstallError):
        update.update(Path("b.tar"), Talk())
    assert update.CONFIG.read_text() == "settings of the old release"


def trial(device) -> None:
    update.TRIAL.write_text(json.dumps({"from": "old", "to": "new", "well": sorted(WELL), "stores": {}}))


@pytest.mark.parametrize(("sick", "release"), [(set(), "new"), ({"service door-agent"}, "old")])
def test_a_boot_after_a_cut_behind_the_rename_gives_the_verdict(device, sick, release):
    trial(device)
    link(device.root / "current", "releases/new")
    device.sick = sick
    update.finish(Talk())
    assert update.current() == release
    assert not update.TRIAL.exists()


def test_a_boot_after_a_cut_before_the_rename_goes_on_with_the_old_release(device):
    trial(device)
    update.finish(Talk())
    assert update.current() == "old"
    assert not update.TRIAL.exists()


def test_without_a_trial_a_boot_changes_nothing(device):
    update.finish(Talk())
    assert device.led_back == 0


def test_nobody_is_updated_under_their_feet(device, monkeypatch):
    monkeypatch.setattr(update, "_busy", lambda: "the lock is released")
    monkeypatch.setattr(update, "QUIET_WAIT_S", 0.0)
    with pytest.raises(InstallError, match="somebody is at the door"):
        update.update(Path("b.tar"), Talk())
    assert update.current() == "old"
    assert not update.TRIAL.exists()


def test_the_current_and_its_predecessor_are_kept(device):
    for name in ("ancient", "older"):
        (device.root / "releases" / name).mkdir()
    link(device.root / "current", "releases/ancient")
    update.prune()
    left = {p.name for p in (device.root / "releases").iterdir()}
    assert "ancient" in left
    assert len(left) == update.KEPT_RELEASES
