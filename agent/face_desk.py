"""What the vision process found, turned into an opening, a refusal or a hint.

One visit, one opening by face: who stays in view after it is not let in again, however long and whatever the camera
shows; a frozen picture is a face that stays. The visit is over when the face was out of view for a moment
(vision_presence.py). So who missed the opening steps out of view for two seconds and looks again, which the lamps ask
for (look-again), or shows the phone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from agent.controller import Intent
from agent.core.access import Denial, Denied, Granted, Moment, Rules, decide
from agent.core.door import grant_refusal, should_release
from agent.core.events import AccessAllowed, AccessRefused, Credential, Indication, Json, Kind, Priority, Record
from agent.core.roster import PersonKind
from agent.core.vision_messages import Finding, FindingKind
from agent.directory import Directory
from agent.factors import Desk, Factors, Shown
from agent.template_update import TemplateUpdate

SAME_WATCHED_S: Final = 60.0
SAME_STRANGER_S: Final = 8.0  # nor is one stranger reported over and over
_HINTS: Final = {hint.value: hint for hint in Indication}


class FaceDesk:
    """Used by the controller's thread only."""

    def __init__(
        self,
        desk: Desk,
        residents: Directory,
        *,
        factors: Factors,
        rules: Callable[[], Rules],
        moment: Callable[[], Moment],
        update: TemplateUpdate | None = None,
    ) -> None:
        self._desk, self._residents, self._factors, self._update = desk, residents, factors, update
        self._rules, self._moment = rules, moment
        self._visits: dict[str, float] = {}  # who was let in by face, and when the camera last told of them since
        self._refused_s: dict[str, float] = {}
        self.openings: dict[str, float] = {}  # request id -> CLOCK_BOOTTIME of the first frame with this face

    def found(self, finding: Finding, now_s: float) -> None:
        """Act on one decision of the vision process."""
        if finding.verdict is FindingKind.RECOGNISED:
            self._recognised(finding, now_s)
        elif finding.verdict is FindingKind.UNCLEAR:
            self._show(finding.hint)
        else:
            spoof = finding.verdict is FindingKind.SPOOF
            self._refuse(finding, Denial.SPOOF if spoof else Denial.CREDENTIAL_NOT_FOUND, None, now_s)

    def _recognised(self, finding: Finding, now_s: float) -> None:
        person = self._residents.person(finding.person_id)
        if person is not None and self._stays(person.id, finding):
            return
        if person is not None and finding.template is not None and self._update is not None:
            self._update.seen(person.id, finding.template, now_s)
        phone = self._factors.other(person.id, Credential.PHONE, now_s) if person is not None else None
        credential = Credential.FACE_AND_PHONE if phone else Credential.FACE
        answer = decide(
            person,
            credential,
            self._rules(),
            self._moment(),
            door_refusal=grant_refusal(self._desk.state, credential),
            face_in_doubt=finding.needs_phone,
        )
        if person is not None and person.kind is PersonKind.WATCHED:
            self._watched(finding, person.id, now_s)
        elif isinstance(answer, Denied):
            self._refuse(finding, answer.reason, finding.person_id, now_s)
        elif isinstance(answer, Granted):
            self._admit(answer, credential, finding, phone or Shown(now_s))
            if phone is not None and not phone.duress and self._update is not None:
                self._update.confirmed(answer.person_id, now_s)
        else:
            self._factors.show(answer.person_id, Credential.FACE, Shown(now_s))
            self._desk.hint(Indication.SHOW_PHONE)

    def _stays(self, person_id: str, finding: Finding) -> bool:
        """Whether this person was let in and has been in view ever since."""
        told_s, since_s = self._visits.get(person_id), finding.in_view_since_s
        if told_s is None or (finding.first_frame_at_s if since_s is None else since_s) > told_s:
            return False
        self._visits[person_id] = max(told_s, finding.decided_at_s)
        if not (should_release(self._desk.state) or self._desk.state.contact_open):
            self._desk.hint(Indication.LOOK_AGAIN)
        return True

    def _admit(self, granted: Granted, credential: Credential, finding: Finding, phone: Shown) -> None:
        request_id = secrets.token_hex(8)
        self._visits[granted.person_id] = finding.decided_at_s
        self.openings[request_id] = finding.first_frame_at_s
        allowed = AccessAllowed(
            request_id, credential, granted.person_id, extended=granted.extended, duress=phone.duress
        )
        self._desk.admit(Intent(request_id, allowed, _said(finding), phone.facts))

    def _watched(self, finding: Finding, person_id: str, now_s: float) -> None:
        """Told to the manager; the person at the door sees what any stranger sees."""
        if now_s - self._refused_s.get(person_id, -SAME_WATCHED_S) >= SAME_WATCHED_S:
            self._refused_s[person_id] = now_s
            body: dict[str, Json] = {"person_id": person_id, **_said(finding)}
            self._desk.write(Record(Kind.WATCHED, body, Priority.ALARM))
        self._refuse(finding, Denial.CREDENTIAL_NOT_FOUND, None, now_s)

    def _refuse(self, finding: Finding, reason: Denial, person_id: str | None, now_s: float) -> None:
        who = person_id or reason.value
        if now_s - self._refused_s.get(who, -SAME_STRANGER_S) < SAME_STRANGER_S:
            return
        self._refused_s[who] = now_s
        counts = reason in {Denial.CREDENTIAL_NOT_FOUND, Denial.SPOOF}
        self._desk.step(
            AccessRefused(Credential.FACE, reason.value, person_id, _said(finding), counts_for_lockout=counts), now_s
        )
        self._show(finding.hint)

    def _show(self, hint: str | None) -> None:
        if hint in _HINTS:
            self._desk.hint(_HINTS[hint])


def _said(finding: Finding) -> dict[str, Json]:
    decided_ms = round((finding.decided_at_s - finding.first_frame_at_s) * 1000)
    said: dict[str, Json] = {"frames": finding.frames, "decided_ms": decided_ms, "receipt": dict(finding.receipt)}
    return said | ({"seen_before": finding.seen_before} if finding.verdict is FindingKind.STRANGER else {})
