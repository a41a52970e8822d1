"""Faults thrown in mid-release: KILL, SEGV, STOP, out of memory at guard, agent and both; and the plug."""

from __future__ import annotations

import random
from typing import Any

from tests.device.harness.door import Door
from tests.device.harness.site import Site

POWER_SHARE = 20  # one fault in so many is a power cut


def run(door: Door, site: Site, *, faults: int) -> dict[str, Any]:
    """`faults` in all."""
    cuts = faults // POWER_SHARE
    site.wait_online()
    chance = random.Random(1)  # noqa: S311  repeatable, not secret
    after = [power_cut(door, site, str(chance.randrange(1000))) for _ in range(cuts)]
    result = door.drill("faults", faults=faults - cuts, timeout_s=300 + 40 * faults)
    unordered = result.pop("unordered_rises") + sum(n for n, _ in after)
    energised = sum(on for _, on in after)
    return {**result, "power_cuts": cuts, "unordered_rises": unordered, "energised_after_power_cut": energised}


def power_cut(door: Door, site: Site, keep: str) -> tuple[int, int]:
    """Pull the plug in mid-release and boot: (energising edges since power-on, whether the relay is energised)."""
    site.wait_online()
    site.open_door()
    door.guest.cut(keep)
    door.guest.start()
    site.wait_online()
    found = door.drill("boot", timeout_s=60)
    return int(found["rises"]), int(found["energised"])


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    return [n for n in ("late", "beyond_bound", "unordered_rises", "energised_after_power_cut") if result[n]]
