"""What may come down the line: restarts, reconnects, old orders kept by the broker, replays and junk. None may open.

An order that is fresh and signed must open, before and after: else nothing would be proven.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from agent.core.commands import Action
from agent.order_keys import sign
from agent.wire import topic
from tests.device.harness.door import Door
from tests.device.harness.site import DEVICE, Site

JUNK_PER_S = 1000
ONLINE_S = 240.0  # the door's own back-off goes up to a minute, and three restarts in a row make it go there
CLAIMS = {"action": Action.OPEN, "actor": "manager"}


def run(door: Door, site: Site, *, seconds: int) -> dict[str, Any]:
    """`seconds` of junk, besides one of each of the other tricks."""
    where = topic(DEVICE, "dn/command")
    publish = site.consumer._link._client.publish
    site.wait_online()
    opened_before = opens(door, site)
    door.drill("forget")
    captured = site.sent[-1]  # it has opened the door once
    publish(where, captured, qos=1, retain=True)
    for _ in range(3):
        with site.broker_down():
            time.sleep(1)
        site.wait_online(ONLINE_S)
    door.guest.lan(plugged=False)
    time.sleep(8)
    door.guest.lan(plugged=True)
    site.wait_online(ONLINE_S)
    publish(where, captured, qos=1)
    publish(where, order(site), qos=1)
    sent = junk(publish, where, captured, seconds)
    openings = door.drill("boot")["rises"]
    publish(where, b"", qos=1, retain=True)
    site.wait_online(ONLINE_S)
    return {
        "junk_sent": sent,
        "broker_restarts": 3,
        "openings": openings,
        "opened_before": opened_before,
        "opened_after": opens(door, site),
    }


def opens(door: Door, site: Site) -> bool:
    """Whether a fresh, signed order energises the relay (and the door is secured again afterwards)."""
    door.drill("forget")
    stage = site.open_door()["stage"]
    rises = int(door.drill("secured", timeout_s=60)["rises"])
    return stage in {"accepted", "energised"} and rises == 1


def order(site: Site) -> bytes:
    """A well signed order with a challenge that the door never gave."""
    claims = {**CLAIMS, "id": secrets.token_hex(8), "challenge": secrets.token_urlsafe(18), "counter": time.time_ns()}
    return sign(site.command.key.read_bytes(), "manager", DEVICE, claims)


def junk(publish: Any, where: str, captured: bytes, seconds: int) -> int:
    """Random bytes, cut and altered orders, at JUNK_PER_S."""
    sent, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        for _ in range(JUNK_PER_S // 20):
            cut = captured[: secrets.randbelow(len(captured))]
            publish(where, (secrets.token_bytes(secrets.randbelow(3000)), cut, cut + b"A")[sent % 3], qos=0)
            sent += 1
        time.sleep(0.05)
    return sent


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that this result breaks."""
    return ["openings"] * bool(result["openings"]) + [n for n in ("opened_before", "opened_after") if not result[n]]
