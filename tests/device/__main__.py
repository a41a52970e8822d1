"""Campaigns on the virtual device, at any size.

    python -m tests.device edges --rounds 50            python -m tests.device latency --presses 1000
    python -m tests.device faults --faults 200          python -m tests.device powercut --cuts 200
    python -m tests.device scenario --steps 1000        python -m tests.device flood --seconds 60

The last line of output is one JSON object with what was measured; exit 1 when a promise of the door was broken.
`--keep NAME` uses the guest NAME again if it is up, and leaves it running.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys

from tests.device.harness.door import Door
from tests.device.harness.image import why_not

CAMPAIGNS = ("edges", "faults", "latency", "powercut", "scenario", "flood")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.device", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("campaign", choices=CAMPAIGNS)
    parser.add_argument("--keep", metavar="NAME", help="a guest that stays up between campaigns")
    known, rest = parser.parse_known_args()
    if reason := why_not(asked=True):
        sys.stderr.write(reason + "\n")
        return 2
    campaign = importlib.import_module(f"tests.device.campaigns.{known.campaign}")
    sizes = {name.removeprefix("--"): int(value) for name, value in zip(rest[::2], rest[1::2], strict=True)}
    door = Door.attached(known.keep) if known.keep else Door.provisioned(f"guest-{known.campaign}")
    try:
        result = campaign.run(door, **sizes)
    finally:
        if not known.keep:
            door.guest.remove()
    broken = campaign.broken(result)
    sys.stdout.write(json.dumps({"campaign": known.campaign, "broken_promises": broken, **result}) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
