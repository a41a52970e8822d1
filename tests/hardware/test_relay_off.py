"""The command after a guard's death: what it asks of the kernel, and how it says that it could not."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hardware import relay_off
from hardware.errors import LineError
from hardware.ports import OutputPin
from hardware.settings import GuardSettings


class Kernel:
    """Takes the request in place of the GPIO chip; real chips take it in tests/contracts."""

    def __init__(self, monkeypatch, tmp_path) -> None:
        self.asked: list[tuple[str, int, bytes]] = []
        self.error: OSError | None = None
        self.opened = ""
        self._fake = tmp_path / "gpiochip"
        self._fake.touch()
        self._open = os.open
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)

    def open(self, path: str, flags: int) -> int:
        self.opened = path
        if path == "/dev/gpiochip9":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self._open(self._fake, flags)

    def ioctl(self, handle: int, command: int, request: bytearray) -> None:
        if self.error:
            raise self.error
        self.asked.append((self.opened, command, bytes(request)))
        request[-4:] = struct.pack("=i", os.dup(handle))


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    return Kernel(monkeypatch, tmp_path)


@pytest.mark.parametrize(("active_high", "level"), [(True, 0), (False, 1)])
def test_the_request_is_one_output_with_the_level_of_a_dropped_relay(kernel, active_high, level):
    """Offsets by hand from <linux/gpio.h>: 64 offsets, a name of 32, flags, attributes of 24, number of lines, file."""
    relay_off.drop(GuardSettings(OutputPin(17, active_high), "fail-secure", chip=4))
    [(device, command, request)] = kernel.asked
    assert (device, command) == ("/dev/gpiochip4", 0xC250B407)
    assert len(request) == 592
    assert struct.unpack_from("=I", request, 0) == (17,)
    assert request[256:288].rstrip(b"\0") == b"door-relay-off"
    assert struct.unpack_from("=QI", request, 288) == (1 << 3, 1)
    assert struct.unpack_from("=IIQQ", request, 320) == (2, 0, level, 1)
    assert struct.unpack_from("=I", request, 560) == (1,)


def test_every_file_is_closed_again(kernel):
    before = len(list(Path("/proc/self/fd").iterdir()))
    relay_off.drop(GuardSettings(OutputPin(17), "fail-secure"))
    kernel.error = OSError(errno.EBUSY, "busy")
    with pytest.raises(LineError):
        relay_off.drop(GuardSettings(OutputPin(17), "fail-secure"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_line_still_owned_and_a_missing_chip_say_what_to_do(kernel):
    kernel.error = OSError(errno.EBUSY, "Device or resource busy")
    with pytest.raises(LineError, match=r"GPIO17 of /dev/gpiochip0 is still in use: stop its owner first"):
        relay_off.drop(GuardSettings(OutputPin(17), "fail-secure"))
    with pytest.raises(LineError, match=r"/dev/gpiochip9 cannot be had: No such file"):
        relay_off.drop(GuardSettings(OutputPin(17), "fail-secure", chip=9))


def test_the_guards_note_is_enough_and_the_configuration_is_the_way_without_it(kernel, tmp_path):
    config = tmp_path / "door.toml"
    config.write_text('[door]\nlock_type = "fail-safe"\n[hardware]\nchip = 1\n[hardware.relay]\npin = 5\n')
    arguments = ["--config", str(config), "--noted-in", str(tmp_path)]
    assert relay_off.main(arguments) == 0
    (tmp_path / relay_off.NOTE).write_text(
        relay_off.note(GuardSettings(OutputPin(9, active_high=False), "fail-safe", chip=2))
    )
    assert relay_off.main(["--config", "/absent.toml", "--noted-in", str(tmp_path)]) == 0
    found = [(device, *struct.unpack_from("=I", request), request[328]) for device, _, request in kernel.asked]
    assert found == [("/dev/gpiochip1", 5, 0), ("/dev/gpiochip2", 9, 1)]


def test_a_simulated_door_has_nothing_to_drop(kernel, tmp_path):
    (tmp_path / relay_off.NOTE).write_text(
        relay_off.note(GuardSettings(OutputPin(9), "fail-safe", backend="simulated"))
    )
    assert relay_off.main(["--config", "/absent.toml", "--noted-in", str(tmp_path)]) == 0
    assert kernel.asked == []


@pytest.mark.parametrize("arguments", [[], ["--config"], ["--config", "a", "b"], ["--config", "a", "--force", "b"]])
def test_a_wrong_call_shows_the_right_one(arguments, capsys):
    assert relay_off.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_with_a_note_it_imports_nothing_beyond_the_interpreters_own(tmp_path):
    """Its time is the relay's time after a kill: modules that cost milliseconds must not creep in."""
    (tmp_path / relay_off.NOTE).write_text("simulated")
    code = "import sys; from hardware import relay_off; bare = relay_off.main(sys.argv[1:]); print(bare, *sys.modules)"
    arguments = ["--config", "/absent.toml", "--noted-in", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    status, *modules = done.stdout.split()
    assert status == "0"
    assert not {"tomllib", "argparse", "dataclasses", "lgpio", "gpiozero", "hardware.settings"} & set(modules)
