"""door-agent bench openings: every way in, in one table, with the real processes; also refused, and vision killed.

A face and a pass count from the first frame that shows them to the relay, an order from afar from the button pressed on
the server's page to the relay. Refused: the same button while the door is locked down, until the page has the answer.
"""

from __future__ import annotations

import math
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from agent.cli.demo_world import DemoWorld
from agent.errors import DoorAgentError
from hardware.clock import boottime_s

_READY_S: Final = 90.0
_SCENE_S: Final = 30.0
_CODE_S: Final = 45.0  # a scene with this code is drawn first
_QUIET_S: Final = 20.0
_TOLD_S: Final = 5.0  # until the console's page must tell what the door did
_LINK_DOWN_S: Final = 60.0
_STEP_S: Final = 5.2  # a phone's next code


class Openings:
    """Acts each way in at one demo world and measures."""

    def __init__(self, world: DemoWorld) -> None:
        self._world = world

    def face(self) -> float | None:
        """Milliseconds from the first frame with the resident in the zone to the relay; None: she was not let in."""
        return self._seen("face", lambda: self._world.play("resident_walks_up"), _SCENE_S)

    def phone(self) -> float | None:
        """The same from the first frame with the code. The picture is drawn first, so its code is seconds old."""
        return self._seen("pass", self._world.show_phone, _CODE_S)

    def remote(self) -> float | None:
        """Milliseconds from the manager's button to the relay; None: no answer."""
        before, pressed_s = len(self._world.hand.energised_s), boottime_s()
        self._world.order("open")
        end_s = boottime_s() + 2.0
        while boottime_s() < end_s and len(self._world.hand.energised_s) == before:
            time.sleep(0.005)
        found = self._world.hand.energised_s[before:]
        return (found[0] - pressed_s) * 1000 if found else None

    def refused(self) -> float | None:
        """Milliseconds from the button to the refusal on the page."""
        pressed_s = boottime_s()
        answer = self._world.order("open")
        took_ms = (boottime_s() - pressed_s) * 1000
        return None if answer["ok"] or not answer["why"] else took_ms

    def settle(self) -> None:
        """Nobody before the camera, the leaf closed, the relay dropped: the next one starts from rest."""
        end_s = time.monotonic() + _QUIET_S
        while time.monotonic() < end_s:
            state = (self._world.door_status() or {}).get("door_state", {})
            at_rest = (state.get("relay"), state.get("contact")) == ("dropped", "closed")
            if at_rest and self._world.player.on == "empty":
                return
            time.sleep(0.1)

    def _seen(self, way: str, act: Callable[[], object], bound_s: float) -> float | None:
        energised, before = len(self._world.hand.energised_s), self._told()
        act()
        if not _until(lambda: len(self._world.hand.energised_s) > energised, bound_s):
            return None
        _until(lambda: self._told() != before, _TOLD_S)  # the page follows the relay
        told = self._told()
        return float(told[-1]["ms"]) if told != before and told[-1]["way"] == way else None

    def _told(self) -> list[dict[str, Any]]:
        """The openings that the door's page tells of, the newest last."""
        found: list[dict[str, Any]] = (self._world.door_status() or {}).get("openings") or []
        return found


def measure(rounds: int) -> dict[str, Any]:
    """The whole table. Raises DoorAgentError when the world does not come up."""
    with DemoWorld(None, _say) as world:
        if not world.wait_ready(_READY_S, threading.Event()):
            raise DoorAgentError("the simulated door did not get ready; try door-agent demo to see why")
        world.manager.ask("/api/me")  # signs in first: a command of its own, a second that is no part of an opening
        openings = Openings(world)
        table = [_row(openings, way, "up", rounds) for way in ("face", "phone", "remote")]
        table.append(_refusals(world, openings, rounds))
        world.uplink.cut()
        if not _until(lambda: not _section(world, "link").get("up", True), _LINK_DOWN_S):
            raise DoorAgentError(f"the door did not see within {_LINK_DOWN_S:g} s that its uplink was cut")
        table += [_row(openings, way, "down", rounds) for way in ("face", "phone")]
        table.append(_row(openings, "remote", "down", 1))
        world.uplink.restore()
        return {"rounds": rounds, "openings": table, "vision_killed_to_next_face_s": _vision_killed(world, openings)}


def _row(openings: Openings, way: str, uplink: str, rounds: int) -> dict[str, Any]:
    act: Callable[[], float | None] = getattr(openings, way)
    times_ms: list[float] = []
    for _ in range(rounds):
        openings.settle()
        took_ms = act()
        times_ms += [] if took_ms is None else [took_ms]
        if way == "phone":
            time.sleep(_STEP_S)
    _say(f"{way}, uplink {uplink}: {len(times_ms)} of {rounds}")
    return {"way": way, "uplink": uplink, "tried": rounds, **spread(times_ms)}


def _refusals(world: DemoWorld, openings: Openings, rounds: int) -> dict[str, Any]:
    openings.settle()
    world.order("lock-down")
    if not _until(lambda: _section(world, "door_state").get("mode") == "LockedDown", _TOLD_S):
        raise DoorAgentError(f"the door did not go into lock-down within {_TOLD_S:g} s")
    row = _row(openings, "refused", "up", rounds)
    world.order("release-lock-down")
    _until(lambda: _section(world, "door_state").get("mode") == "Locked", _TOLD_S)
    return {**row, "way": "remote, refused"}


def _vision_killed(world: DemoWorld, openings: Openings) -> list[float]:
    """Seconds from SIGKILL of door-vision, a stranger standing before the camera, until it tells of his face again."""
    took_s = []
    for _ in range(3):
        openings.settle()
        world.play("stranger_walks_up")
        _until(lambda: bool(_section(world, "vision").get("faces")), _SCENE_S)
        world.children["vision"].kill()
        killed_s = boottime_s()
        gone = _until(lambda: not _section(world, "vision").get("up", True), _SCENE_S)
        if gone and _until(lambda: bool(_section(world, "vision").get("faces")), _SCENE_S):
            took_s.append(round(boottime_s() - killed_s, 2))
    return took_s


def _section(world: DemoWorld, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (world.door_status() or {}).get(name, {})
    return found


def _until(condition: Callable[[], bool], bound_s: float) -> bool:
    end_s = time.monotonic() + bound_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def spread(times_ms: list[float]) -> dict[str, Any]:
    """Median, p95 (nearest rank) and count."""
    if not times_ms:
        return {"n": 0, "median_ms": None, "p95_ms": None}
    ranked = sorted(times_ms)
    p95_ms = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return {"n": len(ranked), "median_ms": round(statistics.median(ranked), 1), "p95_ms": round(p95_ms, 1)}


def show(report: dict[str, Any]) -> None:
    """For people."""
    print(f"{'way':16} {'uplink':7} {'done':>9} {'median ms':>10} {'p95 ms':>8}")
    for row in report["openings"]:
        opened = f"{row['n']} of {row['tried']}"
        median_ms, p95_ms = (("-" if row[key] is None else f"{row[key]:.0f}") for key in ("median_ms", "p95_ms"))
        print(f"{row['way']:16} {row['uplink']:7} {opened:>9} {median_ms:>10} {p95_ms:>8}")
    killed = ", ".join(f"{seconds:.1f}" for seconds in report["vision_killed_to_next_face_s"])
    print(f"door-vision killed before a stranger, until it sees him again: {killed or 'never'} s")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
