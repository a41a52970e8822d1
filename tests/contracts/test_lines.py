"""One suite for every back-end of hardware/ports.py: the simulated door, gpiozero's mock, and real lines.

Real lines are taken where a multimeter is wired to them: DOOR_AGENT_BENCH names a folder with GPIO17/value and
GPIO17/pull as the virtual device has it (/run/gpio). Elsewhere that back-end is skipped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from hardware.errors import HardwareError, LineError
from hardware.gpio import GpioBoard, lgpio_board, mock_board
from hardware.ports import Board, InputPin, OutputPin
from hardware.relay_off import drop
from hardware.settings import GuardSettings
from hardware.simulated import SimulatedBoard

OUT, IN = 17, 27


class World(Protocol):
    """The other side of the wire."""

    board: Board

    def level(self) -> bool:
        """What a multimeter on GPIO17 shows."""

    def pull(self, *, high: bool) -> None:
        """Put GPIO27 to a level."""


@dataclass
class MockWorld:
    board: Any
    factory: Any

    def level(self) -> bool:
        return bool(self.factory.pin(OUT).state)

    def pull(self, *, high: bool) -> None:
        pin = self.factory.pin(IN)
        pin.drive_high() if high else pin.drive_low()


@dataclass
class BenchWorld:
    board: GpioBoard
    folder: Path

    def level(self) -> bool:
        return (self.folder / f"GPIO{OUT}" / "value").read_text().strip() == "1"

    def pull(self, *, high: bool) -> None:
        (self.folder / f"GPIO{IN}" / "pull").write_text("pull-up" if high else "pull-down")
        deadline_s = time.monotonic() + 2.0
        while (self.folder / f"GPIO{IN}" / "value").read_text().strip() != str(int(high)):
            assert time.monotonic() < deadline_s


@pytest.fixture(params=["simulated", "mock", "lgpio"])
def world(request) -> Iterator[World]:
    made: World
    match request.param:
        case "simulated":
            simulated = SimulatedBoard()
            made = MockWorld(simulated, simulated._board.factory)
        case "mock":
            mock = mock_board()
            made = MockWorld(mock, mock.factory)
        case _:
            folder = os.environ.get("DOOR_AGENT_BENCH")
            if not folder:
                pytest.skip("no real lines here: DOOR_AGENT_BENCH names the folder with their levels (/run/gpio)")
            made = BenchWorld(lgpio_board(0), Path(folder))
    yield made
    made.board.close()


@pytest.mark.parametrize("active_high", [True, False])
def test_an_output_is_claimed_off_and_follows(world, active_high):
    line = world.board.output("relay", OutputPin(OUT, active_high))
    seen = [(world.level(), line.reads_on())]
    for on in (True, False, True):
        line.drive(on=on)
        seen.append((world.level(), line.reads_on()))
    assert seen == [(on is active_high, on) for on in (False, True, False, True)]


@pytest.mark.parametrize("active_high", [True, False])
def test_closing_switches_off_first_and_leaves_it_off(world, active_high):
    line = world.board.output("relay", OutputPin(OUT, active_high))
    line.drive(on=True)
    line.close()
    line.close()
    if not isinstance(world, MockWorld):  # a mock pin becomes an input when it is closed, a real one keeps its level
        assert world.level() is not active_high
    with pytest.raises(LineError, match="does not follow"):
        line.drive(on=True)


def test_closing_the_board_switches_everything_off(world):
    lines = [world.board.output("relay", OutputPin(OUT)), world.board.output("buzzer", OutputPin(5))]
    for line in lines:
        line.drive(on=True)
    world.board.close()
    assert not world.level()
    world.board.close()


@pytest.mark.parametrize("pull", ["up", "down", "none"])
@pytest.mark.parametrize("active_low", [True, False])
def test_an_inputs_polarity_is_its_own_whatever_the_resistor(world, active_low, pull):
    line = world.board.input("exit", InputPin(IN, active_low, pull))
    seen = []
    for high in (True, False, True, False):
        world.pull(high=high)
        seen.append(line.is_active())
    assert seen == [high is not active_low for high in (True, False, True, False)]
    line.close()
    line.close()


def test_a_line_is_had_once(world):
    world.board.output("relay", OutputPin(OUT))
    with pytest.raises(LineError, match=r"GPIO17 \(buzzer\) cannot be had"):
        world.board.output("buzzer", OutputPin(OUT))
    with pytest.raises(LineError, match=r"GPIO17 \(exit\) cannot be had"):
        world.board.input("exit", InputPin(OUT))


def test_a_line_that_does_not_exist_says_so(world):
    with pytest.raises(LineError, match=r"GPIO77 \(relay\) cannot be had"):
        world.board.output("relay", OutputPin(77))


def test_a_line_given_back_can_be_had_again(world):
    world.board.output("relay", OutputPin(OUT)).close()
    world.board.output("relay", OutputPin(OUT)).drive(on=True)
    assert world.level()


def test_no_level_but_off_is_seen_while_an_output_is_claimed_and_closed():
    """The mock keeps every change: compared as a whole list, nothing hides between two looks."""
    for active_high in (True, False):
        board = mock_board()
        line = board.output("relay", OutputPin(OUT, active_high))
        states = board.factory.pin(OUT).states
        line.drive(on=True)
        line.drive(on=False)
        assert [state.state for state in states] == [not active_high, active_high, not active_high]
        board.close()


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("world", ["lgpio"], indirect=True)  # a mock's lines die with their process
def test_relay_off_drops_a_line_that_its_owner_left_on_and_refuses_one_that_is_owned(world, active_high):
    settings = GuardSettings(OutputPin(OUT, active_high), "fail-secure")
    line = world.board.output("relay", settings.relay)
    line.drive(on=True)
    with pytest.raises(LineError, match="still in use"):
        drop(settings)
    line._device.pin.close()  # as a kill would: given back without a word
    drop(settings)
    assert world.level() is not active_high


def test_without_a_chip_there_is_an_error_and_no_other_back_end():
    if os.environ.get("DOOR_AGENT_BENCH"):
        pytest.skip("this machine has a chip")
    with pytest.raises(HardwareError, match=r"lgpio|gpiochip"):
        lgpio_board(0)
