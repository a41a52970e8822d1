"""What the doctor says of a state folder's mount."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.cli import doctor, doctor_server
from agent.cli.doctor import holds_up_the_boot
from agent.cli.doctor_updates import check_updates
from agent.config import Config
from agent.config_hardware import Camera
from agent.config_updates import Updates
from deploy.device.camera_network import NAME, drop_in
from deploy.site_pki import SiteAuthority

STATE = Path("/var/lib/door-agent")


@pytest.mark.parametrize(
    ("line", "holds_up"),
    [
        ("LABEL=door-state /var/lib/door-agent ext4 noatime,errors=remount-ro 0 2", True),
        ("LABEL=door-state /var/lib/door-agent/ ext4 defaults 0 2", True),
        ("LABEL=door-state /var/lib/door-agent ext4 noatime,nofail,x-systemd.device-timeout=10s 0 2", False),
        ("LABEL=door-state /var/lib/door-agent ext4 noauto 0 2", False),
        ("# LABEL=door-state /var/lib/door-agent ext4 defaults 0 2", False),
        ("PARTUUID=1-02 / ext4 defaults,noatime 0 1", False),
        ("rubbish", False),
    ],
)
def test_a_mount_that_the_boot_waits_for_is_named(tmp_path, line, holds_up):
    (tmp_path / "fstab").write_text(f"proc /proc proc defaults 0 0\n{line}\n")
    assert holds_up_the_boot(STATE, tmp_path / "fstab") is holds_up


def test_a_machine_without_an_fstab_holds_nothing_up(tmp_path):
    assert not holds_up_the_boot(STATE, tmp_path / "fstab")


def test_a_network_camera_that_vision_may_not_reach_is_told_with_the_commands_that_mend_it(tmp_path, monkeypatch):
    """The doctor itself may reach it, which proves nothing."""
    monkeypatch.setattr(doctor, "UNITS", tmp_path)

    def found(source: str) -> list[tuple[bool, str]]:
        config = Config.model_construct(camera=Camera(source=source))
        return [(check.ok, check.do_this) for check in doctor._camera_network(config)]

    assert found("csi:0") == []
    ((ok, do_this),) = found("rtsp://cam:hunter2@192.0.2.10/live")
    assert not ok
    assert f"check-config --camera-network | sudo tee {tmp_path / NAME}" in do_this
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / NAME).write_text(drop_in("rtsp://cam:hunter2@192.0.2.10/live"))
    assert found("rtsp://cam:hunter2@192.0.2.10/live") == [(True, "")]
    assert not found("rtsp://192.0.2.11/live")[0][0]
    ((ok, do_this),) = found("csi:0")
    assert not ok
    assert do_this.startswith(f"sudo rm {tmp_path / NAME}")


@pytest.mark.parametrize(("over_s", "well"), [(0, True), (800 * 86400, False)])
def test_a_certificate_that_ends_soon_is_told_with_what_renews_it(tmp_path, monkeypatch, over_s, well):
    pair = SiteAuthority.create(tmp_path / "pki", "garden").device("garden/door-1")
    now_s = time.time()
    monkeypatch.setattr(doctor_server.time, "time", lambda: now_s + over_s)
    check = doctor_server._certificate(pair.cert)
    assert check.ok is well
    assert "ends in" in check.found
    assert ("provision the device again" in check.do_this) is not well
    assert not doctor_server._certificate(tmp_path / "absent.pem").ok


def test_a_door_that_takes_releases_from_afar_needs_their_key_and_somebody_who_puts_them_in_place(
    tmp_path, monkeypatch
):
    """A door without [updates] is not asked: for it neither is missing."""
    systemctl = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    key = SiteAuthority.create(tmp_path / "pki", "garden").signing_key("release").cert

    def found(path, said):
        systemctl.write_text(f"#!/bin/sh\necho {said}\n")
        systemctl.chmod(0o755)
        updates = Updates(host="10.0.0.5", release_key_file=str(path))
        return [(c.name, c.ok) for c in check_updates(Config.model_construct(updates=updates))]

    assert list(check_updates(Config.model_construct(updates=None))) == []
    assert found(key, "active") == [("release key", True), ("updater", True)]
    assert found(tmp_path / "absent.pem", "inactive") == [("release key", False), ("updater", False)]
    (tmp_path / "junk.pem").write_text("junk")
    assert found(tmp_path / "junk.pem", "failed") == [("release key", False), ("updater", False)]
