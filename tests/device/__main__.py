"""Campaigns on the virtual device, at any size.

    python -m tests.device edges --rounds 50                python -m tests.device flood --seconds 60
    python -m tests.device faults --faults 200              python -m tests.device scenario --steps 1000
    python -m tests.device latency --fires 2000 --exits 1000
    python -m tests.device powercut --cuts 200

Several can be named one after the other: they share one device. For each, one line with a JSON object; exit 1 when a
promise of the door was broken, 2 when there is no virtual device here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

from tests.device.harness.guest import GuestError
from tests.device.harness.image import why_not
from tests.device.harness.session import CAMPAIGNS, campaign, rig


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
    if sys.argv[1:2] == ["--help"] or not (chosen := list(wanted(sys.argv[1:]))):
        sys.stdout.write(__doc__ or "")
        return 2
    if reason := why_not(asked=True):
        sys.stderr.write(reason + "\n")
        return 2
    broken = 0
    with rig(f"guest-{os.getpid()}") as (door, site):
        for name, sizes in chosen:
            try:
                result = campaign(name, door, site, **sizes)
            except (GuestError, TimeoutError, KeyError) as error:  # say it and go on: the others take an hour too
                result = {"campaign": name, "broken_promises": ["did not run to its end"], "error": str(error)[-2000:]}
            broken += len(result["broken_promises"])
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
