"""Whether somebody is at the door, in words that root reads from the service manager before it restarts anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

QUIET: Final = "quiet"
BUSY: Final = "busy: "  # an update waits while the service's status begins with it (deploy/device/health.py)


def occupied(board: Mapping[str, Any], *, ordered: bool) -> str:
    """The agent's status: QUIET, or BUSY and what is going on. `ordered`: somebody is being let in."""
    if ordered:
        return f"{BUSY}somebody is being let in"
    if board.get("enrolment", {}).get("state") == "collecting":
        return f"{BUSY}somebody is being enrolled"
    return f"{BUSY}a face is in view" if board.get("vision", {}).get("in_view") else QUIET
