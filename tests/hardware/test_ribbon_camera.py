"""A camera on the ribbon cable: a stand-in for rpicam-vid, ended with its reader and heard in its last words."""

from __future__ import annotations

import os
import stat
import sys
import textwrap

import pytest

from hardware.camera import CameraSettings
from hardware.camera_sources import open_source
from hardware.errors import CameraError

WIDTH, HEIGHT = 128, 96

FAKE_RPICAM = """
    import os, sys, time
    arg = dict(zip(sys.argv[1::1], sys.argv[2::1]))
    size = int(arg["--width"]) * int(arg["--height"]) * 3 // 2
    assert arg["--codec"] == "yuv420" and arg["--output"] == "-" and arg["--camera"] == "0"
    if os.environ["FAKE_RPICAM"] == "broken":
        print("noise", file=sys.stderr)
        print("ERROR: no cameras available", file=sys.stderr)
        sys.exit(1)
    for n in range(1000):
        frame = bytes([100]) * (size * 2 // 3) + bytes([128]) * (size // 3)
        os.write(1, frame[:1000])
        time.sleep(0.01)
        for part in range(1000, size, 4000):
            os.write(1, frame[part : part + 4000])
"""


@pytest.fixture
def fake_rpicam(tmp_path, monkeypatch):
    program = tmp_path / "rpicam-vid"
    program.write_text(f"#!{sys.executable}\n" + textwrap.dedent(FAKE_RPICAM))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_RPICAM", "works")


@pytest.mark.usefixtures("fake_rpicam")
def test_a_ribbon_cable_camera_comes_through_a_child_process_that_ends_with_it():
    source = open_source(CameraSettings("csi:0", WIDTH, HEIGHT, 10))
    image = source.grab()
    assert image is not None
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert abs(int(image[0, 0, 0]) - 98) < 3  # Y 100 in the studio range of rpicam's default colour space
    source.close()
    assert source._child.returncode is not None


@pytest.mark.usefixtures("fake_rpicam")
def test_a_failing_rpicam_is_told_in_its_own_last_words(monkeypatch):
    monkeypatch.setenv("FAKE_RPICAM", "broken")
    source = open_source(CameraSettings("csi:0", WIDTH, HEIGHT, 10))
    with pytest.raises(CameraError, match=r"no cameras available.*--list-cameras"):
        source.grab()
    source.close()
