"""Campaigns on the virtual device, at any size.

    python -m tests.device edges --rounds 50                python -m tests.device flood --seconds 60
    python -m tests.device faults --faults 200              python -m tests.device scenario --steps 1000
    python -m tests.device latency --fires 2000 --exits 1000
    python -m tests.device powercut --cuts 200

    python -m tests.device stories

Several can be named one after the other: they share one device. None named: each of them, small. For each, one line
with a JSON object; exit 1 when a promise of the door was broken, 2 when there is no virtual device here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

from tests.device.harness.image import NoDeviceError, why_not
from tests.device.harness.session import CAMPAIGNS, SMALL, attempt, rig


def wanted(words: list[str]) -> Iterator[tuple[str, dict[str, int]]]:
    """(campaign, sizes) from the command line."""
    name, sizes = "", {}
    for option, value in zip(words, [*words[1:], ""], strict=True):
        if option in CAMPAIGNS:
            if name:
                yield name, sizes
            name, sizes = option, {}
        elif option.startswith("--"):
            sizes[option[2:]] = int(value)
    if name:
        yield name, sizes


def main() -> int:
    chosen = list(wanted(sys.argv[1:])) if sys.argv[1:] else [(name, sizes) for name, sizes, _ in SMALL]
    if not chosen:
        sys.stdout.write(__doc__ or "")
        return 0 if "--help" in sys.argv else 2
    if reason := why_not(asked=True):
        sys.stderr.write(reason + "\n")
        return 2
    try:
        return run(chosen)
    except NoDeviceError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def run(chosen: list[tuple[str, dict[str, int]]]) -> int:
    """The campaigns on one device; 1 when a promise was broken."""
    broken = 0
    with rig(f"guest-{os.getpid()}") as (door, site):
        for name, sizes in chosen:
            result = attempt(name, door, site, **sizes)
            broken += len(result["broken_promises"])
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
