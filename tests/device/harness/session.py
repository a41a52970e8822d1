"""One site and one provisioned door on it, for as many campaigns as one likes."""

from __future__ import annotations

import importlib
import inspect
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.device.harness.door import Door
from tests.device.harness.guest import GuestError
from tests.device.harness.site import Site

CAMPAIGNS = ("edges", "faults", "latency", "flood", "scenario", "stories", "powercut")

UNFINISHED = "did not run to its end"
# every campaign at the size of a look: name, sizes, seconds it takes on two quiet cores
SMALL: tuple[tuple[str, dict[str, int], float], ...] = (
    ("edges", {"rounds": 1}, 90),
    ("faults", {"faults": 12}, 110),
    ("latency", {"fires": 60, "exits": 15}, 50),
    ("stories", {"count": 4}, 90),
    ("flood", {"seconds": 5}, 60),
    ("powercut", {"cuts": 6, "seconds": 8}, 60),
    ("scenario", {"steps": 30}, 60),
)


@contextmanager
def rig(name: str = "guest") -> Iterator[tuple[Door, Site]]:
    """Boot, install, introduce, start. The guest is thrown away at the end."""
    with Site() as site:
        door = Door.provisioned(name, ports=site.ports)
        try:
            site.introduce(door)
            door.start()
            site.wait_online()
            yield door, site
        finally:
            door.guest.remove()


def attempt(name: str, door: Door, site: Site, **sizes: int) -> dict[str, Any]:
    """Run one; one that breaks off is a broken promise too, and the others still run."""
    try:
        return campaign(name, door, site, **sizes)
    except (GuestError, TimeoutError, KeyError, subprocess.SubprocessError) as error:
        return {"campaign": name, "broken_promises": [UNFINISHED], "error": str(error)[-2000:]}


def campaign(name: str, door: Door, site: Site, **sizes: int) -> dict[str, Any]:
    """Run one; its result, with the promises that it found broken."""
    module = importlib.import_module(f"tests.device.campaigns.{name}")
    needs = {"site": site} if "site" in inspect.signature(module.run).parameters else {}
    with door.guest.preferred(name):
        result = module.run(door, **needs, **sizes)
    return {"campaign": name, "broken_promises": module.broken(result), **result}
