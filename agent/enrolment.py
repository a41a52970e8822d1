"""Enrolling somebody at the door from the console: asked for, collected by the vision process, stored with consent.

A face that is near to somebody enrolled is not stored before whoever enrols has said whose it is: the same person's
(one more visit beside the pictures there are), or somebody else's who looks alike (both need face and phone then).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from agent.core.bounded import BadValueError, text
from agent.core.networks import Network
from agent.core.roster import Consent, PersonKind
from agent.core.vision_messages import Enrol, EnrolCancel, Enrolment, EnrolmentState
from agent.directory import Directory
from agent.known_time import KnownTime
from agent.roster.changes import NewFace, consent_now
from agent.roster.news import NewPerson, Visit
from agent.status import StatusBoard
from agent.vision_link import VisionGone, VisionLink

PICTURES_WANTED = 5
ANSWER_S: Final = 120.0  # templates wait in memory no longer for the word whose they are
STARTS: Final = frozenset({"enrol_start", "enrol_again"})
REQUESTS: Final = STARTS | {"enrol_same", "enrol_other", "enrol_cancel"}


class Trouble(StrEnum):
    """What the page says when nobody was enrolled; it has each in both languages."""

    NEEDED = "a name and the person's consent are needed"
    HALF = "the name holds half a character: type it again"
    GUARDIAN = "a person under 14 needs a guardian's consent: who agreed?"
    NO_CAMERA = "the camera process is not running"
    CAMERA_LEFT = "the camera process stopped: begin again"
    NOBODY = "nobody enrolled looks like this: enrol with name and consent"
    NO_WORD = "nobody said whose face it is: begin again"


@dataclass(frozen=True, slots=True)
class ConsoleAsked:
    """Somebody pressed a button on the console page."""

    name: str
    arguments: dict[str, Any]


class Enroller(Protocol):
    """Who stores somebody: the roster's clerk, which answers with `Enrolled`."""

    def enrol(self, wanted: NewPerson, faces: list[NewFace], network: Network) -> None:
        """Ask for it."""

    def add_visit(self, visit: Visit, faces: list[NewFace], network: Network) -> None:
        """Ask for it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: a name and a consent, or neither for one more visit."""

    id: str
    name: str | None = None
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A face that is near to somebody: its templates wait for the word whose they are."""

    asked: _Asked
    faces: list[NewFace]
    network: Network
    near: tuple[str, ...]
    alike: tuple[str, ...]  # near, and those whom no page shows
    until_s: float
    collected: int


class EnrolmentDesk:
    """One enrolment at a time. Used by the controller's thread only."""

    def __init__(
        self, roster: Enroller, vision: VisionLink, board: StatusBoard, time: KnownTime, residents: Directory
    ) -> None:
        self._roster, self._vision, self._board, self._time = roster, vision, board, time
        self._residents = residents
        self._running: _Asked | None = None
        self._found: _Found | None = None
        self._stored: tuple[str, int] | None = None  # id and pictures of what is being stored

    def asked(self, event: ConsoleAsked) -> None:
        """Start, answer whose face it is, or cancel. No consent, no face; under 14 a guardian must be named."""
        if event.name in STARTS:
            self._start(event)
        elif event.name == "enrol_cancel":
            self._running = self._found = None
            self._vision.send([EnrolCancel()])
            self._show("cancelled", None, 0)
        elif self._found is not None:
            self._answered(self._found, event)

    def news(self, event: Enrolment | VisionGone, network: Network | None) -> None:
        """From the vision process and its `network`: what it collected is handed on to be stored."""
        if isinstance(event, VisionGone):
            self._vision_gone()
        elif network is not None and self._running is not None and event.id == self._running.id:
            self._progressed(event, self._running, network)

    def stored(self, enrolment_id: str, why_not: str | None) -> None:
        """What came of it; `why_not` None: the templates are stored."""
        if self._stored is not None and self._stored[0] == enrolment_id:
            _, collected = self._stored
            self._stored = None
            self._show("done" if why_not is None else "failed", why_not, collected)

    def tend(self, now_s: float) -> None:
        """Let go of templates about which nobody said anything."""
        if self._found is not None and now_s > self._found.until_s:
            self._found = None
            self._show("failed", Trouble.NO_WORD, 0)

    def _progressed(self, event: Enrolment, asked: _Asked, network: Network) -> None:
        if event.state is not EnrolmentState.DONE:
            self._running = None if event.state is EnrolmentState.FAILED else self._running
            self._show(event.state.value, event.hint, event.collected)
            return
        self._running = None
        faces = [NewFace(template.vector, template.quality) for template in event.templates]
        people = [one for i in event.looks_like if (one := self._residents.person(i)) is not None]
        shown = tuple(one.id for one in people if one.kind is not PersonKind.WATCHED)
        until_s, alike = self._time.now_s() + ANSWER_S, tuple(one.id for one in people)
        found = _Found(asked, faces, network, shown, alike, until_s, event.collected)
        if shown:
            self._found = found
            self._show("near", None, event.collected)
        elif asked.name is None or asked.consent is None:
            self._show("failed", Trouble.NOBODY, event.collected)
        else:
            self._enrol(found, asked.name, asked.consent)

    def _vision_gone(self) -> None:
        """Another process knows nothing of what this one collected."""
        if self._running is not None:
            self._running = None
            self._show("failed", Trouble.CAMERA_LEFT, 0)

    def _start(self, event: ConsoleAsked) -> None:
        self._found = None
        asked = _Asked(secrets.token_hex(8)) if event.name == "enrol_again" else self._read(event.arguments)
        if isinstance(asked, Trouble):
            self._show("failed", asked, 0)
        elif not self._vision.send([Enrol(asked.id, PICTURES_WANTED)]):
            self._show("failed", Trouble.NO_CAMERA, 0)
        else:
            self._running = asked
            self._show("collecting", None, 0)

    def _read(self, arguments: dict[str, Any]) -> _Asked | Trouble:
        name = str(arguments.get("name", "")).strip()[:200]
        guardian = str(arguments.get("guardian", "")).strip()[:200] or None
        if not name or arguments.get("consent") is not True:
            return Trouble.NEEDED
        try:
            text(200)(name)
            text(200)(guardian or "")
        except BadValueError:
            return Trouble.HALF
        under_14 = arguments.get("under_14") is True
        consent = consent_now(int(self._time.believed_s()), guardian=guardian, under_14=under_14)
        return _Asked(secrets.token_hex(8), name, consent) if consent.lawful else Trouble.GUARDIAN

    def _answered(self, found: _Found, event: ConsoleAsked) -> None:
        asked, person_id = found.asked, event.arguments.get("person")
        if event.name == "enrol_other" and asked.name is not None and asked.consent is not None:
            self._found = None
            self._enrol(found, asked.name, asked.consent)
        elif event.name == "enrol_same" and person_id in found.near:
            self._found, self._stored = None, (asked.id, found.collected)
            self._show("storing", None, found.collected)
            self._roster.add_visit(Visit(asked.id, str(person_id), asked.consent), found.faces, found.network)

    def _enrol(self, found: _Found, name: str, consent: Consent) -> None:
        self._stored = (found.asked.id, found.collected)
        self._show("storing", None, found.collected)
        self._roster.enrol(NewPerson(found.asked.id, name, consent, found.alike), found.faces, found.network)

    def _show(self, state: str, hint: str | None, collected: int) -> None:
        shown: dict[str, Any] = {"state": state, "hint": hint, "collected": collected, "wanted": PICTURES_WANTED}
        if self._found is not None:
            people = [one for i in self._found.near if (one := self._residents.person(i)) is not None]
            shown["near"] = [{"id": one.id, "name": one.name} for one in people]
            shown["again"] = self._found.asked.name is None
        self._board.update(enrolment=shown)
