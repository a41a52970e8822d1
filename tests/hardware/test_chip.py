"""lgpio's gateway: the stub is refused, a busy line names its holder, and an output is claimed once, with its level.

The recorder below stands for the C library; what it promises is held against real lines by tests/contracts.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from hardware import chip
from hardware.errors import ChipError, LineError


class Recorder(types.ModuleType):
    """An lgpio that writes down what it is asked."""

    LGPIO_PY_VERSION = 0x00020200
    __file__ = "/usr/lib/lgpio.py"

    class error(Exception):  # noqa: N801, N818  lgpio's own name
        """As the C library raises it."""

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.calls: list[tuple[object, ...]] = []
        self.busy = ""

    def gpiochip_open(self, number: int) -> int:
        self.calls.append(("open", number))
        return 7

    def gpiochip_close(self, handle: int) -> None:
        self.calls.append(("close", handle))

    def gpio_claim_output(self, handle: int, gpio: int, level: int) -> None:
        if self.busy:
            raise self.error("GPIO busy")
        self.calls.append(("claim", handle, gpio, level))

    def gpio_get_line_info(self, handle: int, gpio: int) -> list[object]:
        return [0, gpio, 1, f"GPIO{gpio}", self.busy]


@pytest.fixture
def lgpio(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "lgpio", recorder)
    monkeypatch.setattr(chip, "_device_paths", lambda: ["/dev/gpiochip0"])
    monkeypatch.setattr(os, "access", lambda *_: True)
    return recorder


def test_an_output_is_one_claim_with_its_level(lgpio):
    chip.claim(lgpio, chip.open_chip(lgpio, 0), "relay", 17, level=True)
    assert lgpio.calls == [("open", 0), ("claim", 7, 17, 1)]


def test_a_busy_line_names_its_holder(lgpio):
    lgpio.busy = "gpioset"
    with pytest.raises(LineError, match=r"GPIO17 \(relay\) cannot be had: GPIO busy. It is in use by 'gpioset': stop"):
        chip.claim(lgpio, 7, "relay", 17, level=False)


def test_a_missing_chip_lists_what_is_there(lgpio):
    with pytest.raises(ChipError, match=r"/dev/gpiochip4 is not there \(found: /dev/gpiochip0\)"):
        chip.open_chip(lgpio, 4)


def test_a_chip_of_somebody_else_names_the_group(lgpio, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ChipError, match="group gpio"):
        chip.open_chip(lgpio, 0)


def test_a_chip_that_udev_gives_us_a_moment_after_the_boot_is_waited_for(lgpio, monkeypatch):
    looks = iter([False, False, False])
    monkeypatch.setattr(os, "access", lambda *_: next(looks, True))
    assert chip.open_chip(lgpio, 0, wait_s=5.0) == 7
    assert next(looks, None) is None


def test_a_chip_that_never_becomes_ours_is_told_after_the_wait(lgpio, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ChipError, match="group gpio"):
        chip.open_chip(lgpio, 0, wait_s=0.1)


@pytest.mark.parametrize(("version", "says"), [(None, "empty stub"), (0x00020000, "version 0x00020000")])
def test_an_unfit_library_is_refused_loudly(lgpio, version, says, monkeypatch):
    stub = types.ModuleType("lgpio")
    stub.__file__ = "/venv/lgpio.py"
    if version:
        stub.LGPIO_PY_VERSION = version
    monkeypatch.setitem(sys.modules, "lgpio", stub)
    with pytest.raises(ChipError, match=f"{says}.*0.2.2.0 is needed"):
        chip.load_lgpio()


def test_a_missing_library_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "lgpio", None)
    with pytest.raises(ChipError, match="apt-get install python3-lgpio"):
        chip.load_lgpio()


def test_the_library_is_loaded_in_a_folder_it_may_write_and_the_process_stays_where_it_was(
    lgpio, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LG_WD", "/nonexistent")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).is_dir())
    assert chip.load_lgpio() is lgpio
    assert Path.cwd() == tmp_path
    assert Path(os.environ["LG_WD"]).is_dir()
