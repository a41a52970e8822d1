"""Starts, stops, reloads and crashes, both relay polarities, both kernel habits: no edge that nobody ordered.

`persist`: a Raspberry Pi kernel keeps an output driven after its process died; an upstream kernel lets it fall back.
"""

from __future__ import annotations

from typing import Any

from tests.device.harness.door import Door

SETUPS = ((True, True), (False, True), (True, False), (False, False))  # active_high, persist


def run(door: Door, *, rounds: int) -> dict[str, Any]:
    """`rounds` of each act in each setup."""
    total: dict[str, Any] = {"setups": len(SETUPS)}
    for active_high, persist in SETUPS:
        door.rewire(active_high=active_high, persist=persist)
        for name, value in door.drill("edges", rounds=rounds, timeout_s=120 + 120 * rounds).items():
            total[name] = total.get(name, 0) + value
    door.rewire(active_high=True, persist=True)
    return total


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    missed = [] if result["rises"] >= result["orders"] else ["somebody pressed and was not let out"]
    return [name for name in ("unordered_rises",) if result[name]] + missed
