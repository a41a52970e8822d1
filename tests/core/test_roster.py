"""People are parsed and checked once: no consent record, no face; a bad roster is refused with its reason."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.bounded import Rejected
from agent.core.roster import (
    MAX_PERSONS,
    Consent,
    FaceTemplate,
    Person,
    PersonKind,
    PhoneKey,
    Roster,
    parse,
    parse_person,
    person_json,
)

CONSENT = Consent("face-at-the-door", 1_790_000_000, under_14=False, guardian=None)
FACE = FaceTemplate("t1", "reid0095", "five-point")
PHONE = PhoneKey("k1", b"\x04" * 65, enabled=True)
RESIDENT = Person(id="p1", name="Lin", consent=CONSENT, faces=(FACE,), phones=(PHONE,))


def snapshot(*persons: dict[str, Any], **other: Any) -> dict[str, Any]:
    office = {"id": "office", "windows": [{"days": ["mon"], "start_min": 480, "end_min": 1080}]}
    base = {"v": 1, "epoch": 7, "schedules": [office], "holidays": ["2026-10-01"], "unlock_hours": []}
    return base | {"persons": list(persons)} | other


def face_json(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(person_json(RESIDENT)) | changes


def test_a_person_survives_json():
    assert parse_person(json.loads(json.dumps(person_json(RESIDENT)))) == RESIDENT


def test_a_roster_is_read_with_its_people_hours_and_holidays():
    hours = [{"schedule": "office", "first_person_in": True}]
    roster = parse(snapshot(person_json(RESIDENT), unlock_hours=hours))
    assert isinstance(roster, Roster)
    assert roster.epoch == 7
    assert dict(roster.persons) == {"p1": RESIDENT}
    assert roster.calendar.holidays == {"2026-10-01"}
    assert roster.unlock_hours[0].first_person_in


UNLAWFUL = {
    "none": None,
    "withdrawn": {**person_json(RESIDENT)["consent"], "withdrawn_utc_s": 1_790_000_001},
    "a child's without a guardian": {**person_json(RESIDENT)["consent"], "under_14": True},
    "a child's with a blank guardian": {**person_json(RESIDENT)["consent"], "under_14": True, "guardian": "  "},
}


@pytest.mark.parametrize("consent", UNLAWFUL.values(), ids=UNLAWFUL.keys())
def test_no_consent_record_no_face_but_the_phone_stays(consent: dict[str, Any] | None):
    roster = parse(snapshot(face_json(consent=consent)))
    assert isinstance(roster, Roster)
    assert roster.persons["p1"].faces == ()
    assert roster.persons["p1"].phones == (PHONE,)


@pytest.mark.parametrize("consent", UNLAWFUL.values(), ids=UNLAWFUL.keys())
def test_no_code_can_make_a_person_with_a_face_and_no_lawful_consent(consent: dict[str, Any] | None):
    made = Consent(**consent) if consent else None
    with pytest.raises(ValueError, match="record the consent"):
        Person(id="p1", consent=made, faces=(FACE,))


def test_a_child_with_a_guardian_may_have_a_face():
    consent = {**person_json(RESIDENT)["consent"], "under_14": True, "guardian": "p9"}
    person = parse_person(face_json(consent=consent))
    assert isinstance(person, Person)
    assert person.faces == (FACE,)


def test_a_consent_for_something_else_is_no_consent_record():
    consent = {**person_json(RESIDENT)["consent"], "purpose": "marketing"}
    assert parse_person(face_json(consent=consent)) == Rejected(
        "person: purpose must be one of face-at-the-door, face-at-all-doors, watch-list"
    )


BAD = {
    "not an object": [],
    "another version": snapshot(v=2),
    "an unknown key": snapshot(extra=1),
    "a person with an unknown key": snapshot(face_json(admin=True)),
    "a person with a missing key": snapshot({"id": "p1"}),
    'enabled "False" as text': snapshot(face_json(enabled="False")),
    "enabled as a number": snapshot(face_json(enabled=0)),
    "an empty id": snapshot(face_json(id="")),
    "an id without end": snapshot(face_json(id="x" * 129)),
    "the same person twice": snapshot(face_json(), face_json()),
    "one phone of two people": snapshot(face_json(faces=[]), face_json(id="p2", faces=[])),
    "a schedule that is not there": snapshot(face_json(schedules=["pool"])),
    "too many faces": snapshot(face_json(faces=[{**person_json(RESIDENT)["faces"][0]}] * 6)),
    "the same schedule twice": snapshot(schedules=[{"id": "a", "windows": []}] * 2),
    "a schedule named always": snapshot(schedules=[{"id": "always", "windows": []}]),
    "a window of 25 hours": snapshot(
        schedules=[{"id": "a", "windows": [{"days": ["mon"], "start_min": 0, "end_min": 1500}]}]
    ),
    "an unknown day": snapshot(schedules=[{"id": "a", "windows": [{"days": ["Mo"], "start_min": 0, "end_min": 9}]}]),
    "a holiday that is none": snapshot(holidays=["2026-02-30"]),
    "unlock hours that are not there": snapshot(unlock_hours=[{"schedule": "pool", "first_person_in": False}]),
    "unlock hours without end": snapshot(unlock_hours=[{"schedule": "always", "first_person_in": False}]),
    "a validity before time": snapshot(face_json(valid_from_utc_s=-1)),
    "an epoch that is true": snapshot(epoch=True),
    "too many people": snapshot(*[1] * (MAX_PERSONS + 1)),
    "a person who is a number": snapshot(5),
    "a phone key that is not base64": snapshot(
        face_json(phones=[{"key_id": "k", "public_key": "'; DROP TABLE", "enabled": True}])
    ),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_a_bad_roster_is_refused_whole_with_a_reason(value: object):
    refused = parse(value)
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith("roster: ")


def test_the_reason_names_the_person_and_the_key():
    assert parse(snapshot(face_json(), face_json(id="p2", enabled="False"))) == Rejected(
        "roster: persons[1] enabled must be true or false"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(list(snapshot())), st.sampled_from(list(person_json(RESIDENT))))
def test_any_json_anywhere_is_read_or_refused(value: Any, key: str, person_key: str):
    for whole in (value, snapshot(face_json(), **{key: value}), snapshot(face_json(**{person_key: value}))):
        assert isinstance(parse(whole), Roster | Rejected)


@given(
    st.builds(Person, id=st.text(min_size=1, max_size=20), kind=st.sampled_from(PersonKind), name=st.text(max_size=20))
)
def test_whatever_is_written_is_read_back_equal(person: Person):
    assert parse_person(person_json(person)) == person
