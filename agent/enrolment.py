"""Enrolling somebody at the door from the console: asked for, collected by the vision process, stored with consent."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agent.core.roster import Consent
from agent.core.vision_messages import Enrol, EnrolCancel, Enrolment, EnrolmentState
from agent.roster_changes import NewFace, consent_now
from agent.status import StatusBoard
from agent.vision_link import VisionLink

PICTURES_WANTED = 5


@dataclass(frozen=True, slots=True)
class ConsoleAsked:
    """Somebody pressed a button on the console page."""

    name: str
    arguments: dict[str, Any]


class Enroller(Protocol):
    """Who stores somebody: the roster's clerk, which answers with `Enrolled`."""

    def enrol(
        self, enrolment_id: str, name: str, consent: Consent, faces: list[NewFace], network: tuple[str, str]
    ) -> None:
        """Ask for it."""


class EnrolmentDesk:
    """One enrolment at a time. Used by the controller's thread only."""

    def __init__(
        self, roster: Enroller, vision: VisionLink, board: StatusBoard, now_utc_s: Callable[[], float]
    ) -> None:
        """`now_utc_s`: what a consent given now is dated with."""
        self._roster, self._vision, self._board, self._now_utc_s = roster, vision, board, now_utc_s
        self._running: tuple[str, str, Consent] | None = None  # id, name, what was agreed to
        self._stored: tuple[str, str | None, int] | None = None  # id, hint, pictures of what is being stored

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
        consent = consent_now(int(self._now_utc_s()), guardian=guardian, under_14=under_14)
        if not consent.lawful:
            self._show("failed", "a person under 14 needs a guardian's consent: who agreed?", 0)
            return
        enrolment_id = secrets.token_hex(8)
        if not self._vision.send([Enrol(enrolment_id, PICTURES_WANTED)]):
            self._show("failed", "the camera process is not running", 0)
            return
        self._running = (enrolment_id, name, consent)
        self._show("collecting", None, 0)

    def progressed(self, event: Enrolment, model_id: str, alignment_id: str) -> None:
        """News from the vision process; what it collected is handed on to be stored."""
        if self._running is None or event.id != self._running[0]:
            return
        if event.state is not EnrolmentState.DONE:
            self._running = None if event.state is EnrolmentState.FAILED else self._running
            self._show(event.state.value, event.hint, event.collected)
            return
        (enrolment_id, name, consent), self._running = self._running, None
        self._stored = (enrolment_id, event.hint, event.collected)
        faces = [NewFace(template.vector, template.quality) for template in event.templates]
        self._roster.enrol(enrolment_id, name, consent, faces, (model_id, alignment_id))

    def stored(self, enrolment_id: str, why_not: str | None) -> None:
        """What came of it; `why_not` None: the person is enrolled."""
        if self._stored is not None and self._stored[0] == enrolment_id:
            _, hint, collected = self._stored
            self._stored = None
            self._show("done" if why_not is None else "failed", hint if why_not is None else why_not, collected)

    def _show(self, state: str, hint: str | None, collected: int) -> None:
        self._board.update(enrolment={"state": state, "hint": hint, "collected": collected, "wanted": PICTURES_WANTED})
