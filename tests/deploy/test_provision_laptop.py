"""The laptop's end: host keys as words, the site file, what is refused before anything is sent."""

import base64
import io
import json
import os
import tarfile
import time
import tomllib
from pathlib import Path

import pytest

from agent.errors import ConfigError
from deploy.bundle import Target
from deploy.own_wheel import BundleError
from deploy.provision import bundles, hostkey, preflight
from deploy.provision.hostkey import HostKeyError, KnownDoors
from deploy.provision.provision import Provision, Wish
from deploy.provision.sitefile import door_config, load
from deploy.provision.ssh import Address, DeviceError
from deploy.provision.toml import dump
from deploy.site_pki import SiteAuthority

KEY = "ssh-ed25519 " + base64.b64encode(bytes(51)).decode()
OTHER = "ssh-ed25519 " + base64.b64encode(bytes(50) + b"x").decode()
SITE = """\
[site]
name = "garden"
[time]
servers = ["10.0.0.1"]
[all.door]
lock_type = "fail-safe"
release_time_s = 4
[all.camera]
source = "none"
[all.server]
host = "10.0.0.5"
[doors.door-1.hardware.relay]
pin = 17
[doors.door-2.door]
lock_type = "fail-secure"
[doors.door-2.hardware.relay]
pin = 27
active_high = false
"""


@pytest.fixture
def site_file(tmp_path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def test_there_is_one_word_for_each_byte():
    assert len(set(hostkey.WORDS)) == 256
    assert len(hostkey.words(KEY).split()) == 8
    assert hostkey.words(KEY) != hostkey.words(OTHER)


def test_a_pinned_key_is_known_by_the_doors_name_and_another_key_is_refused(tmp_path):
    known = KnownDoors(tmp_path / "known_hosts")
    assert known.check("garden/door-1", KEY) is False
    known.pin("garden/door-1", KEY)
    assert known.check("garden/door-1", KEY) is True
    with pytest.raises(HostKeyError, match=hostkey.words(OTHER)) as refused:
        known.check("garden/door-1", OTHER)
    assert "--forget-host-key" in str(refused.value)
    known.pin("garden/door-1", OTHER)
    assert known.check("garden/door-1", OTHER) is True


@pytest.mark.parametrize("end", ["nobody answers", "other words than --host-key", "nobody is there", "no", "yes"])
def test_a_pin_that_is_to_be_forgotten_stays_until_somebody_vouched_for_the_new_one(site_file, monkeypatch, end):
    """Else the next run takes whatever answers for a first contact, and does not warn of another device."""
    SiteAuthority.create(site_file.parent / "pki", "garden")
    known = KnownDoors(site_file.parent / "known_hosts")
    known.pin("garden/door-1", KEY)
    known.pin("garden/door-2", KEY)
    if end != "nobody answers":
        monkeypatch.setattr(hostkey, "scan", lambda *_: OTHER)
    said = hostkey.words(KEY) if end.startswith("other words") else None
    wish = Wish("pi@127.0.0.1", site_file, "door-1", port=1, host_key=said, forget_host_key=True)
    confirm = None if end == "nobody is there" else lambda _: end == "yes"
    with pytest.raises((HostKeyError, DeviceError)):  # nothing listens on that port
        Provision(wish, lambda _: None, confirm).run()
    assert known.pinned("garden/door-1") == (OTHER if end == "yes" else KEY)
    assert known.pinned("garden/door-2") == KEY
    assert len(known.path.read_text().splitlines()) == 2


def test_nobody_at_an_address_is_said_with_what_to_look_at():
    with pytest.raises(HostKeyError, match="is it on"):
        hostkey.scan("127.0.0.1", 1, timeout_s=2)


def test_a_doors_own_settings_count_over_everybodys(site_file):
    site = load(site_file)
    text, config = door_config(site, "door-2", site_file)
    assert config.door.lock_type == "fail-secure"
    assert (config.door.release_time_s, config.door.site, config.door.id) == (4, "garden", "door-2")
    assert config.server is not None
    assert config.server.key_file == "/etc/door-agent/keys/device.key"
    assert tomllib.loads(text)["hardware"]["relay"] == {"pin": 27, "active_high": False}


def test_a_wrong_site_file_is_refused_with_its_line(site_file):
    site_file.write_text(SITE.replace('name = "garden"', 'name = "Garden!"'))
    with pytest.raises(ConfigError, match=r"site.toml:2: site.name"):
        load(site_file)
    site_file.write_text(SITE.replace("pin = 17", "pin = 170"))
    with pytest.raises(ConfigError, match=r"hardware.relay.pin"):
        door_config(load(site_file), "door-1", site_file)
    with pytest.raises(ConfigError, match=r"no \[doors.door-7\]; it has door-1, door-2"):
        door_config(load(site_file), "door-7", site_file)


@pytest.mark.parametrize(
    ("camera", "dry_run", "said"), [("v4l2:/dev/video0", False, 1), ("none", False, 0), ("csi:0", True, 0)]
)
def test_an_installer_who_aims_a_camera_is_told_how_to_see_its_picture(site_file, camera, dry_run, said):
    """The picture with boxes is the door's page, which a site file has to ask for."""
    site_file.write_text(SITE.replace('source = "none"', f'source = "{camera}"'))
    shown = []
    SiteAuthority.create(site_file.parent / "pki", "garden")
    wish = Wish("pi@door-1.local", site_file, "door-1", dry_run=dry_run)
    Provision(wish, shown.append, None)._page(None)
    assert ["[doors.door-1.console]" in one["words"] for one in shown] == [True] * said


@pytest.mark.parametrize("value", [{"a": {"b": 'quo"te\\ 门\n\x7f\x00', "c": [1, 2.5, True], "d": {"e": -1}}}, {}])
def test_written_toml_reads_back_equal(value):
    assert tomllib.loads(dump(value)) == value


@pytest.mark.parametrize(
    ("text", "user", "host"),
    [
        ("pi@door-3.local", "pi", "door-3.local"),
        ("10.0.0.7", "pi", "10.0.0.7"),
        ("a@[fe80::1%eth0]", "a", "fe80::1%eth0"),
    ],
)
def test_addresses(text, user, host):
    assert Address.parse(text, "x") == Address(user, host, 22, "x")


@pytest.mark.parametrize("text", ["", "pi@", "pi@-oProxyCommand=x", "pi@a b"])
def test_what_is_no_address_never_reaches_ssh(text):
    with pytest.raises(DeviceError, match="no address"):
        Address.parse(text, "x")


class Answering:
    """A session whose device says this."""

    def __init__(self, **facts: str) -> None:
        good = {"machine": "aarch64", "python": "cp313", "venv": "yes", "board": "Raspberry Pi 5", "system": "trixie"}
        good |= {"disk_mib": "9000", "memory_mib": "2000", "utc": "1", "root": "yes", "systemd": "257", "gpio": ""}
        self._facts = good | {"cameras": "1", "current": "", "name": "x"} | facts

    def run(self, _command: str) -> str:
        return "".join(f"{key}={value}\n" for key, value in self._facts.items())


def test_a_good_device_is_taken():
    assert preflight.look(Answering()).target == Target("aarch64", "cp313")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"machine": "armv7l"}, "64-bit Raspberry Pi OS"),
        ({"python": "cp39"}, "Raspberry Pi OS 12 or 13"),
        ({"venv": ""}, "python3-venv"),
        ({"root": ""}, "NOPASSWD"),
        ({"systemd": ""}, "systemd"),
        ({"memory_mib": "200"}, "200 MiB"),
    ],
)
def test_what_cannot_be_set_up_is_said_before_anything_is_sent(facts, words):
    with pytest.raises(DeviceError, match=words):
        preflight.look(Answering(**facts))


def test_a_full_disk_is_said_with_both_numbers():
    with pytest.raises(DeviceError, match="found 300 MiB free, expected 560"):
        preflight.room(preflight.look(Answering(disk_mib="300")), 140, 4)


def test_without_a_fitting_bundle_the_command_that_makes_one_is_said(tmp_path):
    with pytest.raises(BundleError, match="door-agent bundle --for aarch64-cp313"):
        bundles.choose(None, tmp_path, Target("aarch64", "cp313"))
    (tmp_path / "b.tar").write_text("no tar")
    with pytest.raises(BundleError, match="not a bundle"):
        bundles.read(tmp_path / "b.tar")


def make_bundle(path: Path, *wheels: str) -> Path:
    said = {
        "version": "1.0",
        "for": {"machine": "aarch64", "python": "cp313"},
        "files": {f"wheels/{w}": {} for w in wheels},
    }
    with tarfile.open(path, "w") as tar:
        for name, data in (("manifest.json", json.dumps(said).encode()), ("signature.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_another_tar_beside_the_site_file_is_in_nobodys_way(tmp_path):
    made = make_bundle(tmp_path / "b.tar")
    (tmp_path / "holiday.tar").write_text("no tar")
    os.utime(tmp_path / "holiday.tar", (time.time() + 60, time.time() + 60))  # the newest
    assert bundles.choose(None, tmp_path, Target("aarch64", "cp313")).path == made
    with pytest.raises(BundleError, match=r"holiday.tar: not a bundle"):
        bundles.choose(tmp_path / "holiday.tar", tmp_path, Target("aarch64", "cp313"))


def test_a_device_without_the_library_for_its_pins_is_said_before_anything_is_sent(tmp_path):
    plain = bundles.read(make_bundle(tmp_path / "plain.tar", "numpy-2.whl"))
    whole = bundles.read(make_bundle(tmp_path / "whole.tar", "lgpio-0.2.2.0-cp313.whl"))
    for found, words in (("", "found none"), (str(0x00000200), "found an older one")):
        device = preflight.look(Answering(lgpio=found))
        with pytest.raises(DeviceError, match=f"{words}.*python3-lgpio"):
            preflight.pins(device, plain)
        preflight.pins(device, whole)
    preflight.pins(preflight.look(Answering(lgpio=str(0x00020200))), plain)
