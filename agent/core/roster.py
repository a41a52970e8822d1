"""Who belongs to a door: people, their credentials, groups, hours, validity and consent. Parsed and checked once.

NO CONSENT RECORD, NO FACE: a Person with a face and without a lawful consent record cannot be made; a roster that lists
one is read without that face, and says for whom. Face vectors are not here, only the ids of their templates. Names stay
on the device: nothing of this module is ever a row or a message by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final

from agent.core.bounded import (
    BadValueError,
    Rejected,
    base64_bytes,
    enum,
    flag,
    integer,
    optional,
    part,
    rows,
    text,
    word,
    written,
)
from agent.core.schedule import ALWAYS, Calendar, Schedule, UnlockHours, holidays, schedules, unlock_hours

VERSION: Final = 1
MAX_PERSONS: Final = 20_000
MAX_FACES: Final = 5  # of an enrolment
MAX_TEMPLATES: Final = MAX_FACES + 1  # and what a confirmed visit taught, which takes no picture's place
LEARNT: Final = "u-"  # how the id of that template begins
MAX_PHONES: Final = 5
FACE_PURPOSE: Final = "face-at-the-door"  # enrolled at one door, and never leaves it
SITE_PURPOSE: Final = "face-at-all-doors"  # a consent of its own: the server may hand the templates to the site's doors
WATCH_PURPOSE: Final = "watch-list"  # no consent: a record that the operator put somebody on it, on a legal basis
_Id = Annotated[str, text(128)]
_Utc = Annotated[int, integer(0, 2**40)]  # seconds since 1970 UTC
_UtcOrNone = Annotated[int | None, optional(integer(0, 2**40))]


class PersonKind(StrEnum):
    """What somebody is to the house. Residents never depend on the clock or on the server."""

    RESIDENT = "resident"
    STAFF = "staff"
    VISITOR = "visitor"
    CONTRACTOR = "contractor"
    WATCHED = "watched"  # on the watch-list: never let in, only told of


@dataclass(frozen=True, slots=True)
class Consent:
    """That somebody agreed to be recognised, for what, and when. Under 14 a guardian agreed: `guardian` says who."""

    purpose: Annotated[str, word(FACE_PURPOSE, SITE_PURPOSE, WATCH_PURPOSE)]
    given_utc_s: _Utc
    under_14: Annotated[bool, flag]
    guardian: Annotated[str | None, optional(text(200))]
    withdrawn_utc_s: _UtcOrNone = None

    @property
    def lawful(self) -> bool:
        """Whether a face may be kept for it."""
        return self.withdrawn_utc_s is None and (not self.under_14 or bool((self.guardian or "").strip()))


@dataclass(frozen=True, slots=True)
class FaceTemplate:
    """A template kept elsewhere; comparable only to templates of the same network and alignment."""

    template_id: _Id
    model_id: _Id
    alignment_id: _Id

    @property
    def learnt(self) -> bool:
        """Of a visit that face and phone confirmed, not of the enrolment."""
        return self.template_id.startswith(LEARNT)


@dataclass(frozen=True, slots=True)
class PhoneKey:
    """The public half of a phone's key (P-256, SubjectPublicKeyInfo)."""

    key_id: _Id
    public_key: Annotated[bytes, base64_bytes(128)]
    enabled: Annotated[bool, flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person. `schedules` are ids; empty means no door at any time. `second_factor`: a face alone never opens."""

    id: Annotated[str, text(128)]
    name: Annotated[str, text(200)] = ""
    kind: Annotated[PersonKind, enum(PersonKind)] = PersonKind.RESIDENT
    enabled: Annotated[bool, flag] = True
    groups: Annotated[tuple[str, ...], rows(text(64), 32)] = ()
    schedules: Annotated[tuple[str, ...], rows(text(64), 16)] = (ALWAYS,)
    valid_from_utc_s: _UtcOrNone = None
    valid_until_utc_s: _UtcOrNone = None
    extended_release: Annotated[bool, flag] = False
    second_factor: Annotated[bool, flag] = False
    consent: Annotated[Consent | None, optional(part(Consent))] = None
    faces: Annotated[tuple[FaceTemplate, ...], rows(part(FaceTemplate), MAX_TEMPLATES)] = ()
    phones: Annotated[tuple[PhoneKey, ...], rows(part(PhoneKey), MAX_PHONES)] = ()

    def __post_init__(self) -> None:
        """No consent record, no face."""
        watched = self.consent is not None and self.consent.purpose == WATCH_PURPOSE
        fits = self.consent is not None and self.consent.lawful and watched is (self.kind is PersonKind.WATCHED)
        if self.faces and not fits:
            raise ValueError(
                f"{self.id}: has a face but no consent record that allows one; record the consent (with a guardian for "
                "somebody under 14) before enrolling the face"
            )


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody at one epoch.

    `faults`: what of a store could not be read (roster_stored.py), by the person's id, or "" for the site's hours.
    """

    epoch: int
    persons: Mapping[str, Person]
    calendar: Calendar
    unlock_hours: tuple[UnlockHours, ...] = ()
    managed: frozenset[str] = frozenset()  # people whom the server keeps
    revoked: frozenset[str] = frozenset()  # visitor passes, by id
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The JSON shape of a whole roster."""

    v: Annotated[int, integer(VERSION, VERSION)]
    epoch: Annotated[int, integer(0, 2**53 - 1)]
    schedules: Annotated[tuple[Schedule, ...], schedules]
    holidays: Annotated[tuple[str, ...], holidays]
    unlock_hours: Annotated[tuple[UnlockHours, ...], unlock_hours]
    persons: Annotated[tuple[Mapping[str, Any], ...], rows(lambda value: value, MAX_PERSONS)]


def parse(value: object) -> Roster | Rejected:
    """A roster from its JSON object, or the first thing wrong with it. All or nothing."""
    try:
        shape: _Snapshot = part(_Snapshot)(value)
        calendar = calendar_of(shape.schedules, shape.holidays, shape.unlock_hours)
        found = _persons(shape.persons, calendar)
    except BadValueError as error:
        return Rejected(f"roster: {error}")
    return Roster(shape.epoch, MappingProxyType(found), calendar, shape.unlock_hours)


def merged(sent: Person, before: Person | None, here: Person | None, withdrawn_utc_s: int | None) -> Person:
    """The server's word on a person together with what only this door knows.

    `before` is what the server said last, `here` what the door has. The door keeps the name, and faces and consent that
    were given at the door; `withdrawn_utc_s`: a consent given up to then no longer holds, whatever the server says.
    """
    theirs = {face.template_id for face in (*sent.faces, *(before.faces if before else ()))}
    own = tuple(face for face in here.faces if face.template_id not in theirs) if here else ()
    consent = sent.consent or (here.consent if here else None)
    consent = _still_withdrawn(consent, withdrawn_utc_s)
    learnt = tuple(face for face in own if face.learnt)[:1]
    enrolled = (*sent.faces, *(face for face in own if not face.learnt))[:MAX_FACES]
    faces = (*enrolled, *learnt) if consent is not None and consent.lawful else ()
    name = sent.name or (here.name if here else "")
    return replace(sent, name=name, consent=consent, faces=faces)


def with_withdrawal(person: Person, before: Person | None, withdrawn_utc_s: int | None) -> Person:
    """A person as somebody writes her down, where a consent that was withdrawn stays withdrawn until a newer one.

    `before` is what is known of her, `withdrawn_utc_s` when a consent of hers was last withdrawn.
    """
    consent, known = person.consent, before.consent if before is not None else None
    if consent is None and known is not None and known.withdrawn_utc_s is not None:
        consent = known
    times = [at for at in (withdrawn_utc_s, known.withdrawn_utc_s if known is not None else None) if at is not None]
    consent = _still_withdrawn(consent, max(times, default=None))
    return replace(person, consent=consent, faces=person.faces if consent is not None and consent.lawful else ())


def _still_withdrawn(consent: Consent | None, withdrawn_utc_s: int | None) -> Consent | None:
    """A consent given up to a withdrawal does not hold."""
    if consent is None or withdrawn_utc_s is None or consent.given_utc_s > withdrawn_utc_s:
        return consent
    return replace(consent, withdrawn_utc_s=consent.withdrawn_utc_s or withdrawn_utc_s)


def parse_person(value: object) -> Person | Rejected:
    """One person from the JSON object that `person_json` makes. A face without lawful consent is left out."""
    try:
        return _person(value)
    except BadValueError as error:
        return Rejected(f"person: {error}")


def person_json(person: Person) -> dict[str, Any]:
    """JSON-shaped; `parse_person` reads it back as an equal person."""
    shape: dict[str, Any] = written(person)
    return shape


def _person(value: object) -> Person:
    if not isinstance(value, dict):
        raise BadValueError("must be an object")
    consent: Consent | None = optional(part(Consent))(value.get("consent"))
    watched = value.get("kind") == PersonKind.WATCHED
    lawful = consent is not None and consent.lawful and (consent.purpose == WATCH_PURPOSE) is watched
    read: Person = part(Person)(value if lawful else {**value, "faces": []})
    return read


def _persons(values: tuple[object, ...], calendar: Calendar) -> dict[str, Person]:
    found: dict[str, Person] = {}
    taken: set[str] = set()
    for number, value in enumerate(values):
        try:
            person = _person(value)
            _check_refs(person, calendar, taken)
        except BadValueError as error:
            raise BadValueError(f"persons[{number}] {error}") from None
        found[person.id] = person
    return found


def _check_refs(person: Person, calendar: Calendar, taken: set[str]) -> None:
    """Every schedule exists; no id, template or phone key is there twice."""
    if not person.id:
        raise BadValueError("id is empty")
    for schedule_id in person.schedules:
        if schedule_id != ALWAYS and schedule_id not in calendar.schedules:
            raise BadValueError(f"schedules names {schedule_id}, which is not in this roster")
    faces = (f"face {face.template_id}" for face in person.faces)
    phones = (f"phone {phone.key_id}" for phone in person.phones)
    for one in (f"id {person.id}", *faces, *phones):
        if one in taken:
            raise BadValueError(f"{one} is there twice")
        taken.add(one)


def calendar_of(found: tuple[Schedule, ...], days: tuple[str, ...], hours: tuple[UnlockHours, ...]) -> Calendar:
    """The site's calendar. Raises BadValueError for two schedules of one id, and for unlock hours of none."""
    by_id = {schedule.id: schedule for schedule in found}
    if len(by_id) != len(found) or ALWAYS in by_id:
        raise BadValueError(f"schedules must have different ids, none of them {ALWAYS}")
    for one in hours:
        if one.schedule not in by_id:
            raise BadValueError(f"unlock_hours names {one.schedule}, which is not in this roster")
    return Calendar(by_id, frozenset(days))
