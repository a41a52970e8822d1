"""What the vision process found, turned into an opening, a refusal or a hint.

One visit, one opening by face: who stays in view after it is not let in again, however long and whatever the camera
shows; a frozen picture is a face that stays. The visit is over when the face was out of view for a moment
(vision/presence.py). So who missed the opening steps out of view for two seconds and looks again, which the lamps ask
for (look-again), or shows the phone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agent.controller import Intent
from agent.core.access import Denial, Denied, Granted, Moment, Rules, decide
from agent.core.door import grant_refusal, should_release
from agent.core.door_records import denied
from agent.core.events import AccessAllowed, AccessRefused, Credential, Indication, Json, Kind, Priority, Record
from agent.core.recognition import Reason
from agent.core.roster import Person, PersonKind
from agent.core.vision_messages import Finding, FindingKind
from agent.directory import Directory
from agent.factors import FACTOR_S, LATE_S, Desk, Factors, Shown
from agent.template_update import TemplateUpdate

SAME_WATCHED_S: Final = 60.0
SAME_STRANGER_S: Final = 8.0  # nor is one stranger reported over and over
SAME_UNCLEAR_S: Final = 60.0  # somebody waits before the door with a mask on
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
        self._visits: dict[str, float] = {}  # who was let in, and when the camera last told of them since
        self._refused_s: dict[str, float] = {}
        self.openings: dict[str, float] = {}  # request id -> CLOCK_BOOTTIME of the first frame with this face

    def found(self, finding: Finding, now_s: float) -> None:
        """Act on one decision of the vision process."""
        match finding.verdict:
            case FindingKind.RECOGNISED:
                self._recognised(finding, now_s)
            case FindingKind.DOUBTFUL:
                self._doubtful(finding, now_s)
            case FindingKind.UNCLEAR:
                self._unclear(finding, now_s)
            case FindingKind.SPOOF:
                self._refuse(finding, Denial.SPOOF, None, now_s)
            case FindingKind.STRANGER:
                self._refuse(finding, Denial.CREDENTIAL_NOT_FOUND, None, now_s)

    def tend(self, now_s: float) -> None:
        """Write down whose second factor did not come; the person has gone, so nothing is shown at the door."""
        for shown in self._factors.given_up(now_s):
            person_id = next(iter(shown.people)) if len(shown.people) == 1 else None
            missing = Denial.SECOND_FACTOR_MISSING.value
            row = denied(AccessRefused(shown.credential, missing, person_id, shown.said))
            self._desk.write(replace(row, facts=shown.facts or None))

    def _recognised(self, finding: Finding, now_s: float) -> None:
        person = self._residents.person(finding.person_id)
        if person is None:  # removed a moment ago
            self._refuse(finding, Denial.CREDENTIAL_NOT_FOUND, None, now_s)
            return
        if self._stays(person.id, finding):
            return
        if person.kind is PersonKind.WATCHED:
            self._watched(finding, person.id, now_s)
            return
        if finding.template is not None and self._update is not None:
            self._update.seen(person.id, finding.template, now_s)
        self._decide(finding, [person], now_s)

    def _doubtful(self, finding: Finding, now_s: float) -> None:
        """One of several people, or a face in the grey zone: the phone of one of them opens."""
        found = [person for one in finding.candidates if (person := self._residents.person(one)) is not None]
        watched = [person for person in found if person.kind is PersonKind.WATCHED]
        people = [person for person in found if person not in watched]
        if watched and finding.reason == Reason.LOOK_ALIKE:  # as near as if he had been recognised
            self._tell_watched(finding, watched[0].id, now_s)
        if not people:
            self._refuse(finding, Denial.CREDENTIAL_NOT_FOUND, None, now_s, receipt=not watched)
        else:
            self._decide(finding, people, now_s)

    def _decide(self, finding: Finding, people: list[Person], now_s: float) -> None:
        """Let the one of these people in whose phone was shown; without a phone the one who was recognised."""
        seen_s = finding.decided_at_s if finding.seen_at_s is None else finding.seen_at_s
        if now_s - seen_s > LATE_S:
            self._refuse(finding, Denial.TOO_LATE, finding.person_id, now_s)
            return
        shown = ((person, self._factors.other(person.id, Credential.PHONE, now_s)) for person in people)
        person, phone = next((one for one in shown if one[1] is not None), (people[0], None))
        credential = Credential.FACE_AND_PHONE if phone else Credential.FACE
        refusal = grant_refusal(self._desk.state, credential)
        answer = decide(
            *(person, credential, self._rules(), self._moment()),
            door_refusal=refusal,
            face_in_doubt=finding.needs_phone,
        )
        known = phone is not None or finding.verdict is FindingKind.RECOGNISED
        if isinstance(answer, Granted):
            self._admit(answer, credential, finding, phone, now_s)
        elif isinstance(answer, Denied) and (known or refusal is not None):
            self._refuse(finding, answer.reason, person.id if known else None, now_s)
        else:
            self._ask_for_phone(finding, people, now_s)

    def _stays(self, person_id: str, finding: Finding) -> bool:
        """Whether this person was let in, by whatever she showed, and has been in view ever since."""
        let_in_s, since_s = self._factors.let_in_at(person_id), finding.in_view_since_s
        if let_in_s is None:
            return False
        told_s = max(let_in_s, self._visits.get(person_id, let_in_s))
        if (finding.first_frame_at_s if since_s is None else since_s) > told_s:
            return False
        self._visits[person_id] = max(told_s, finding.decided_at_s)
        if not (should_release(self._desk.state) or self._desk.state.contact_open):
            self._desk.hint(Indication.LOOK_AGAIN)
        return True

    def _ask_for_phone(self, finding: Finding, people: list[Person], now_s: float) -> None:
        """Remember the face. In the grey zone this is a refusal too: whoever is there may be a stranger who tries."""
        ids = frozenset(person.id for person in people)
        if self._factors.walking_in(ids, now_s, FACTOR_S):
            return
        grey = finding.reason == Reason.GREY_ZONE
        self._factors.show(Shown(ids, Credential.FACE, now_s, _said(finding), counted=grey))
        if grey:
            self._refuse(finding, Denial.SECOND_FACTOR_MISSING, None, now_s)
        nobody_could = grey and not any(phone.enabled for person in people for phone in person.phones)
        self._desk.hint(Indication.COME_CLOSER if nobody_could else Indication.SHOW_PHONE)

    def _admit(
        self, granted: Granted, credential: Credential, finding: Finding, phone: Shown | None, now_s: float
    ) -> None:
        request_id = secrets.token_hex(8)
        self._factors.let_in(granted.person_id, credential, now_s)
        self.openings[request_id] = finding.first_frame_at_s
        duress = phone is not None and phone.duress
        allowed = AccessAllowed(request_id, credential, granted.person_id, extended=granted.extended, duress=duress)
        said, facts = (phone.said, phone.facts) if phone is not None else ({}, {})
        self._desk.admit(Intent(request_id, allowed, {**_said(finding), **said}, facts))
        if phone is not None and not duress and self._update is not None:
            self._update.confirmed(granted.person_id, now_s)

    def _watched(self, finding: Finding, person_id: str, now_s: float) -> None:
        """Told to the manager; at the door, and in the row of the refusal, he is what any stranger is."""
        self._tell_watched(finding, person_id, now_s)
        self._refuse(finding, Denial.CREDENTIAL_NOT_FOUND, None, now_s, receipt=False)

    def _tell_watched(self, finding: Finding, person_id: str, now_s: float) -> None:
        if now_s - self._refused_s.get(person_id, -SAME_WATCHED_S) >= SAME_WATCHED_S:
            self._refused_s[person_id] = now_s
            body: dict[str, Json] = {"person_id": person_id, **_said(finding)}
            self._desk.write(Record(Kind.WATCHED, body, Priority.ALARM))

    def _unclear(self, finding: Finding, now_s: float) -> None:
        """Given up, and why: a row, no refusal. The person is told what would help."""
        self._show(finding.hint)
        if now_s - self._refused_s.get(finding.reason, -SAME_UNCLEAR_S) >= SAME_UNCLEAR_S:
            self._refused_s[finding.reason] = now_s
            row = denied(AccessRefused(Credential.FACE, Denial.UNCLEAR.value, None, _said(finding)))
            self._desk.write(replace(row, priority=Priority.LOW))

    def _refuse(
        self, finding: Finding, reason: Denial, person_id: str | None, now_s: float, *, receipt: bool = True
    ) -> None:
        who = person_id or f"{reason.value} {finding.track}"  # two strangers at once are two
        self._refused_s = {one: s for one, s in self._refused_s.items() if now_s - s < SAME_WATCHED_S}
        told = now_s - self._refused_s.get(who, -SAME_STRANGER_S) >= SAME_STRANGER_S
        # A face that opens with somebody's phone alone is counted as well: who tries again and again may be a stranger.
        counts = reason in {Denial.CREDENTIAL_NOT_FOUND, Denial.SPOOF, Denial.SECOND_FACTOR_MISSING}
        if told:
            self._refused_s[who] = now_s
        if told or counts:  # every look that was refused counts, also the one that needs no row of its own
            said = _said(finding) if receipt else {}
            refused = AccessRefused(
                Credential.FACE, reason.value, person_id, said, counts_for_lockout=counts, told=told
            )
            self._desk.step(refused, now_s)
            self._show(finding.hint)

    def _show(self, hint: str | None) -> None:
        if hint in _HINTS:
            self._desk.hint(_HINTS[hint])


def _said(finding: Finding) -> dict[str, Json]:
    decided_ms = round((finding.decided_at_s - finding.first_frame_at_s) * 1000)
    said: dict[str, Json] = {
        "verdict": finding.verdict.value,
        "frames": finding.frames,
        "decided_ms": decided_ms,
        "receipt": dict(finding.receipt),
    }
    return said | ({"seen_before": finding.seen_before} if finding.verdict is FindingKind.STRANGER else {})
