"""What the parts around the door say of themselves: one row when something goes, one when it is back, and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import floor, inf
from typing import Any

from agent.clock import Clock
from agent.core.events import Json, Kind, Priority, Record
from agent.core.stream import (
    LinkAlarm,
    LinkDown,
    LinkUp,
    OutboxStatus,
    StoreFailed,
    StoreRecovered,
    StoreReported,
)
from agent.core.vision_messages import Alive, CameraChanged, Faces, Hello
from agent.guard_link import GuardFault
from agent.status import StatusBoard
from agent.vision_link import VisionGone, VisionNonsense

_QUEUE_EVERY_S = 0.25
_CLOCK_EVERY_S = 10.0
VISION_WITHIN_S = 60.0  # of the agent's start; on a Pi its first start converts the models and takes longest
_ENDS_EVERY_S = 86400.0
_ENDS_DAYS, _ENDS_ALARM_DAYS = 30, 7
_BACKLOG_ROWS = 20  # fewer are on their way, not waiting


class Health:
    """Used by the controller's thread only."""

    def __init__(
        self,
        board: StatusBoard,
        clock: Clock,
        write: Callable[[Record], None],
        queue: Callable[[], OutboxStatus],
        *,
        has_camera: bool = True,
        dropped: Callable[[], int] = lambda: 0,
        ends_utc_s: float = inf,
    ) -> None:
        """`dropped`: events that the controller's mailbox had no room for, since the start.

        `ends_utc_s`: when this door's certificate ends; without a server it has none.
        """
        self._ends_utc_s, self._ends_due_s = ends_utc_s, clock.now_s() + VISION_WITHIN_S
        self._board, self._clock, self._write, self._queue = board, clock, write, queue
        self._dropped, self._dropped_told = dropped, 0
        self._vision_due_s = clock.now_s() + VISION_WITHIN_S if has_camera else inf
        self._vision: dict[str, Any] = {"up": False, "faces": []}
        self._clock_quality = ""
        self._queue_due_s = self._clock_due_s = 0.0

    def tend(self, now_s: float) -> None:
        """Queue and clock for the page; a changed clock quality is a row, and so is what never came or was lost."""
        if now_s >= self._queue_due_s:
            self._queue_due_s = now_s + _QUEUE_EVERY_S
            self._board.update(queue=asdict(self._queue()))
        if now_s >= self._clock_due_s:
            self._clock_due_s = now_s + _CLOCK_EVERY_S
            quality = str(self._clock.quality())
            if quality != self._clock_quality:
                self._clock_quality = quality
                self._board.update(clock={"quality": quality})
                self._row(Kind.CLOCK, {"state": quality}, Priority.LOW)
            if self._dropped() > self._dropped_told:
                lost, self._dropped_told = self._dropped() - self._dropped_told, self._dropped()
                said = f"{lost} events were dropped: too many waited for the controller"
                self._row(Kind.UNEXPECTED, {"event": "Mailbox", "reason": said}, Priority.HIGH)
        if now_s >= self._ends_due_s:
            self._ends_due_s = now_s + _ENDS_EVERY_S
            self._certificate((self._ends_utc_s - self._clock.utc_ms() / 1000) / 86400)
        if now_s >= self._vision_due_s:
            self._vision_due_s = inf
            self._vision_news(
                VisionGone(f"it has not come within {VISION_WITHIN_S:.0f} s: systemctl status door-vision")
            )

    def _certificate(self, days: float) -> None:
        """A row a day in the last month: one day later the server would not hear of it any more."""
        if days < _ENDS_DAYS:
            body: dict[str, Json] = {"state": "CertificateEnds", "days": floor(days), "detail": "provision it again"}
            self._row(Kind.LINK, body, Priority.ALARM if days < _ENDS_ALARM_DAYS else Priority.HIGH)

    def summary(self) -> dict[str, Json]:
        """How the parts are, for up/state; what is known of the guard stands in `guard` of the board."""
        queue, guard = self._queue(), self._board.snapshot().get("guard", {})
        return {
            "guard": bool(guard.get("up")),
            "vision": bool(self._vision.get("up")),
            "camera": self._vision.get("camera_state"),
            "store": queue.state,
            "queue": _rounded(queue.depth) if queue.depth >= _BACKLOG_ROWS else 0,
        }

    def news(self, event: object) -> bool:
        """Take one event. False: it is nothing for here."""
        match event:
            case Hello() | VisionGone() | VisionNonsense() | Alive() | CameraChanged() | Faces():
                self._vision_news(event)
            case LinkUp() | LinkDown() | LinkAlarm():
                self._link_news(event)
            case StoreFailed() | StoreRecovered() | StoreReported():
                self._store_news(event)
            case GuardFault():
                self._row(Kind.DOOR_FAULT, {"state": "Reported", "detail": event.detail}, Priority.ALARM)
            case _:
                return False
        return True

    def _vision_news(self, event: Hello | VisionGone | VisionNonsense | Alive | CameraChanged | Faces) -> None:
        match event:
            case Hello():
                self._vision_due_s = inf
                told: dict[str, Json] = {"engine": event.engine, "missing": event.missing, "liveness": event.liveness}
                self._vision |= {"up": True, **told, "faces": []}
                self._row(Kind.VISION, {"state": "Up", "engine": event.engine, "liveness": event.liveness})
            case VisionGone():
                self._vision |= {"up": False, "faces": [], "in_view": 0, "detail": event.detail}
                self._row(Kind.VISION, {"state": "Down", "detail": event.detail}, Priority.HIGH)
            case VisionNonsense():
                self._row(Kind.VISION, {"state": "Nonsense", "detail": event.detail}, Priority.HIGH)
            case Alive():
                told = {"fps": round(event.fps, 1), "camera_state": event.camera_state, "in_view": event.in_view}
                self._vision |= told
            case CameraChanged():
                self._vision |= {"camera_state": event.state, "camera_detail": event.detail}
                priority = Priority.NORMAL if event.state == "ok" else Priority.HIGH
                self._row(Kind.CAMERA, {"state": event.state, "detail": event.detail}, priority)
            case Faces():
                frame = {"width": event.width, "height": event.height}
                self._vision |= {"frame": frame, "faces": [asdict(face) for face in event.faces]}
        self._board.update(vision=dict(self._vision))

    def _link_news(self, event: LinkUp | LinkDown | LinkAlarm) -> None:
        match event:
            case LinkUp():
                self._board.update(link={"up": True, "reason": "", "since_s": self._clock.now_s()})
                self._row(Kind.LINK, {"state": "Up"}, Priority.LOW)
            case LinkDown():
                said = {"up": False, "reason": f"{event.cause}: {event.detail}", "since_s": self._clock.now_s()}
                self._board.update(link=said)
                priority = Priority.LOW if event.cause == "network" else Priority.HIGH
                self._row(Kind.LINK, {"state": "Down", "cause": event.cause, "detail": event.detail}, priority)
            case LinkAlarm():
                self._row(Kind.LINK, {"state": "Alarm", "word": event.word, "detail": event.detail}, Priority.ALARM)

    def _store_news(self, event: StoreFailed | StoreRecovered | StoreReported) -> None:
        match event:
            case StoreFailed():
                self._board.update(store={"state": "failing", "detail": event.detail})
                self._row(Kind.STORE, {"state": "Failing", "detail": event.detail}, Priority.ALARM)
            case StoreRecovered():
                self._board.update(store={"state": "ok", "detail": ""})
                body: Mapping[str, Json] = {"state": "Recovered", "waited": event.waited, "dropped": event.dropped}
                self._row(Kind.STORE, body, Priority.HIGH)
            case StoreReported():  # its row is written already
                self._board.update(store={"state": event.word, "detail": event.detail})

    def _row(self, kind: Kind, body: Mapping[str, Json], priority: Priority = Priority.NORMAL) -> None:
        self._write(Record(kind, body, priority))


def _rounded(rows: int) -> int:
    """Down to one digit: the state must not be published anew with every event."""
    return int(f"{rows}"[0].ljust(len(f"{rows}"), "0"))
