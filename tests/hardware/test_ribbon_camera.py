"""A camera on the ribbon cable: a stand-in for rpicam-vid, ended with its reader and heard in its last words."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
import time
from contextlib import closing

import pytest

from hardware import camera, ribbon_camera
from hardware.camera import CameraSettings, CameraState, open_camera
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
    if os.environ["FAKE_RPICAM"] == "hangs once":
        started = os.path.join(os.path.dirname(sys.argv[0]), "started")
        hangs = not os.path.exists(started)
        open(started, "w").close()
    else:
        hangs = False
    for n in range(5000):
        frame = bytes([100 + n % 2]) * (size * 2 // 3) + bytes([128]) * (size // 3)
        if os.environ["FAKE_RPICAM"] == "talks":
            os.write(2, b"#%06d (30.00 fps) exp 33239.00 ag 1.12 dg 1.00 and some more of it\\n" % n)
            os.write(1, frame)
            continue
        if hangs and n == 3:
            os.write(1, frame[:1000])
            time.sleep(600)
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


@pytest.mark.usefixtures("fake_rpicam")
def test_a_program_that_writes_a_line_for_each_picture_never_stops_for_want_of_a_reader(monkeypatch):
    """A pipe holds 64 KiB: unread, it stopped the camera after some 1,400 pictures."""
    monkeypatch.setenv("FAKE_RPICAM", "talks")
    with closing(open_source(CameraSettings("csi:0", WIDTH, HEIGHT, 10))) as source:
        assert all(source.grab() is not None for _ in range(3000))


def grab_for_ever(source):
    while True:
        source.grab()


@pytest.mark.usefixtures("fake_rpicam")
def test_a_program_that_falls_silent_is_ended_and_started_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RPICAM", "hangs once")
    monkeypatch.setattr(ribbon_camera, "SILENT_S", 0.3)
    monkeypatch.setattr(ribbon_camera, "PIPE_WAIT_S", 0.1)
    monkeypatch.setattr(camera, "REOPEN_AFTER_S", 0.05)
    source = open_source(CameraSettings("csi:0", WIDTH, HEIGHT, 10))
    with closing(source), pytest.raises(CameraError, match=r"no picture for 0\.3 s"):
        grab_for_ever(source)
    (tmp_path / "started").unlink()
    with closing(open_camera(CameraSettings("csi:0", WIDTH, HEIGHT, 10))) as watched:
        end_s, seen = time.monotonic() + 20.0, 0
        while seen < 10:
            seen += watched.read(0.2) is not None
            assert time.monotonic() < end_s, "the camera did not come back"
        assert watched.state is CameraState.OK
