"""The boot settings: one block of ours, written as a whole, so that no earlier wiring holds the relay at power-on."""

import pytest

from deploy.device import boot, steps
from deploy.device.boot import boot_steps
from deploy.device.steps import Runner, Talk


class Quiet(Talk):
    def tell(self, kind, **facts):
        pass


OTHERS = "dtparam=audio=on\n[pi4]\narm_boost=1\n"


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "config.txt"
    path.write_text(OTHERS)
    path.chmod(0o755)
    monkeypatch.setattr(boot, "BOOT_CONFIG", path)
    monkeypatch.setattr(steps, "STATE", tmp_path / "state")
    return path


def run(pin: int, *, active_high: bool) -> int:
    runner = Runner(Quiet(), dry_run=False)
    runner.take([next(boot_steps({"relay_pin": pin, "relay_active_high": active_high}))])
    return runner.done


def gpio(config) -> list[str]:
    return [line for line in config.read_text().splitlines() if line.startswith("gpio=")]


def test_settings_are_added_once_for_all_boards_and_those_there_stay(config):
    assert (run(17, active_high=False), run(17, active_high=False)) == (1, 0)
    text = config.read_text()
    assert text.startswith(OTHERS)
    assert text.index("[all]") < text.index("gpio=17=op,dh")
    assert {"dtparam=watchdog=on", "dtparam=strict_gpiod"} <= set(text.splitlines())
    assert config.stat().st_mode & 0o777 == 0o755


def test_another_level_or_another_pin_leaves_nothing_of_the_one_before(config):
    """An old level would energise the relay from power-on; an old pin would drive what is now a button's line."""
    run(17, active_high=False)
    assert run(17, active_high=True) == 1
    assert gpio(config) == ["gpio=17=op,dl"]
    assert run(27, active_high=True) == 1
    assert gpio(config) == ["gpio=27=op,dl"]
    assert run(27, active_high=True) == 0


def test_somebodys_line_on_the_same_pin_is_left_and_ours_comes_after_it(config):
    config.write_text("gpio=17=op,dh\n")
    run(17, active_high=True)
    assert gpio(config) == ["gpio=17=op,dh", "gpio=17=op,dl"]
    config.write_text(config.read_text() + "gpio=17=op,dh\n")
    assert run(17, active_high=True) == 1, "somebody added a line behind ours: ours is to count"
    assert gpio(config)[-1] == "gpio=17=op,dl"


def test_what_stood_behind_our_block_still_counts_for_every_board(config):
    run(17, active_high=True)
    config.write_text(config.read_text() + "dtoverlay=vc4-kms-v3d\n")
    run(27, active_high=True)
    before = config.read_text().split("dtoverlay=vc4-kms-v3d")[0]
    assert before.rstrip().splitlines()[-1] == "[all]"


def test_the_block_is_taken_out_and_what_others_wrote_since_stays(config):
    run(17, active_high=True)
    config.write_text(config.read_text() + "dtoverlay=vc4-kms-v3d\n")
    assert boot.take_out_block()
    assert config.read_text() == OTHERS + "[all]\ndtoverlay=vc4-kms-v3d\n"
    assert not boot.take_out_block()


def test_a_board_without_such_a_file_rests_on_its_resistor(config):
    config.unlink()
    assert run(17, active_high=True) == 0
    assert not boot.take_out_block()
