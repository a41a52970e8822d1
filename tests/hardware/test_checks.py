"""`door-agent doctor`'s findings about lines and camera: asked of the guard, and each with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hardware import checks
from hardware.camera import CameraSettings, take_picture
from hardware.checks import check_hardware
from hardware.errors import CameraError


def by_name(found: list[checks.Check]) -> dict[str, checks.Check]:
    return {check.name: check for check in found}


def test_a_running_guard_answers_for_every_line(guard):
    found = by_name(check_hardware(str(guard.config)))
    assert set(found) == {"guard", "line relay", "line contact", "line exit", "line fire"} | {
        "line buzzer",
        "line led_red",
        "line led_green",
    }
    assert all(check.ok for check in found.values())
    assert found["guard"].found == "answers, simulated"
    assert found["line relay"].found == "dropped (GPIO17, active low)"
    assert found["line exit"].found == "inactive (GPIO27, pull up, active low)"


def test_an_energised_relay_is_well_while_the_guard_knows_why_and_a_fault_where_nobody_drives_it(guard):
    agent = guard.agent()
    agent.send_json({"type": "release", "lease_ms": 2000, "hold": False, "id": "a"})
    guard.relay_goes(on=True)
    found = by_name(check_hardware(str(guard.config)))["line relay"]
    assert (found.ok, found.found) == (True, "energised: order (GPIO17, active low)")
    settings = checks.load_settings(str(guard.config))
    nobody = checks._relay(settings, energised=True, why="secure")
    assert not nobody.ok
    assert "short circuit" in nobody.do_this


@pytest.mark.parametrize(
    ("said", "ok"), [("10s", True), ("15s", True), ("0", False), ("", False), ("1min", False), ("infinity", False)]
)
def test_a_board_with_a_watchdog_that_nobody_feeds_is_told(guard, tmp_path, monkeypatch, said, ok):
    (tmp_path / "watchdog0").mkdir()
    monkeypatch.setattr(checks, "WATCHDOG_DEVICES", tmp_path)
    done = subprocess.CompletedProcess([], 0, stdout=f"{said}\n")
    monkeypatch.setattr(checks.subprocess, "run", lambda *_a, **_k: done)
    settings = replace(checks.load_settings(str(guard.config)), backend="lgpio")
    (found,) = checks._kernel_watchdog(settings)
    assert found.ok is ok
    assert ("watchdog.conf" in found.do_this) is not ok


def test_a_line_that_is_active_at_rest_says_where_to_look(guard):
    guard.set("fire", active=True)
    guard.relay_goes(on=True)
    found = by_name(check_hardware(str(guard.config)))
    assert not found["line fire"].ok
    assert found["line fire"].found.startswith("active (GPIO23")
    assert "hardware.inputs.fire.active_low" in found["line fire"].do_this


def test_a_guard_that_is_not_there_is_a_finding(guard):
    guard.stop()
    assert [(check.name, check.ok) for check in check_hardware(str(guard.config))] == [("guard", False)]


def test_without_a_chip_library_and_chip_are_findings_not_errors(guard, tmp_path):
    guard.stop()
    real = tmp_path / "real.toml"
    real.write_text(guard.config.read_text().replace('backend = "simulated"', "chip = 9"))
    found = by_name(check_hardware(str(real)))
    assert not found["GPIO"].ok
    assert "lgpio" in found["GPIO"].found or "/dev/gpiochip9" in found["GPIO"].found


def test_the_level_at_power_on_is_looked_up_for_either_polarity(guard, tmp_path, monkeypatch):
    guard.stop()
    real = tmp_path / "real.toml"
    real.write_text(guard.config.read_text().replace('backend = "simulated"', "chip = 9"))
    boot = tmp_path / "config.txt"
    monkeypatch.setattr(checks, "BOOT_CONFIG", boot)
    boot.write_text("dtparam=strict_gpiod\ngpio=17=op,dl\n")
    assert not by_name(check_hardware(str(real)))["relay at power-on"].ok
    boot.write_text("gpio=17=op,dh\n")
    assert by_name(check_hardware(str(real)))["relay at power-on"].ok


def test_a_kernel_that_lets_lines_go_needs_no_setting_and_a_missing_watchdog_is_told(guard, tmp_path, monkeypatch):
    guard.stop()
    real = tmp_path / "real.toml"
    real.write_text(guard.config.read_text().replace('backend = "simulated"', "chip = 9"))
    boot, modules = tmp_path / "config.txt", tmp_path / "module"
    parameter = modules / "pinctrl_bcm2835" / "parameters" / "persist_gpio_outputs"
    parameter.parent.mkdir(parents=True)
    monkeypatch.setattr(checks, "BOOT_CONFIG", boot)
    monkeypatch.setattr(checks, "PIN_CONTROLLERS", modules)
    boot.write_text("dtparam=watchdog=on\n")
    for value, ok in (("Y\n", False), ("N\n", True)):
        parameter.write_text(value)
        found = by_name(check_hardware(str(real)))
        assert found["relay after its guard"].ok is ok
        assert found["watchdog"].ok
    boot.write_text("")
    assert found["relay after its guard"].ok
    assert not by_name(check_hardware(str(real)))["watchdog"].ok


def test_a_lamp_that_the_guard_does_not_have_is_a_finding():
    """The file was changed and the guard not started again."""
    found = checks._lamp("led_green", 13, ["led_red", "exit"])
    assert not found.ok
    assert "restart door-guard" in found.do_this


def test_a_camera_is_judged_by_one_picture(guard, tmp_path):
    path = tmp_path / "latest.jpg"
    scene = np.zeros((240, 320, 3), np.uint8)
    scene[:, ::40] = 200
    scene[60:180, 80:240] = 120
    for picture, ok, says in [(scene, True, "ok, 320 x 240"), (np.zeros((240, 320, 3), np.uint8), False, "dark")]:
        cv2.imwrite(str(path), picture)
        camera = by_name(check_hardware(str(guard.config), camera_source=f"still:{path}"))["camera"]
        assert camera.ok is ok
        assert camera.found.startswith(says)


def test_a_missing_camera_and_an_unreadable_file_are_findings(guard, tmp_path):
    camera = by_name(check_hardware(str(guard.config), camera_source="/dev/video77"))["camera"]
    assert not camera.ok
    assert "not there" in camera.found
    assert [check.name for check in check_hardware(str(tmp_path / "absent.toml"))] == ["hardware settings"]


def test_eyes_of_another_user_are_named_as_who_has_the_camera():
    """`doctor` runs as the agent's user, which may not look at door-vision's files: each door's camera was at fault."""
    eyes = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "agent.vision_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    root = os.geteuid() == 0
    try:
        eyes.stdout.readline()
        if root:
            os.seteuid(65534)
        elif not _hidden(eyes.pid):
            pytest.skip("needs root: this user may look at its own processes")
        with pytest.raises(CameraError, match=r"it seems, by .*agent\.vision_worker.* sees for the door"):
            take_picture(CameraSettings("v4l2:/dev/full"))
    finally:
        if root:
            os.seteuid(0)
        eyes.communicate(timeout=10)


def _hidden(pid: int) -> bool:
    return not os.access(f"/proc/{pid}/fd", os.R_OK)
