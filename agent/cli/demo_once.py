"""The demo without a spectator: acts a resident and a stranger, and checks at the server what became of them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.cli.demo import DemoControls
    from agent.cli.demo_world import DemoWorld

_SCENE_S = 25.0


def act_once(world: DemoWorld, controls: DemoControls, *, as_json: bool, started_s: float) -> int:
    """0 when the resident came in, the stranger did not, and the server has the rows of both."""
    ready_s = time.monotonic() - started_s
    controls.act("resident")
    taken = _await(world, "AccessControl/AccessTaken/Credential")
    controls.act("stranger")
    refused = _await(world, "AccessControl/Denied/CredentialNotFound")
    status = world.door_status() or {}
    report = {
        "ready_s": round(ready_s, 1),
        "resident_came_in": taken is not None,
        "stranger_refused": refused is not None,
        "face_to_relay_ms": [opening["ms"] for opening in status.get("openings", [])],
        "engine": status.get("vision", {}).get("engine"),
    }
    print(json.dumps(report) if as_json else "\n".join(f"{key}: {value}" for key, value in report.items()), flush=True)
    return 0 if taken and refused else 1


def _await(world: DemoWorld, kind: str) -> dict[str, Any] | None:
    end_s = time.monotonic() + _SCENE_S
    while time.monotonic() < end_s:
        for entry in world.server_entries():
            if entry.get("kind") == kind:
                return entry
        time.sleep(0.1)
    return None
