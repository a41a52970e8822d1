"""Who may come in: decide(...) -> Granted | MoreNeeded | Denied(reason).

The policy for a clock that cannot be trusted (a Pi has no battery): residents are let in, whatever their hours, so that
nobody of the house stands outside because a clock is wrong; everybody else needs the hour to be known, unless their
hours are "always" and they have no validity. A time known to have passed (the floor) still expires people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.core.events import Credential
from agent.core.roster import Person, PersonKind
from agent.core.schedule import Calendar


class Denial(StrEnum):
    """Why somebody is not let in: ONVIF's DenyReason words where it has one, then ours."""

    CREDENTIAL_NOT_FOUND = "CredentialNotFound"  # nobody's: a stranger, an unknown phone
    CREDENTIAL_NOT_ENABLED = "CredentialNotEnabled"
    CREDENTIAL_NOT_ACTIVE = "CredentialNotActive"  # not valid yet
    CREDENTIAL_EXPIRED = "CredentialExpired"
    NOT_PERMITTED_AT_THIS_TIME = "NotPermittedAtThisTime"
    UNAUTHORIZED = "Unauthorized"  # known, but not for this door or not in this way
    CLOCK_NOT_TRUSTED = "ClockNotTrusted"
    LEASE_LAPSED = "LeaseLapsed"  # the server was not heard for too long to believe in a visitor
    SECOND_FACTOR_MISSING = "SecondFactorMissing"
    SPOOF = "Spoof"  # a print or a screen
    TOO_LATE = "TooLate"  # seen too long ago: whoever it was may have gone
    UNCLEAR = "Unclear"  # no view good enough to decide on
    LOCKED_DOWN = "LockedDown"
    BLOCKED = "Blocked"
    LOCKED_OUT = "LockedOut"
    FAULT = "Fault"


@dataclass(frozen=True, slots=True)
class Rules:
    """What this door asks for. `lease_s` None: there is no server, nobody lapses."""

    calendar: Calendar
    high_security: bool = False  # face and phone together, whoever it is
    lease_s: float | None = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of the time. `local` is None when the clock is not trusted.

    `floor_utc_s` is a wall time known to have passed; `server_silent_s` how long ago the server was heard, None for
    not known.
    """

    local: datetime | None
    floor_utc_s: int = 0
    server_silent_s: float | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """Let this person in, for the extended time if they need it."""

    person_id: str
    extended: bool = False


@dataclass(frozen=True, slots=True)
class MoreNeeded:
    """Right so far, but it opens nothing until this credential of the same person comes too."""

    person_id: str
    credential: Credential


@dataclass(frozen=True, slots=True)
class Denied:
    """Not let in, for this one reason."""

    reason: Denial


def decide(
    person: Person | None,
    credential: Credential,
    rules: Rules,
    moment: Moment,
    *,
    door_refusal: str | None = None,
    face_in_doubt: bool = False,
) -> Granted | MoreNeeded | Denied:
    """Decide on somebody who presented a credential that is already proven to be theirs.

    `door_refusal` is door.grant_refusal(state, credential): the mode, a lockout or a fault of the door itself. A
    lockout stops what would open by the face alone; a face that has to wait for its phone goes on.
    `face_in_doubt`: the match asks for the phone too (a look-alike, or a grey-zone distance).
    """
    if person is None or person.kind is PersonKind.WATCHED:  # outside, and at the door no different from a stranger
        return Denied(Denial.CREDENTIAL_NOT_FOUND)
    door = _door(door_refusal)
    reason = (
        (None if door is Denial.LOCKED_OUT else door)
        or _not_enabled(person, credential)
        or _not_valid(person, moment)
        or _lapsed(person, rules, moment)
        or _not_now(person, rules, moment)
    )
    if reason is not None:
        return Denied(reason)
    answer = _second_factor(person, credential, rules, face_in_doubt=face_in_doubt)
    return Denied(Denial.LOCKED_OUT) if door is Denial.LOCKED_OUT and isinstance(answer, Granted) else answer


def _door(refusal: str | None) -> Denial | None:
    if refusal is None:
        return None
    return Denial(refusal) if refusal in set(Denial) else Denial.FAULT


def _not_enabled(person: Person, credential: Credential) -> Denial | None:
    """The person is switched off, or no longer has what was presented (a consent withdrawn a moment ago)."""
    has_face = bool(person.faces)
    has_phone = any(phone.enabled for phone in person.phones)
    has = {
        Credential.FACE: has_face,
        Credential.PHONE: has_phone,
        Credential.FACE_AND_PHONE: has_face and has_phone,
    }
    return None if person.enabled and has.get(credential, True) else Denial.CREDENTIAL_NOT_ENABLED


def _not_valid(person: Person, moment: Moment) -> Denial | None:
    from_s, until_s = person.valid_from_utc_s, person.valid_until_utc_s
    now_s = moment.floor_utc_s if moment.local is None else max(moment.floor_utc_s, moment.local.timestamp())
    if until_s is not None and now_s >= until_s:
        return Denial.CREDENTIAL_EXPIRED
    if moment.local is None:
        dated = from_s is not None or until_s is not None
        return Denial.CLOCK_NOT_TRUSTED if dated and person.kind is not PersonKind.RESIDENT else None
    return Denial.CREDENTIAL_NOT_ACTIVE if from_s is not None and now_s < from_s else None


def _lapsed(person: Person, rules: Rules, moment: Moment) -> Denial | None:
    """Visitors and contractors lapse when a revocation could not have reached the door; residents never do."""
    if person.kind not in {PersonKind.VISITOR, PersonKind.CONTRACTOR}:
        return None
    return Denial.LEASE_LAPSED if lapsed(rules, moment) else None


def lapsed(rules: Rules, moment: Moment) -> bool:
    """Whether the server's last fresh word is older than the lease, or not known."""
    silent_s = moment.server_silent_s
    return rules.lease_s is not None and (silent_s is None or silent_s > rules.lease_s)


def _not_now(person: Person, rules: Rules, moment: Moment) -> Denial | None:
    if not person.schedules:
        return Denial.UNAUTHORIZED
    if any(rules.calendar.allows(schedule, moment.local) for schedule in person.schedules):
        return None
    if moment.local is not None:
        return Denial.NOT_PERMITTED_AT_THIS_TIME
    return None if person.kind is PersonKind.RESIDENT else Denial.CLOCK_NOT_TRUSTED


def _second_factor(
    person: Person, credential: Credential, rules: Rules, *, face_in_doubt: bool
) -> Granted | MoreNeeded | Denied:
    granted = Granted(person.id, person.extended_release)
    match credential:
        case Credential.FACE if rules.high_security or person.second_factor or face_in_doubt:
            return MoreNeeded(person.id, Credential.PHONE)
        case Credential.PHONE if rules.high_security:
            return MoreNeeded(person.id, Credential.FACE)
        case Credential.VISITOR_PASS if rules.high_security:
            return Denied(Denial.UNAUTHORIZED)
        case _:
            return granted
