"""The demo without a spectator: acts residents and strangers, and checks at the server what became of them."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

    from agent.cli.demo_world import DemoWorld

_SCENE_S = 25.0
_IN, _OUT = "AccessControl/AccessTaken/Credential", "AccessControl/Denied/CredentialNotFound"
_GRANTED = "AccessControl/AccessGranted/Credential"


def act_rounds(world: DemoWorld, rounds: int, stop: threading.Event, *, as_json: bool, ready_s: float) -> int:
    """0 when every resident came in, no stranger did, and the server has the rows; 1 otherwise.

    Raises:
        KeyboardInterrupt: `stop` was set before the last round ended.
    """
    taken = refused = let_in = 0
    for number in range(1, rounds + 1):
        taken += _acted(world, "resident_walks_up", _IN, stop)
        granted = _count(world, _GRANTED)  # whoever came before this has been dealt with
        refused += _acted(world, "stranger_walks_up", _OUT, stop)
        let_in += _count(world, _GRANTED) > granted
        print(f"demo: round {number} of {rounds}", file=sys.stderr, flush=True)
    status = world.door_status() or {}
    times_ms = sorted(opening["ms"] for opening in status.get("openings", []))
    report: dict[str, Any] = {
        "ready_s": round(ready_s, 1),
        "rounds": rounds,
        "residents_in": taken,
        "strangers_refused": refused,
        "strangers_let_in": let_in,
        "first_face_frame_to_relay_ms": _spread(times_ms),
        "engine": status.get("vision", {}).get("engine"),
    }
    print(json.dumps(report) if as_json else "\n".join(f"{key}: {value}" for key, value in report.items()), flush=True)
    return 0 if taken == refused == rounds and not let_in else 1


def _spread(times_ms: list[float]) -> dict[str, float] | None:
    if not times_ms:
        return None
    p95_ms = times_ms[min(len(times_ms) - 1, round(0.95 * (len(times_ms) - 1)))]
    return {"median": statistics.median(times_ms), "p95": p95_ms, "n": len(times_ms)}


def _acted(world: DemoWorld, scene: str, kind: str, stop: threading.Event) -> bool:
    """Play a scene to its end; whether the server got a new row of this kind."""
    before = _count(world, kind)
    world.play(scene)
    end_s = time.monotonic() + _SCENE_S
    while time.monotonic() < end_s and (world.player.on == scene or _count(world, kind) == before):
        if stop.wait(0.1):
            raise KeyboardInterrupt
    return _count(world, kind) > before


def _count(world: DemoWorld, kind: str) -> int:
    """By sequence number: the server's feed keeps only its newest entries."""
    return max((entry["seq"] for entry in world.server_entries() if entry.get("kind") == kind), default=0)
