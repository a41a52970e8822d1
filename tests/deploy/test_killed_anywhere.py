"""A setup that is killed at any of its writes to the disk is ended by the next run, as if nothing had happened."""

import os
import time
from pathlib import Path

import pytest
from played_device import PlayedDevice
from test_setup import Laptop

from deploy.device import install, keys, setup
from deploy.device.files import link
from deploy.device.setup import Setup

PLAN = {
    "site": "garden", "door": "door-1", "release": "new", "config": "# settings", "crl": "", "open": "no",
    "keys": {"ca.pem": "the site's root", "command-keys/manager.pem": "the manager's"}, "release_key": "the site's",
    "relay_pin": 17, "relay_active_high": True, "ntp": ["10.0.0.1"], "user": "pi", "ssh_listen": "10.0.0.7",
    "page_port": 8480,
}  # fmt: skip
# what tells when something was done, and what the played device notes for its tests
NOT_COMPARED = {"calls", "journal.jsonl", "tested.json", "bundle.tar", "guard.sock"}
KILLED = 9
EVERY = 12  # of about a hundred writes; with 1 it takes two minutes on a machine of its own
IDENTITY = """#!/bin/bash
case "$4" in
  judge) [ -e "$5/device.pem" ] || echo "no certificate";;
  request) (umask 077; touch "$5/device.key"); echo "a request";;
  place) echo "a file";;
  *) echo '{"journal": 1}';;
esac
"""


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Makes one played device after the other; this process is on the newest."""
    made = []
    monkeypatch.setattr(setup, "detached", lambda work, talk: work(talk))
    monkeypatch.setattr(install.Installer, "run", lambda *_, **__: link(made[-1].root / "current", "releases/new"))
    monkeypatch.setattr(keys, "owned", Path.exists)
    monkeypatch.setattr(os, "sync", lambda: None)

    def make():
        device = PlayedDevice(tmp_path / str(len(made)))
        device.take_over(monkeypatch)
        (device.root / "releases" / "new" / "venv" / "bin" / "python").write_text(IDENTITY)
        (device.folder / "etc" / "config.txt").write_text("dtoverlay=vc4\n")
        (device.folder / "active" / "ssh").touch()
        made.append(device)
        return device

    yield make
    for device in made:
        device.close()


def run(device: PlayedDevice) -> int:
    """The whole setup; how many steps were done."""
    bundle = device.folder / "bundle.tar"

    def send(_):
        bundle.write_bytes(b"a bundle")
        return {"path": str(bundle)}

    answers = {"bundle": send, "certificate": {"certificate": "signed"}, "try-ssh": {}}
    job = Setup(PLAN | {"utc": time.time()}, Laptop(**answers))
    job.run()
    return job.runner.done


def run_killed(device: PlayedDevice, at: int) -> bool:
    """The same in a process that dies at its write number `at`, as by SIGKILL; whether it came so far."""
    if (child := os.fork()) == 0:
        left = at

        def fsync(_):
            nonlocal left
            left -= 1
            if not left:
                os._exit(KILLED)

        try:
            os.fsync = fsync
            run(device)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def state(device: PlayedDevice) -> dict[str, tuple[int, str]]:
    """Every file of the device: its rights and what is in it."""
    found = {}
    for path in sorted(device.folder.rglob("*")):
        if path.is_dir() or path.name in NOT_COMPARED:
            continue
        text = str(path.readlink()) if path.is_symlink() else path.read_text()
        mode = 0 if path.is_symlink() else path.stat().st_mode & 0o777
        found[unplaced(device, str(path.relative_to(device.folder)))] = (mode, unplaced(device, text))
    return found


def unplaced(device: PlayedDevice, text: str) -> str:
    """Without the place of this device's folder, also as it stands in the names of files that are kept."""
    return text.replace(str(device.folder), "").replace(str(device.folder).strip("/").replace("/", "%"), "")


def called(device: PlayedDevice) -> set[str]:
    """The system's programs that were run, with their words."""
    return {unplaced(device, one) for one in device.calls}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork beside the played guard's thread
def test_killed_at_a_write_and_run_again_a_device_is_as_one_that_nobody_disturbed(devices):
    undisturbed = devices()
    assert run(undisturbed) > 0
    assert run(undisturbed) == 0
    wanted = state(undisturbed)
    assert wanted["etc/keys/device.pem"][1] == "signed"
    at, kills = 1, 0
    while run_killed(device := devices(), at):
        kills += 1
        run(device)
        assert state(device) == wanted, f"killed at write {at}"
        assert run(device) == 0, f"killed at write {at}: a second run had something to do"
        assert called(device) >= called(undisturbed), f"killed at write {at}: not all of it counts"
        at += EVERY
    assert kills > 5, "there were writes to be killed at"
