"""What provisioning does on a played device that is more than a file: releases, restarts, people, the opening."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from played_device import SERVICES, PlayedDevice

from deploy.device import keys, selftest, setup, update
from deploy.device.commands import InstallError
from deploy.device.files import link
from deploy.device.setup import Setup
from deploy.device.steps import Talk

PLAN = {
    "site": "garden", "door": "door-1", "release": "new", "config": "# settings", "keys": {}, "crl": "", "open": "ask",
}  # fmt: skip


class Laptop(Talk):
    """Answers what it was told to answer; an exception is a laptop that goes away."""

    def __init__(self, **answers):
        self.answers, self.asked, self.told = answers, [], []

    def tell(self, kind, **facts):
        self.told.append((kind, facts))

    def ask(self, what, **facts):
        self.asked.append(what)
        answer = self.answers[what]
        return answer(facts) if callable(answer) else answer


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = PlayedDevice(tmp_path)
    played.take_over(monkeypatch)
    monkeypatch.setattr(setup, "detached", lambda work, talk: work(talk))
    yield played
    played.close()


def job(laptop: Laptop, **plan) -> Setup:
    return Setup(PLAN | {"utc": time.time()} | plan, laptop)


def in_use(device: PlayedDevice) -> None:
    wants = device.folder / "units" / "multi-user.target.wants"
    wants.mkdir(parents=True)
    for unit in SERVICES:
        link(wants / f"{unit}.service", f"../{unit}.service")


@pytest.fixture
def ways(monkeypatch, tmp_path):
    """Which way a release came: tried as an update, or put in place."""
    taken = []

    class Installing:
        def __init__(self, *_, older=False, **__):
            self.older = older

        def run(self, *, start):
            taken.append(f"install older={self.older}")
            link(tmp_path / "opt" / "current", "releases/new")

    def updating(_bundle, _talk, *, now):
        taken.append(f"update now={now}")
        link(tmp_path / "opt" / "current", "releases/new")

    monkeypatch.setattr(setup, "Installer", Installing)
    monkeypatch.setattr(update, "update", updating)
    (tmp_path / "bundle.tar").write_bytes(b"x")
    return taken


@pytest.mark.parametrize(
    ("used", "plan", "way"),
    [(False, {}, "install older=True"), (True, {}, "update now=False"), (True, {"now": True}, "update now=True")],
)
def test_another_release_for_a_door_in_use_is_tried_as_an_update(device, ways, tmp_path, used, plan, way):
    """With its gate and its way back: residents rely on the door. Where none runs, any will do."""
    if used:
        in_use(device)
    laptop = Laptop(bundle={"path": str(tmp_path / "bundle.tar")})
    (_, release) = job(laptop, release_key="key", **plan)._software()
    assert not release.look().ok
    release.do()
    assert ways == [way]
    assert release.look().ok


def test_services_of_a_door_in_use_are_not_restarted_under_somebodys_feet(device, monkeypatch):
    in_use(device)
    link(device.root / "current", "releases/new")
    monkeypatch.setattr(update, "QUIET_WAIT_S", 0.0)
    (device.root / ".restart-due").touch()
    device.status("busy: a face is in view")
    services = job(Laptop())._services()
    with pytest.raises(InstallError, match="a face is in view"):
        services.do()
    assert not any("restart" in call for call in device.calls)
    device.status("quiet")
    services.do()
    assert services.look().ok


def people(device: PlayedDevice, laptop: Laptop):
    (step,) = job(laptop, enrol={"name": "Li Mei"})._people()
    return step


def pictures(folder):
    folder.mkdir(mode=0o700)
    (folder / "0.jpg").write_bytes(b"a face")


def test_pictures_are_the_agents_alone_and_gone_after_enrolling(device, monkeypatch):
    owned = []
    monkeypatch.setattr(setup, "own", lambda *paths: owned.extend(path.name for path in paths))
    device.doctor("new", 'echo "$*" >> $DEVICE/enrolled; ls $DEVICE/run/pictures >> $DEVICE/enrolled')
    laptop = Laptop(pictures=lambda facts: pictures(setup.Path(facts["folder"])))
    people(device, laptop).do()
    assert "0.jpg" in (device.folder / "enrolled").read_text()
    assert owned == ["pictures", "0.jpg"]
    assert not (device.folder / "run" / "pictures").exists()


def test_pictures_do_not_stay_when_the_laptop_goes_away_or_nobody_is_found_on_them(device, monkeypatch):
    monkeypatch.setattr(setup, "own", lambda *_: None)

    def gone(facts):
        pictures(setup.Path(facts["folder"]))
        raise InstallError("the connection ended")

    with pytest.raises(InstallError, match="connection"):
        people(device, Laptop(pictures=gone)).do()
    assert not (device.folder / "run" / "pictures").exists()
    device.doctor("new", "echo 'shows no face that could be found' >&2; exit 7")
    with pytest.raises(InstallError, match="shows no face"):
        people(device, Laptop(pictures=lambda facts: pictures(setup.Path(facts["folder"])))).do()
    assert not (device.folder / "run" / "pictures").exists()


def results(device: PlayedDevice) -> dict[str, dict]:
    return {one["name"]: one for one in json.loads((device.folder / "state" / "tested.json").read_text())["results"]}


@pytest.fixture
def door(device):
    (device.folder / "state").mkdir(exist_ok=True)
    link(device.root / "current", "releases/new")
    return device


def test_a_lock_opens_when_the_installer_said_yes_and_she_is_asked_what_she_saw(door):
    laptop = Laptop(eyes={"yes": True}, saw={"yes": True})
    step = job(laptop)._test()
    step.do()
    assert (laptop.asked, door.openings) == (["eyes", "saw"], 1)
    assert results(door)[selftest.OPENED]["ok"]
    assert "energised after" in results(door)[selftest.OPENED]["found"]
    assert results(door)["lock seen"]["ok"]
    assert job(laptop)._test().look().ok, "a second run does nothing"


def test_a_relay_that_moved_and_a_lock_that_did_not_are_told_apart(door):
    job(Laptop(eyes={"yes": True}, saw={"yes": False}))._test().do()
    assert results(door)[selftest.OPENED]["ok"]
    assert not results(door)["lock seen"]["ok"]


def test_nothing_opens_when_the_installer_says_no_or_nobody_is_there_and_the_next_run_asks_again(door):
    job(Laptop(eyes={"yes": False}))._test().do()
    job(Laptop(), open="no")._test().do()
    assert door.openings == 0
    assert "not tried" in results(door)[selftest.OPENED]["found"]
    assert not results(door)[selftest.OPENED]["ok"]
    assert job(Laptop(), open="no")._test().look().ok, "an unattended second run does nothing"
    assert not job(Laptop())._test().look().ok
    job(Laptop(), open="now")._test().do()
    assert door.openings == 1


def test_a_door_that_does_not_open_is_no_tested_door(door, monkeypatch):
    monkeypatch.setattr(selftest, "_ENERGISED_WITHIN_S", 0.2)
    (door.folder / "refuses").touch()
    step = job(Laptop(), open="now")._test()
    with pytest.raises(InstallError, match=r"did not open: never energised.*events list"):
        step.do()
    assert not step.look().ok


@pytest.mark.parametrize(("exit_code", "said"), [(0, 1), (3, 0), (2, 0)])
def test_the_door_itself_gives_the_laptop_a_link_to_its_page_where_it_has_one(
    device, tmp_path, monkeypatch, exit_code, said
):
    """Loopback is no right any more: without the link the page that comes through the tunnel is a locked one."""
    link = "http://127.0.0.1:8480/enter#secret"
    done = subprocess.CompletedProcess([], exit_code, json.dumps({"link": link}), "no [console]")
    monkeypatch.setattr(setup.health, "as_agent", lambda command, **_: done)
    laptop = Laptop()
    work = job(laptop)
    program = work.release / "venv/bin/door-agent"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch()
    work._page()
    assert [link in facts["words"] for kind, facts in laptop.told if kind == "note"] == [True] * said


STOLEN = """#!/bin/bash
key=$(cat "$5/device.key"); signed=$(cat "$5/device.pem")
case "$4" in
  judge) if [ "$signed" != "$key" ]; then echo "the certificate is for another key"
    elif [ "$key" = stolen ]; then echo "the certificate was taken back"; fi;;
  request) echo "$key";;
  rekey) echo fresh > "$5/device.key.next"; echo fresh;;
  place) echo "a file";;
esac
"""


@pytest.mark.parametrize("cut", ["before the certificate", "before the key"])
def test_a_stolen_key_is_never_signed_again_also_by_a_run_after_a_cut(device, monkeypatch, cut):
    """Whoever has it must not be this door once more because the plug was pulled at the wrong moment."""
    monkeypatch.setattr(keys, "owned", Path.exists)
    keys.KEYS.mkdir(parents=True)
    (keys.KEYS / "device.key").write_text("stolen\n")
    (keys.KEYS / "device.pem").write_text("stolen\n" if cut == "before the certificate" else "fresh\n")
    (keys.KEYS / "device.key.next").write_text("fresh\n")
    python = device.root / "releases" / "old" / "venv" / "bin" / "python"
    python.write_text(STOLEN)
    asked = []

    def sign(said):
        asked.append(said["request"])
        return {"certificate": said["request"]}

    step = keys.Certificate(PLAN, python, Laptop(certificate=sign)).step()
    step.do()
    assert step.look().ok
    assert asked == ["fresh"]
    assert (keys.KEYS / "device.key").read_text() == "fresh\n"
    assert not (keys.KEYS / "device.key.next").exists()
