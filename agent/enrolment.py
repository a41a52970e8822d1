"""Enrolling somebody at the door from the console: asked for, collected by the vision process, stored with consent."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from agent.clock import Clock
from agent.core.roster import Consent, Person
from agent.core.vision_messages import Enrol, EnrolCancel, Enrolment, EnrolmentState
from agent.residents import NewFace, Residents, consent_now
from agent.status import StatusBoard
from agent.vision_link import VisionLink

PICTURES_WANTED = 5


@dataclass(frozen=True, slots=True)
class ConsoleAsked:
    """Somebody pressed a button on the console page."""

    name: str
    arguments: dict[str, Any]


class EnrolmentDesk:
    """One enrolment at a time. Used by the controller's thread only."""

    def __init__(self, residents: Residents, vision: VisionLink, board: StatusBoard, clock: Clock) -> None:
        self._residents, self._vision, self._board, self._clock = residents, vision, board, clock
        self._running: tuple[str, str, Consent] | None = None  # id, name, what was agreed to

    def asked(self, event: ConsoleAsked) -> None:
        """Start or cancel. No consent, no face; under 14 a guardian must be named."""
        if event.name == "enrol_cancel":
            self._running = None
            self._vision.send([EnrolCancel()])
            self._show("cancelled", None, 0)
            return
        name = str(event.arguments.get("name", "")).strip()[:200]
        if not name or event.arguments.get("consent") is not True:
            self._show("failed", "a name and the person's consent are needed", 0)
            return
        guardian = str(event.arguments.get("guardian", "")).strip()[:200] or None
        under_14 = event.arguments.get("under_14") is True
        consent = consent_now(self._clock.utc_ms() // 1000, guardian=guardian, under_14=under_14)
        if not consent.lawful:
            self._show("failed", "a person under 14 needs a guardian's consent: who agreed?", 0)
            return
        enrolment_id = secrets.token_hex(8)
        if not self._vision.send([Enrol(enrolment_id, PICTURES_WANTED)]):
            self._show("failed", "the camera process is not running", 0)
            return
        self._running = (enrolment_id, name, consent)
        self._show("collecting", None, 0)

    def progressed(self, event: Enrolment, model_id: str, alignment_id: str) -> Person | None:
        """News from the vision process; the new person once everything is stored."""
        if self._running is None or event.id != self._running[0]:
            return None
        self._show(event.state.value, event.hint, event.collected)
        if event.state is EnrolmentState.COLLECTING:
            return None
        (_, name, consent), self._running = self._running, None
        if event.state is EnrolmentState.FAILED:
            return None
        faces = [NewFace(template.vector, template.quality) for template in event.templates]
        return self._residents.add(name, consent, faces, model_id, alignment_id)

    def _show(self, state: str, hint: str | None, collected: int) -> None:
        self._board.update(enrolment={"state": state, "hint": hint, "collected": collected, "wanted": PICTURES_WANTED})
