"""The only file that imports gpiozero: lines over its devices, on a factory that is chosen here and nowhere else.

gpiozero's own lgpio pin makes an output an input first and then low before it has its level: an active-low relay pulses
at every start. The pin class below claims an output once, with its level. No line uses callbacks: the guard reads
levels in its loop, so that no exception on a borrowed thread can make the exit button deaf.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gpiozero
from gpiozero.pins.mock import MockFactory, MockPin

from hardware import chip as chips
from hardware.errors import LineError
from hardware.ports import InputLine, InputPin, OutputLine, OutputPin

_REVISION = 0xC03111  # a Pi 4B; the header with its BCM numbers is the same on every board with 40 pins, Pi 5 included
_PULL_UP = {"up": True, "down": False, "none": None}


class GpioOutput:
    """See ports.OutputLine."""

    def __init__(self, board: GpioBoard, name: str, pin: OutputPin) -> None:
        self._board = board
        self._name = f"GPIO{pin.pin} ({name})"
        with board.errors(name, pin.pin):
            self._device = gpiozero.OutputDevice(
                pin.pin, active_high=pin.active_high, initial_value=False, pin_factory=board.factory
            )

    def drive(self, *, on: bool) -> None:
        """See ports.OutputLine."""
        with self._board.failures(self._name):
            self._device.value = on

    def reads_on(self) -> bool:
        """See ports.OutputLine."""
        with self._board.failures(self._name):
            return bool(self._device.value)

    def close(self) -> None:
        """See ports.OutputLine. Freed, not made an input: on a Raspberry Pi kernel the line stays driven, and off."""
        if not self._device.closed:
            try:
                self.drive(on=False)
            finally:
                self._device.close()


class GpioInput:
    """See ports.InputLine."""

    def __init__(self, board: GpioBoard, name: str, pin: InputPin) -> None:
        self._board = board
        self._name = f"GPIO{pin.pin} ({name})"
        self._active_level = not pin.active_low
        pull_up = _PULL_UP[pin.pull]
        # Polarity is ours: gpiozero ties it to the resistor, and a normally-closed contact to ground breaks that rule.
        state = {"active_state": True} if pull_up is None else {}
        with board.errors(name, pin.pin):
            self._device = gpiozero.InputDevice(pin.pin, pull_up=pull_up, pin_factory=board.factory, **state)

    def is_active(self) -> bool:
        """See ports.InputLine."""
        with self._board.failures(self._name):
            return bool(self._device.pin.state) is self._active_level

    def close(self) -> None:
        """See ports.InputLine."""
        self._device.close()


class GpioBoard:
    """See ports.Board. `factory` is gpiozero's, given to every device by hand: nothing falls back to another one."""

    def __init__(self, factory: Any, lgpio: Any = None) -> None:  # noqa: ANN401  no types are published for either
        self.factory = factory
        self._lgpio = lgpio
        self._failures = (gpiozero.GPIOZeroError, OSError, *((lgpio.error,) if lgpio else ()))
        self._outputs: list[GpioOutput] = []  # in the order of claiming: the relay first, and first to be closed
        self._inputs: list[GpioInput] = []

    def output(self, name: str, pin: OutputPin) -> GpioOutput:
        """See ports.Board."""
        self._outputs.append(GpioOutput(self, name, pin))
        return self._outputs[-1]

    def input(self, name: str, pin: InputPin) -> GpioInput:
        """See ports.Board."""
        self._inputs.append(GpioInput(self, name, pin))
        return self._inputs[-1]

    def close(self) -> None:
        """See ports.Board."""
        with (
            contextlib.ExitStack() as stack
        ):  # last registered, first closed; one failure does not keep the others open
            stack.callback(self.factory.close)
            lines: list[InputLine | OutputLine] = [*self._inputs, *reversed(self._outputs)]
            for line in lines:
                stack.callback(line.close)
        self._inputs.clear()
        self._outputs.clear()

    @contextlib.contextmanager
    def errors(self, name: str, number: int) -> Iterator[None]:
        """Turn what a claim raises into a LineError that says who has the line."""
        try:
            yield
        except self._failures as error:
            if isinstance(error, LineError):
                raise
            if self._lgpio and self.factory._handle is not None:  # noqa: SLF001  gpiozero offers no way to ask
                raise chips.line_error(self._lgpio, self.factory._handle, name, number, error) from error  # noqa: SLF001
            raise LineError(f"GPIO{number} ({name}) cannot be had: {error}") from error

    @contextlib.contextmanager
    def failures(self, name: str) -> Iterator[None]:
        """Turn what a read or write raises into a LineError."""
        try:
            yield
        except self._failures as error:
            raise LineError(f"{name} does not follow: {error}") from error


class LevelMockPin(MockPin):  # type: ignore[misc]  # gpiozero publishes no types
    """gpiozero's mock, claiming outputs like our real pin: with their level, not low first."""

    def output_with_state(self, state: bool) -> None:  # noqa: FBT001  gpiozero's signature
        """Become an output that has `state` from its first moment."""
        self._function = "output"
        self._state = bool(state)
        self.clear_states()


def mock_board() -> GpioBoard:
    """Lines of gpiozero's mock: for the simulated door and the contract tests."""
    return GpioBoard(MockFactory(pin_class=LevelMockPin))


def lgpio_board(chip: int, wait_s: float = 0.0) -> GpioBoard:
    """The real lines of /dev/gpiochipN, which may take `wait_s` to appear.

    Raises:
        ChipError: no chip, no right, or no fit library; never another back-end instead.
    """
    lgpio = chips.load_lgpio()
    lgpio.gpiochip_close(chips.open_chip(lgpio, chip, wait_s))  # for its messages; gpiozero opens it by itself
    return GpioBoard(_lgpio_factory(lgpio, chip), lgpio)


def _lgpio_factory(lgpio: Any, chip: int) -> Any:  # noqa: ANN401  no types are published
    # Here and not above: on a machine without lgpio there is no class to inherit from.
    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
    from gpiozero.pins.local import LocalPiPin

    class Pin(LGPIOPin):  # type: ignore[misc]  # as above
        """Claims nothing until it is told what to be, and an output with its level at once."""

        def __init__(self, factory: Any, info: Any) -> None:  # noqa: ANN401  as above
            LocalPiPin.__init__(self, factory, info)  # LGPIOPin's own would claim the line as an input
            self._pwm = self._bounce = self._callback = None
            self._edges = lgpio.BOTH_EDGES

        def output_with_state(self, state: bool) -> None:  # noqa: FBT001  gpiozero's signature
            chips.claim(lgpio, self.factory._handle, "output", self._number, level=state)  # noqa: SLF001

        def close(self) -> None:
            with contextlib.suppress(lgpio.error):  # a claim that failed has nothing to free
                lgpio.gpio_free(self.factory._handle, self._number)  # noqa: SLF001

    class Factory(LGPIOFactory):  # type: ignore[misc]  # as above
        """Knows the 40-pin header without asking the machine, which the guard's unit does not let it see."""

        def _get_revision(self) -> int:
            return _REVISION

    factory = Factory(chip=chip)
    factory.pin_class = Pin
    return factory
