"""One decision, one reason; the written policies for a clock that is not trusted and a server that is not heard."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agent.core.access import Denial, Denied, Granted, Moment, MoreNeeded, Rules, decide
from agent.core.events import Credential
from agent.core.roster import Consent, FaceTemplate, Person, PersonKind, PhoneKey
from agent.core.schedule import DAYS, Calendar, Schedule, Window

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
NOON_UTC_S = int(MONDAY_NOON.timestamp())
NOW = Moment(MONDAY_NOON, server_silent_s=60.0)
NO_CLOCK = Moment(None, server_silent_s=60.0)
OFFICE = Schedule("office", (Window(DAYS[:5], 8 * 60, 18 * 60),))
NIGHT = Schedule("night", (Window(DAYS, 22 * 60, 6 * 60),))
RULES = Rules(Calendar({"office": OFFICE, "night": NIGHT}))
HIGH = replace(RULES, high_security=True)
RESIDENT = Person(
    id="p1",
    consent=Consent("face-at-the-door", 1, under_14=False, guardian=None),
    faces=(FaceTemplate("t", "m", "a"),),
    phones=(PhoneKey("k", b"", enabled=True),),
)
VISITOR = replace(
    RESIDENT, kind=PersonKind.VISITOR, valid_from_utc_s=NOON_UTC_S - 3600, valid_until_utc_s=NOON_UTC_S + 3600
)


def reason(person: Person | None, moment: Moment = NOW, credential: Credential = Credential.FACE, **more: object):
    outcome = decide(person, credential, RULES, moment, **more)  # type: ignore[arg-type]  keywords of decide
    return outcome.reason if isinstance(outcome, Denied) else outcome


GRANTED = Granted("p1")


def test_a_resident_is_let_in_by_face_and_by_phone_whatever_the_clock_and_the_server_do():
    for credential, moment in itertools.product(
        (Credential.FACE, Credential.PHONE, Credential.FACE_AND_PHONE), (NOW, NO_CLOCK, Moment(None))
    ):
        assert decide(RESIDENT, credential, RULES, moment) == GRANTED


@pytest.mark.parametrize(
    ("person", "moment", "expected"),
    [
        (None, NOW, Denial.CREDENTIAL_NOT_FOUND),
        (replace(RESIDENT, enabled=False), NOW, Denial.CREDENTIAL_NOT_ENABLED),
        (replace(RESIDENT, faces=()), NOW, Denial.CREDENTIAL_NOT_ENABLED),
        (replace(RESIDENT, schedules=()), NOW, Denial.UNAUTHORIZED),
        (replace(RESIDENT, schedules=("night",)), NOW, Denial.NOT_PERMITTED_AT_THIS_TIME),
        (replace(RESIDENT, schedules=("night", "office")), NOW, GRANTED),
        (replace(RESIDENT, extended_release=True), NOW, Granted("p1", extended=True)),
        (replace(RESIDENT, valid_until_utc_s=NOON_UTC_S), NOW, Denial.CREDENTIAL_EXPIRED),
        (replace(RESIDENT, valid_from_utc_s=NOON_UTC_S + 1), NOW, Denial.CREDENTIAL_NOT_ACTIVE),
        (VISITOR, NOW, GRANTED),
        (VISITOR, replace(NOW, local=MONDAY_NOON - timedelta(hours=2)), Denial.CREDENTIAL_NOT_ACTIVE),
        (VISITOR, replace(NOW, local=MONDAY_NOON + timedelta(hours=1)), Denial.CREDENTIAL_EXPIRED),
    ],
)
def test_each_refusal_has_its_own_reason(person: Person | None, moment: Moment, expected: object):
    assert reason(person, moment) == expected


@pytest.mark.parametrize("kind", [PersonKind.STAFF, PersonKind.VISITOR, PersonKind.CONTRACTOR])
def test_without_a_trusted_clock_only_residents_pass_hours_and_dates_unjudged(kind: PersonKind):
    for changes in ({"schedules": ("office",)}, {"valid_until_utc_s": NOON_UTC_S}, {"valid_from_utc_s": 5}):
        assert reason(replace(RESIDENT, **changes), NO_CLOCK) == GRANTED
        assert reason(replace(RESIDENT, kind=kind, **changes), NO_CLOCK) == Denial.CLOCK_NOT_TRUSTED
    assert reason(replace(RESIDENT, kind=kind), NO_CLOCK) == GRANTED


def test_a_time_known_to_have_passed_expires_people_even_without_a_clock():
    gone = replace(NO_CLOCK, floor_utc_s=NOON_UTC_S + 3600)
    assert reason(VISITOR, gone) == Denial.CREDENTIAL_EXPIRED
    assert reason(replace(RESIDENT, valid_until_utc_s=NOON_UTC_S), gone) == Denial.CREDENTIAL_EXPIRED


def test_a_clock_behind_the_floor_does_not_bring_an_expired_pass_back():
    back = Moment(MONDAY_NOON, floor_utc_s=NOON_UTC_S + 3600, server_silent_s=0.0)
    assert reason(VISITOR, back) == Denial.CREDENTIAL_EXPIRED


@pytest.mark.parametrize("silent_s", [None, 72 * 3600.0 + 1])
def test_visitors_and_contractors_lapse_when_the_server_is_silent_too_long_and_nobody_else(silent_s: float | None):
    moment = Moment(MONDAY_NOON, server_silent_s=silent_s)
    admitted = set(PersonKind) - {PersonKind.WATCHED}  # never let in anyway, and has no consent
    lapsed = {kind for kind in admitted if reason(replace(VISITOR, kind=kind), moment) == Denial.LEASE_LAPSED}
    assert lapsed == {PersonKind.VISITOR, PersonKind.CONTRACTOR}
    alone = replace(RULES, lease_s=None)
    assert decide(VISITOR, Credential.FACE, alone, moment) == GRANTED


def test_the_last_second_of_a_lease_counts():
    assert reason(VISITOR, replace(NOW, server_silent_s=72 * 3600.0)) == GRANTED


@pytest.mark.parametrize("refusal", ["LockedDown", "Blocked", "LockedOut", "Fault"])
def test_what_the_door_itself_refuses_is_refused_in_its_words(refusal: str):
    assert reason(RESIDENT, door_refusal=refusal) == Denial(refusal)
    assert reason(None, door_refusal=refusal) == Denial.CREDENTIAL_NOT_FOUND


@pytest.mark.parametrize(
    ("rules", "person", "credential", "in_doubt", "expected"),
    [
        (RULES, RESIDENT, Credential.FACE, True, MoreNeeded("p1", Credential.PHONE)),
        (RULES, RESIDENT, Credential.PHONE, True, GRANTED),
        (RULES, RESIDENT, Credential.FACE_AND_PHONE, True, GRANTED),
        (RULES, replace(RESIDENT, second_factor=True), Credential.FACE, False, MoreNeeded("p1", Credential.PHONE)),
        (RULES, replace(RESIDENT, second_factor=True), Credential.PHONE, False, GRANTED),
        (HIGH, RESIDENT, Credential.FACE, False, MoreNeeded("p1", Credential.PHONE)),
        (HIGH, RESIDENT, Credential.PHONE, False, MoreNeeded("p1", Credential.FACE)),
        (HIGH, RESIDENT, Credential.FACE_AND_PHONE, False, GRANTED),
        (HIGH, VISITOR, Credential.VISITOR_PASS, False, Denied(Denial.UNAUTHORIZED)),
        (RULES, VISITOR, Credential.VISITOR_PASS, False, GRANTED),
    ],
)
def test_a_second_factor_is_asked_for_where_one_is_not_enough(
    *,
    rules: Rules,
    person: Person,
    credential: Credential,
    in_doubt: bool,
    expected: object,
):
    assert decide(person, credential, rules, NOW, face_in_doubt=in_doubt) == expected


def test_a_lockout_stops_what_the_face_alone_would_open_and_nothing_that_waits_for_a_phone():
    """At a high-security door strangers could otherwise keep everybody out, five refusals at a time."""
    out = {"door_refusal": "LockedOut"}
    assert decide(RESIDENT, Credential.FACE, RULES, NOW, **out) == Denied(Denial.LOCKED_OUT)
    assert decide(RESIDENT, Credential.FACE, HIGH, NOW, **out) == MoreNeeded("p1", Credential.PHONE)
    assert decide(RESIDENT, Credential.FACE, RULES, NOW, face_in_doubt=True, **out) == MoreNeeded(
        "p1", Credential.PHONE
    )
    assert decide(replace(RESIDENT, enabled=False), Credential.FACE, HIGH, NOW, **out) == Denied(
        Denial.CREDENTIAL_NOT_ENABLED
    )


def test_a_phone_that_was_switched_off_opens_nothing():
    off = replace(RESIDENT, phones=(PhoneKey("k", b"", enabled=False),))
    assert reason(off, credential=Credential.PHONE) == Denial.CREDENTIAL_NOT_ENABLED
    assert reason(off, credential=Credential.FACE_AND_PHONE) == Denial.CREDENTIAL_NOT_ENABLED
    assert reason(off) == GRANTED
