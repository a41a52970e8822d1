"""One site and one provisioned door on it, for as many campaigns as one likes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.device.harness.door import Door
from tests.device.harness.site import Site

CAMPAIGNS = ("edges", "faults", "latency", "flood", "scenario", "stories", "powercut")


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


def campaign(name: str, door: Door, site: Site, **sizes: int) -> dict[str, Any]:
    """Run one; its result, with the promises that it found broken."""
    module = importlib.import_module(f"tests.device.campaigns.{name}")
    needs = {"site": site} if "site" in inspect.signature(module.run).parameters else {}
    with door.guest.preferred(name):
        result = module.run(door, **needs, **sizes)
    return {"campaign": name, "broken_promises": module.broken(result), **result}
