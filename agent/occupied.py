"""Whether somebody is at the door, or something stands there, in words that root reads before it restarts anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

QUIET: Final = "quiet"
BUSY: Final = "busy: "  # an update waits while the service's status begins with it (deploy/device/health.py)
HOLD: Final = "hold: "  # an update that nobody watches waits for this too; an installer's does not


def status(board: Mapping[str, Any], *, ordered: bool) -> str:
    """The agent's status for the service manager."""
    said = occupied(board, ordered=ordered)
    stands = standing(board) if said == QUIET else ""
    return f"{HOLD}{stands}" if stands else said


def occupied(board: Mapping[str, Any], *, ordered: bool) -> str:
    """QUIET, or BUSY and what is going on. `ordered`: somebody is being let in."""
    if ordered:
        return f"{BUSY}somebody is being let in"
    if board.get("enrolment", {}).get("state") == "collecting":
        return f"{BUSY}somebody is being enrolled"
    return f"{BUSY}a face is in view" if board.get("vision", {}).get("in_view") else QUIET


def standing(board: Mapping[str, Any]) -> str:
    """What is not as in a door's quiet hours, in words: locked down, unlocked, open, an alarm, a fault; else empty."""
    door = board.get("door_state", {})
    if door.get("fire") or door.get("tamper") or door.get("alarms"):
        return "an alarm stands"
    if door.get("faults") or not board.get("guard", {}).get("up"):
        return "the door has a fault"
    if door.get("mode") != "Locked":
        return f"the door is {door.get('mode')}"
    if door.get("relay") == "energised" or door.get("contact") == "open":
        return "the door is open"
    return "faces are paused" if door.get("lockout_for_s") else ""
