"""From a hand on the fire input or the exit button to the energised relay, in bad company.

All the while: a process takes the device's only core, vision is not there. Meanwhile, once for each `trouble_every`
presses: the disk answers nothing for 5 s, then the uplink is cut for 5 s.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.device.harness.door import Door

TROUBLE_S = 5.0
PAUSE_S = 4.0
BOUND_MS = 100.0
UNFAIR_SHARE = 0.1  # of the presses; with more of them lost to the machine nothing is proven
EXIT_RELEASE_S = 1.0  # the shortest that the configuration allows: a thousand presses take half an hour


def run(door: Door, *, fires: int, exits: int) -> dict[str, Any]:
    """`fires` and `exits` presses."""
    door.write_config(release_s=EXIT_RELEASE_S)
    door.start()
    over, troubles = threading.Event(), {"disk_stalls": 0, "uplink_cuts": 0}

    def make_trouble() -> None:
        while not over.wait(PAUSE_S):
            door.guest.stall_disk(TROUBLE_S)
            troubles["disk_stalls"] += 1
            if over.wait(PAUSE_S):
                break
            door.guest.lan(plugged=False)
            time.sleep(TROUBLE_S)
            door.guest.lan(plugged=True)
            troubles["uplink_cuts"] += 1

    worker = threading.Thread(target=make_trouble)
    worker.start()
    try:
        options = {"fires": fires, "exits": exits, "release_s": EXIT_RELEASE_S}
        result = door.drill("latency", timeout_s=300 + fires + 4 * exits, **options)
    finally:
        over.set()
        worker.join()
        door.write_config()
        door.start()
    return {**result, **troubles}


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    found = []
    for line in ("fire", "exit"):
        facts = result[line]
        if facts["p999_ms"] >= BOUND_MS:
            found.append(f"{line} p99.9")
        if facts["rig_stalled_in"] > UNFAIR_SHARE * facts["n"]:
            found.append(f"{line}: not proven, this machine stalled the rig in {facts['rig_stalled_in']} presses")
    return found + ["unordered_rises"] * bool(result["unordered_rises"])
