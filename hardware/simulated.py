"""A door without pins: the same lines over gpiozero's mock, and a socket through which a test or the demo is the world.

The bench speaks hardware/seqpacket.py, to the guard's own user and root only. In: {"type":"set","line":NAME,"active":B}
sets an input as a hand or a fire panel would; {"type":"read"} asks. Out: {"type":"output","line":NAME,"on":B,"at_s":T}
for every change of an output (the multimeter on the relay); {"type":"lines","outputs":{..},"inputs":{..}} answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from hardware.clock import boottime_s
from hardware.errors import PeerGoneError
from hardware.gpio import GpioBoard, GpioInput, GpioOutput, mock_board
from hardware.ports import InputPin, OutputPin
from hardware.seqpacket import Connection, Listener, own_users

_USUALLY_ACTIVE = {"lock_power"}  # what a healthy door shows; every other input rests inactive


class SimulatedBoard:
    """See ports.Board. `set_input` is the hand on the wire."""

    def __init__(self) -> None:
        self._board: GpioBoard = mock_board()
        self._input_pins: dict[str, InputPin] = {}
        self.outputs: dict[str, GpioOutput] = {}
        self.inputs: dict[str, GpioInput] = {}

    def output(self, name: str, pin: OutputPin) -> GpioOutput:
        """See ports.Board."""
        self.outputs[name] = self._board.output(name, pin)
        return self.outputs[name]

    def input(self, name: str, pin: InputPin) -> GpioInput:
        """See ports.Board."""
        self.inputs[name] = self._board.input(name, pin)
        self._input_pins[name] = pin
        self.set_input(name, active=name in _USUALLY_ACTIVE)
        return self.inputs[name]

    def set_input(self, name: str, *, active: bool) -> None:
        """Put an input's wire to the level that makes it active or not."""
        pin = self._input_pins[name]
        mock = self._board.factory.pin(pin.pin)
        if active is not pin.active_low:
            mock.drive_high()
        else:
            mock.drive_low()

    def close(self) -> None:
        """See ports.Board."""
        self._board.close()


class Bench:
    """The socket. `turn` is called once in each round of the guard's loop and never waits."""

    def __init__(self, board: SimulatedBoard, path: str) -> None:
        self._board = board
        self._listener = Listener(path, allowed_uids=own_users(), mode=0o600)
        self._guests: list[Connection] = []
        self._told: Mapping[str, bool] = {}

    def turn(self, now_s: float) -> None:
        """Do what the guests asked, tell them what changed."""
        if (guest := self._listener.accept()) is not None:
            self._guests.append(guest)
        outputs = {name: line.reads_on() for name, line in self._board.outputs.items()}
        changed = {name: on for name, on in outputs.items() if on is not self._told.get(name, False)}
        self._told = outputs
        for guest in list(self._guests):
            try:
                for name, on in changed.items():
                    guest.send_json({"type": "output", "line": name, "on": on, "at_s": now_s})
                while (message := guest.recv()) is not None:
                    self._obey(guest, message)
            except PeerGoneError:
                guest.close()
                self._guests.remove(guest)

    def close(self) -> None:
        """Tell how the outputs were left, then send the guests home."""
        self.turn(boottime_s())
        for guest in self._guests:
            guest.close()
        self._listener.close()

    def _obey(self, guest: Connection, message: object) -> None:
        match message:
            case {"type": "set", "line": str(line), "active": bool(active)} if line in self._board.inputs:
                self._board.set_input(line, active=active)
            case {"type": "read"}:
                inputs = {name: line.is_active() for name, line in self._board.inputs.items()}
                guest.send_json({"type": "lines", "outputs": dict(self._told), "inputs": inputs})
            case _:
                guest.malformed += 1
