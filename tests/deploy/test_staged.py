"""Root's part of a release from afar, on a played device: what it believes and refuses, and what it says came of it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from played_device import SERVICES, WELL, PlayedDevice

from deploy.device import deadman, runner, staged, update
from deploy.device.install import OWN
from deploy.pki import Authority
from tests.app.update_world import OTHER_MACHINE, write_bundle

FILES = {"wheels/w.whl": b"wheel", "runner.pyz": b"the new release's runner"}
ON = '[updates]\nhost = "10.0.0.5"\n'


class Device(PlayedDevice):
    """`ask` is the agent: it lays a bundle into its folder and leaves a request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = folder / "update"
        self.asked.mkdir()
        self.site = Authority(folder / "site").signing_key("release")
        shutil.copy(self.site.cert, folder / "etc" / "release.pub.pem")
        (folder / "etc" / "door.toml").write_text(ON)
        (self.root / "releases" / "old" / "serial").write_text("1")
        self.status("quiet")

    def lay(self, **how) -> dict:
        path = write_bundle(
            self.folder / "b.tar", how.pop("key", self.site.key), **{"files": FILES, "release": "new", **how}
        )
        digest = staged.hashlib.sha256(path.read_bytes()).hexdigest()
        path.replace(self.asked / f"{digest}.tar")
        return {"order": "0f", "sha256": digest, "bytes": (self.asked / f"{digest}.tar").stat().st_size}

    def ask(self, request: object = None, **how) -> dict:
        """The answer, and that the request is gone."""
        request = self.lay(**how) if request is None else request
        (self.asked / "request.json").write_text(request if isinstance(request, str) else json.dumps(request))
        assert runner.run_staged() == 0
        assert not os.path.lexists(self.asked / "request.json")
        assert not staged.COPY.exists()
        return json.loads(staged.ANSWER.read_text()) if staged.ANSWER.exists() else {}

    @property
    def untouched(self) -> bool:
        return self.current == "old" and not update.TRIAL.exists() and not any("stop" in c for c in self.calls)


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = Device(tmp_path)
    played.take_over(monkeypatch)
    monkeypatch.setattr(update, "prepare", lambda installer: setattr(installer, "manifest", {"version": "new"}))
    monkeypatch.setattr(staged, "QUIET_WAIT_S", 0.2)
    yield played
    played.close()


def test_a_signed_release_for_this_device_is_put_in_place_judged_and_told(device):
    answer = device.ask()
    assert (answer["order"], answer["state"]) == ("0f", "well")
    assert (device.current, device.running) == ("new", set(SERVICES))
    assert deadman.RUNNER.read_bytes() == FILES["runner.pyz"], "what proved well judges the next one"
    assert staged.ANSWER.stat().st_mode & 0o777 == 0o644, "the agent reads it"


def test_a_release_that_is_not_well_is_led_back_and_told(device):
    device.doctor("new", WELL | {"camera": False})
    answer = device.ask()
    assert (answer["state"], answer["why"]) == ("rolled-back", "not-well")
    assert "because of camera" in answer["detail"]
    assert (device.current, device.running) == ("old", set(SERVICES))
    assert not deadman.RUNNER.exists() or deadman.RUNNER.read_bytes() != FILES["runner.pyz"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"key": None}, "unsigned"),
        ({"serial": 0}, "older"),
        ({"where": OTHER_MACHINE}, "other-machine"),
        ({"spoil": True}, "damaged"),
        ({"more": ("evil.sh",)}, "damaged"),
    ],
)
def test_what_may_not_be_installed_is_refused_before_anything_of_it_is_unpacked(device, monkeypatch, how, why):
    """Whatever the agent has found: this is root's own look at root's own copy."""
    monkeypatch.setattr(update, "prepare", lambda _: pytest.fail("unpacked"))
    answer = device.ask(**how)
    assert (answer["state"], answer["why"], device.untouched) == ("refused", why, True)


def test_a_bundle_of_another_site_is_refused(device, tmp_path):
    other = Authority(tmp_path / "other").signing_key("release")
    assert device.ask(key=other.key)["why"] == "bad-signature"
    (device.folder / "etc" / "release.pub.pem").unlink()
    assert device.ask()["why"] == "no-release-key"
    assert device.untouched


@pytest.mark.parametrize(("config", "why"), [("", "updates-off"), (ON + "max_mib = 0\n", "too-large")])
def test_a_door_that_is_not_set_up_for_it_installs_nothing_whatever_its_agent_asks(device, config, why):
    (device.folder / "etc" / "door.toml").write_text(config)
    answer = device.ask()
    assert (answer["state"], answer["why"], device.untouched) == ("refused", why, True)


@pytest.mark.parametrize(
    "request_",
    ["", "{", "[]", "7", '{"order": "../../etc", "sha256": "x", "bytes": 1}', "x" * 10_000,
     '{"order": "0f", "sha256": "' + "ab" * 32 + '", "bytes": -1}', '{"order": "0f", "sha256": "../x", "bytes": 1}'],
)  # fmt: skip
def test_a_request_that_is_none_goes_and_nothing_follows(device, request_):
    assert device.ask(request_) == {}
    assert device.untouched


def test_links_pipes_and_other_files_in_the_agents_folder_lead_nowhere(device, tmp_path):
    """A broken-in agent must not have root read or remove what it could not itself."""
    secret = tmp_path / "secret"
    secret.write_text('{"order": "0f"}')
    (device.asked / "request.json").symlink_to(secret)
    assert runner.run_staged() == 0
    assert secret.exists()
    assert not os.path.lexists(device.asked / "request.json")
    asked = device.lay()
    bundle = device.asked / f"{asked['sha256']}.tar"
    elsewhere = bundle.rename(tmp_path / "elsewhere.tar")
    bundle.symlink_to(elsewhere)
    assert device.ask(asked)["state"] == "failed"
    bundle.unlink()
    os.mkfifo(bundle)
    assert device.ask(asked)["state"] == "failed"
    bundle.unlink()
    bundle.write_bytes(bytes(asked["bytes"]))
    assert device.ask(asked)["why"] == "damaged"
    bundle.write_bytes(elsewhere.read_bytes() + b"more")
    assert device.ask(asked)["why"] == "damaged"
    assert device.untouched
    shutil.rmtree(device.asked)
    device.asked.symlink_to(tmp_path)
    assert runner.run_staged() == 0


@pytest.mark.parametrize(
    "status",
    ["busy: a face is in view", "hold: the door is LockedDown", "hold: an alarm stands", "", "starting"],
)
def test_nothing_is_switched_while_somebody_is_there_or_something_stands_and_the_agent_hears_of_it(device, status):
    device.status(status)
    answer = device.ask()
    assert (answer["state"], device.untouched) == ("waiting", True)
    assert (status.partition(": ")[2] or "does not say that it is quiet") in answer["detail"]


def test_nor_while_the_guard_says_that_the_leaf_is_open_or_says_nothing(device):
    device._guard.inputs["contact"] = True
    assert "contact is active" in device.ask()["detail"]
    device._guard.close()
    assert "no guard answers" in device.ask()["detail"]
    assert device.untouched


def test_called_off_while_it_waits_nothing_is_switched(device, monkeypatch):
    device.status("busy: a face is in view")
    asked = device.lay()
    monkeypatch.setattr(
        staged.time, "sleep", lambda _: (device.asked / f"{asked['sha256']}.tar").unlink(missing_ok=True)
    )
    answer = device.ask(asked)
    assert (answer["state"], answer["why"], device.untouched) == ("cancelled", "called-off", True)


def test_a_disk_without_room_is_told_before_anything_is_copied(device, monkeypatch):
    monkeypatch.setattr(staged, "_NEEDED_FACTOR", 10**15)
    assert device.ask()["why"] == "no-room"


def test_a_release_that_can_not_be_installed_is_a_failure(device, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(update, "prepare", full)
    answer = device.ask()
    assert (answer["state"], answer["why"], "No space" in answer["detail"]) == ("failed", "not-installed", True)
    assert device.untouched


def test_a_release_that_was_never_tried_is_not_told_to_be_ill(device):
    """Without a timer for the gate nothing is switched: whoever rolls it out looks at the door, not at the release."""
    device.fails("systemd-run")
    answer = device.ask()
    assert (answer["state"], answer["why"], "no timer" in answer["detail"]) == ("failed", "not-installed", True)
    assert device.current == "old"
    assert not update.TRIAL.exists()


def test_killed_between_switch_and_verdict_nobody_says_how_it_ended(device, monkeypatch):
    """The next boot judges; `switching` is what the agent finds then, and looks which release runs."""

    def cut(*_):
        raise OSError(5, "the card is gone")

    monkeypatch.setattr(update, "attempt", cut)
    (device.asked / "request.json").write_text(json.dumps(device.lay()))
    assert runner.run_staged() == 1
    assert json.loads(staged.ANSWER.read_text())["state"] == "switching"
    assert update.TRIAL.exists()


def test_without_a_request_nothing_happens(device):
    shutil.rmtree(device.asked)
    assert runner.run_staged() == 0
    assert device.calls == []


def test_what_watches_for_requests_is_started_once_its_release_has_proved_well(device):
    """The first release that has it comes by SSH: nobody restarts such a door for years."""
    folder = device.root / "releases" / "new" / "systemd"
    for name in OWN:
        (folder / name).write_text("[Unit]\n\n[Install]\nWantedBy=multi-user.target\n")
    device.ask()
    assert "systemctl start --no-block door-update.path" in device.calls
    assert not (device.folder / "units" / "door-update.path").is_symlink()
    assert (device.folder / "units" / "multi-user.target.wants" / "door-update.path").is_symlink()
