"""On the device: the hand on the buttons, the multimeter and the scope. Standard library only, as root.

Times are CLOCK_BOOTTIME seconds; the kernel's trace buffer is set to the same clock, so both can be compared.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TRACING = Path("/sys/kernel/tracing")
RESTING_HIGH = ("contact", "exit", "fire", "tamper", "doorbell")  # lock_power rests low: the lock has power
WIRING = Path(__file__).with_name("wiring.json")
SPARE_PIN = 27  # nothing of a door is on it: its number in the trace tells where the chip's numbers begin
_EVENT = re.compile(r"\s(\d+\.\d+): (gpio_value|gpio_direction): (\d+)\s+(set|out)\s+\(?(-?\d+)\)?")


def now_s() -> float:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def multimeter(pin: int) -> int:
    """The physical level of a line."""
    return int(Path(f"/run/gpio/GPIO{pin}/value").read_text())


def press(pin: int, *, high: bool) -> float:
    """Pull a line that nothing drives. Returns the time just before."""
    fd = os.open(f"/run/gpio/GPIO{pin}/pull", os.O_WRONLY)
    try:
        at_s = now_s()
        os.write(fd, b"pull-up" if high else b"pull-down")
    finally:
        os.close(fd)
    return at_s


class Scope:
    """The kernel's own record of every write to a line and every change of direction."""

    def __init__(self) -> None:
        start_scope()
        self.base = _find_base()

    def clear(self) -> None:
        """Forget what was recorded."""
        (TRACING / "trace").write_text("")

    def rises(self, pin: int, energised: int, since_s: float = 0.0) -> list[float]:
        """When the line was energised.

        A claim that energises counts even where the line was believed to be energised already: between two owners an
        upstream kernel lets it fall back without a trace.
        """
        level, written_s, number = 1 - energised, 0.0, str(self.base + pin)
        found: list[float] = []
        for at, event, line, _, value in _EVENT.findall((TRACING / "trace").read_text()):
            if line != number or float(at) < since_s:
                continue
            if event == "gpio_value":
                if int(value) == energised != level:
                    found.append(float(at))
                level, written_s = int(value), float(at)
            elif level == energised and written_s not in found:
                found.append(float(at))
        return found

    def changes(self, pin: int) -> list[tuple[float, int]]:
        """Every moment at which the line was driven to another level than before."""
        text, number = (TRACING / "trace").read_text(), str(self.base + pin)
        return _changed(
            [(float(a), int(v)) for a, e, n, _, v in _EVENT.findall(text) if (e, n) == ("gpio_value", number)]
        )


def _changed(writes: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return [w for before, w in itertools.pairwise([(0.0, -1), *writes]) if w[1] != before[1]]


def start_scope() -> None:
    """Switch the trace events on, once per boot."""
    if not (TRACING / "trace").exists():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACING)], check=True)
    if (TRACING / "events/gpio/enable").read_text().strip() != "1":
        (TRACING / "trace_clock").write_text("boot")
        (TRACING / "buffer_size_kb").write_text("4096")
        # Writes only: the guard reads its lines so often that the buffer held but the last eight minutes.
        (TRACING / "events/gpio/gpio_value/filter").write_text("get == 0")
        (TRACING / "events/gpio/enable").write_text("1")


def _find_base() -> int:
    """Pulse the spare line: the number the trace gives it, less its pin, is the number of pin 0."""
    subprocess.run(["gpioset", "-t0", "-c", "gpiochip0", f"{SPARE_PIN}=1"], check=True)
    by_us = [line for line in (TRACING / "trace").read_text().splitlines() if "gpioset-" in line]
    numbers = [int(found[3]) for line in by_us if (found := _EVENT.search(line))]
    if not numbers:
        raise RuntimeError("the kernel trace shows no GPIO events; is the image built with the scope?")
    return numbers[-1] - SPARE_PIN


def lay_wires(wiring: dict[str, Any]) -> None:
    """How the wires lie at a quiet door; the relay's resistor keeps it dropped."""
    for name, pin in wiring["pins"].items():
        press(pin, high=not wiring["active_high"] if name == "relay" else name in RESTING_HIGH)


def main() -> None:
    """With an argument: lay the wires so and remember it. Without: what a boot does, scope and wires."""
    if len(sys.argv) > 1:
        WIRING.write_text(sys.argv[1])
        os.sync()
    else:
        start_scope()
    if WIRING.exists():
        lay_wires(json.loads(WIRING.read_text()))


if __name__ == "__main__":
    main()
