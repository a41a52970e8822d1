"""Which releases stay on a device's card: the one that runs and its predecessor, and no half of any."""

from pathlib import Path

import pytest
from played_device import PlayedDevice

from deploy.device import update
from deploy.device.commands import InstallError
from deploy.device.files import link
from deploy.device.steps import Talk


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = PlayedDevice(tmp_path)
    played.take_over(monkeypatch)
    played.offers(monkeypatch, "new")
    yield played
    played.close()


@pytest.mark.parametrize("why", ["somebody is at the door", "door-agent check-config"])
def test_updates_that_fail_again_and_again_do_not_fill_the_card(device, monkeypatch, why):
    """What an earlier try left goes before the next one is written, and not only once one went well."""
    if why == "somebody is at the door":
        device.status("busy: a face is in view")
        monkeypatch.setattr(update, "QUIET_WAIT_S", 0.0)
    else:
        device.fails("check-config")
    most = 0
    for name in ("first", "second", "third"):
        device.offers(monkeypatch, name)
        with pytest.raises(InstallError, match=why):
            update.update(Path("b.tar"), Talk())
        most = max(most, len(device.releases))
    assert (device.current, most) == ("old", 2 if "somebody" in why else 1)
    assert "new" not in device.releases, "nor what an earlier one left"


@pytest.mark.parametrize("kept", [{"old"}, set()])
def test_only_what_is_named_and_what_runs_are_kept(device, kept):
    """By name: the newest folder may be the one that was taken back."""
    device.release("sick")
    link(device.root / "current", "releases/new")
    update.prune(kept)
    assert device.releases == {"new"} | kept


@pytest.mark.parametrize("how", ["led back", "pruned"])
def test_a_release_that_was_half_removed_when_the_power_went_is_not_taken_for_a_whole_one(device, monkeypatch, how):
    """Its mark goes first: another try must not begin with what is left of it."""
    real = update.shutil.rmtree

    def cut(folder, **options):
        if Path(folder).parent.name != "releases":
            return real(folder, **options)
        raise KeyboardInterrupt  # before anything else of it is gone

    monkeypatch.setattr(update.shutil, "rmtree", cut)
    if how == "led back":
        device.sick("new", "door-agent")
        with pytest.raises(KeyboardInterrupt):
            update.update(Path("b.tar"), Talk())
    else:
        with pytest.raises(KeyboardInterrupt):
            update.prune(set())
    assert device.current == "old"
    assert (device.root / "releases" / "new").is_dir()
    assert not (device.root / "releases" / "new" / ".complete").exists()
