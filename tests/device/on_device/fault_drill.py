"""On the device: faults thrown at guard and agent in mid-release."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import probe
from lines import now_s
from tester import GUARD, Bench, all_up, ctl, kill, main_pid, wait_for


def signalled(number: int) -> Callable[[str], Callable[[], None]]:
    """What is known about a unit beforehand, so that nothing but the signal lies between the clock and the fault."""

    def aimed(unit: str) -> Callable[[], None]:
        pid = main_pid(unit)
        return lambda: os.kill(pid, number) if pid else None

    return aimed


def out_of_memory(unit: str) -> Callable[[], None]:
    """Take a unit's memory away: the kernel's out-of-memory killer ends it."""
    limit = Path(f"/sys/fs/cgroup{ctl('show', '-P', 'ControlGroup', unit)}/memory.max")
    was = limit.read_text()

    def throw() -> None:
        try:
            limit.write_text("65536")
        finally:
            with contextlib.suppress(OSError):  # the group is made anew with the unit's next life, limit and all
                limit.write_text(was)

    return throw


FAULTS: dict[str, tuple[Callable[[str], Callable[[], None]], float]] = {
    "KILL": (signalled(signal.SIGKILL), 1.0),
    "SEGV": (signalled(signal.SIGSEGV), 1.0),
    "OOM": (out_of_memory, 1.0),
    "STOP": (signalled(signal.SIGSTOP), 4.0),
}


def faults(facts: dict[str, Any]) -> dict[str, Any]:
    """Faults thrown in mid-release; for each, how long until the relay dropped and whether that was in time."""
    bench, units = Bench(facts), facts["units"]
    chance = random.Random(facts.get("seed", 1))  # noqa: S311  repeatable, not secret
    targets, found = ([GUARD], units[1:], units), []
    helper = subprocess.Popen([sys.executable, probe.__file__])
    try:
        for n in range(facts["faults"]):
            kind, target = list(FAULTS)[n % len(FAULTS)], targets[n // len(FAULTS) % len(targets)]
            all_up(*units)
            found.append(one_fault(bench, kind, target, chance.uniform(0.1, 2.0)))
            for unit in target if kind == "STOP" else ():
                kill(unit, signal.SIGCONT)  # a unit without a watchdog of its own would stay stopped
        all_up(*units)
    finally:
        helper.kill()
        helper.wait()
    time.sleep(1.0)
    late = [f for f in found if f["dropped_after_s"] - f["rig_stalled_s"] > f["allowed_s"]]
    worst = {kind: max((f["dropped_after_s"] for f in found if f["kind"] == kind), default=0.0) for kind in FAULTS}
    return {
        "faults": len(found),
        "late": late,
        "worst_drop_s": worst,
        "median_drop_s": {
            f"{kind} {' '.join(target)}": middle(found, kind, target) for kind in FAULTS for target in targets
        },
        "rig_stalled_in": sum(f["rig_stalled_s"] > 0 for f in found),
        "longest_energised_s": max(f["energised_s"] for f in found),
        "beyond_bound": [f for f in found if f["energised_s"] - f["rig_stalled_s"] > f["bound_s"] + 0.1],
        "unordered_rises": len(bench.unordered()),
    }


def middle(found: list[dict[str, Any]], kind: str, target: list[str]) -> float:
    """The median time to the dropped relay after this fault at these units, in seconds; 0 when it was not thrown."""
    took_s = [f["dropped_after_s"] for f in found if f["kind"] == kind and f["target"] == target]
    return round(statistics.median(took_s), 3) if took_s else 0.0


def one_fault(bench: Bench, kind: str, target: list[str], after_s: float) -> dict[str, Any]:
    """Release, wait, throw, watch."""
    aim, allowed_s = FAULTS[kind]
    throws = [aim(unit) for unit in target]
    began_s = bench.grant()
    time.sleep(after_s)
    thrown_s = now_s()
    for throw in throws:
        throw()
    dropped_s = wait_for(lambda: not bench.relay_on(), 15.0, f"the relay drops after {kind} of {target}")
    # a stopped guard cannot count: there the bound is the hard cap
    bound_s = 10.0 if kind == "STOP" and GUARD in target else bench.release_s
    return {
        "kind": kind,
        "target": target,
        "after_s": round(after_s, 2),
        "dropped_after_s": round(dropped_s - thrown_s, 3),
        "allowed_s": allowed_s,
        "energised_s": round(dropped_s - began_s, 3),
        "rig_stalled_s": round(probe.stalled_s(thrown_s, dropped_s), 3),
        "bound_s": bound_s,
    }
