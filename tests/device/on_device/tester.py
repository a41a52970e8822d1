"""On the device: the door's lines as a tester sees them, and its services. Standard library only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from feeder import open_door, order_from_afar
from lines import Scope, multimeter, now_s, press

GUARD = "door-guard"
LOOK_EVERY_S = 0.004
ORDER_S = 1.0  # from a hand on the button to the relay: far beyond what is promised, which `latency` measures


class Bench:
    """The door's lines as a tester sees them."""

    def __init__(self, facts: dict[str, Any], *, keep: bool = False) -> None:
        self.pins: dict[str, int] = facts["pins"]
        self.energised = int(facts["active_high"])
        self.release_s: float = facts["release_s"]
        self.stand_in: bool = facts.get("stand_in", False)  # the feeder runs instead of the agent
        self.scope = Scope()
        if not keep:
            self.scope.clear()
        # from when to when an ordered release may begin: the only moments at which the relay may rise
        self.orders: list[tuple[float, float]] = []

    def relay_on(self) -> bool:
        """By the multimeter."""
        return multimeter(self.pins["relay"]) == self.energised

    def push_exit(self) -> float:
        """A hand on the exit button for a tenth of a second."""
        at_s = press(self.pins["exit"], high=False)
        self.orders.append((at_s, at_s + ORDER_S))
        time.sleep(0.1)
        press(self.pins["exit"], high=True)
        return at_s

    def grant(self) -> float:
        """Somebody is let in: the release comes from the agent. Returns when the relay was energised."""
        asked_s = now_s()
        if self.stand_in:
            open_door(self.release_s)
            self.orders.append((asked_s, asked_s + ORDER_S))
            return wait_for(self.relay_on, 3.0, "the relay is energised")
        stage = ""
        for _ in range(30):  # after a fault the door refuses, or is not online, until it is itself again
            if (stage := order_from_afar()) in {"accepted", "energised"}:
                break
            time.sleep(0.3)
        energised_s = wait_for(self.relay_on, 6.0, f"the relay is energised (the door said: {stage})")
        self.orders.append((asked_s, energised_s))
        return energised_s

    def rises(self, since_s: float = 0.0) -> list[float]:
        """When the relay line was energised, by the kernel's trace."""
        return self.scope.rises(self.pins["relay"], self.energised, since_s)

    def unordered(self) -> list[float]:
        """The energising edges that no order explains."""
        return [r for r in self.rises() if not any(since <= r <= until for since, until in self.orders)]


def wait_for(true: Callable[[], bool], within_s: float, what: str = "") -> float:
    """Look until it is so; returns when. Raises TimeoutError."""
    end_s = now_s() + within_s
    while not true():
        if now_s() > end_s:
            raise TimeoutError(f"not within {within_s} s: {what or true}")
        time.sleep(LOOK_EVERY_S)
    return now_s()


def ctl(*words: str) -> str:
    """Call systemctl; what it printed."""
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False).stdout.strip()


def main_pid(unit: str) -> int:
    """0 when it does not run."""
    return int(ctl("show", "-P", "MainPID", unit) or 0)


def up(unit: str) -> bool:
    """Started and, as these units are Type=notify, ready."""
    return ctl("is-active", unit) == "active"


def all_up(*units: str, within_s: float = 60.0) -> None:
    """Wait until the units are ready."""
    wait_for(lambda: all(up(u) for u in units), within_s, f"{units} ready")


def kill(unit: str, number: int) -> None:
    """Send a signal to a unit's main process, if it has one."""
    if pid := main_pid(unit):
        os.kill(pid, number)
