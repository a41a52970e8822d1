"""A door that says what a test wants: the agent's own status board, filled by hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import cv2

from agent.status import StatusBoard
from fixtures.hall import DAY, empty_hall


def hall_jpeg() -> bytes:
    """The preview picture: an empty hall, 640 px wide."""
    _, jpeg = cv2.imencode(".jpg", cv2.resize(empty_hall(DAY), (640, 360), interpolation=cv2.INTER_AREA))
    return bytes(jpeg)


class ScriptedDoor:
    """A ConsoleSource. `asked` holds what the page asked for."""

    def __init__(self) -> None:
        self.board = StatusBoard(CALM)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.somebody_asked = threading.Event()
        self.snapshot, self.wait, self.wait_picture = self.board.snapshot, self.board.wait, self.board.wait_picture

    def act(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((name, arguments))
        self.somebody_asked.set()
        return {"ok": True}

    def door(self, **facts: Any) -> None:
        """Change facts of the door."""
        self.board.update(door_state={**self.board.snapshot()["door_state"], **facts})

    def event(self, kind: str, priority: int = 1, **body: Any) -> None:
        """Something happened."""
        at_utc = datetime(2026, 11, 23, 8, 15, len(self.board.snapshot()["events"]), tzinfo=UTC).isoformat()
        self.board.add_event({"at_utc": at_utc, "kind": kind, "priority": priority, "body": body})

    def faces(self, *faces: dict[str, Any]) -> None:
        """What is in the picture."""
        self.board.update(vision={**CALM["vision"], "faces": list(faces)})


def face(box: tuple[float, float, float, float], state: str, **more: Any) -> dict[str, Any]:
    """One face as the vision process tells it."""
    return {"box": box, "track": 1, "state": state, "match_distance": None, "live": None, "person_id": None, **more}


CALM: dict[str, Any] = {
    "site": "kangle-garden",
    "door": "north-gate",
    "software": "0.1.0",
    "lock_type": "fail-secure",
    "policy": "standard",
    "door_state": {
        "mode": "Locked",
        "lock": "secured",
        "contact": "closed",
        "relay": "dropped",
        "fire": False,
        "alarms": [],
        "faults": [],
        "tamper": False,
        "lockout_for_s": 0,
        "indication": "idle",
        "released_for_s": None,
    },
    "guard": {"up": True, "backend": "simulated"},
    "vision": {
        "up": True,
        "faces": [],
        "fps": 10.1,
        "camera_state": "ok",
        "camera_detail": "",
        "liveness": True,
        "engine": "yunet + reid0095 + minifasnet; onnxruntime 1.32.0, opencv 5.0.0, one thread",
        "missing": None,
        "frame": {"width": 1280, "height": 720},
    },
    "queue": {"epoch": "5e1f", "head_seq": 412, "acked_seq": 412, "depth": 0, "bytes": 190_000, "state": "ok"},
    "link": {"up": True, "reason": "", "since_s": 10.0},
    "store": {"state": "ok", "detail": ""},
    "clock": {"quality": "ntp"},
    "roster": {"epoch": 3, "persons": 214, "templates": 640, "ready": True, "in_use": 640},
}
