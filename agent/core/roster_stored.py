"""A roster from what a store holds, entry by entry: one bad entry is left out and named, everybody else stands.

`roster.parse` refuses a whole roster that somebody hands in. Here it is stored already: refusing all of it would take
everybody's way in for the fault of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated

from agent.core.bounded import BadValueError, Rejected, part
from agent.core.roster import MAX_FACES, Person, Roster, calendar_of, parse_person, person_json
from agent.core.schedule import ALWAYS, Calendar, Schedule, UnlockHours, holidays, schedules, unlock_hours


@dataclass(frozen=True, slots=True)
class _Hours:
    """The JSON shape of the site's hours."""

    schedules: Annotated[tuple[Schedule, ...], schedules]
    holidays: Annotated[tuple[str, ...], holidays]
    unlock_hours: Annotated[tuple[UnlockHours, ...], unlock_hours]


def checked(person: Person) -> Rejected | None:
    """Why a store may not keep this person: she would not be read back, or not the same; None when she would."""
    found = parse_person(person_json(person))
    if isinstance(found, Rejected):
        return found
    ids = [one.template_id for one in person.faces] + [one.key_id for one in person.phones]
    if not person.id or len(set(ids)) < len(ids):
        return Rejected("person: id is empty" if not person.id else "person: a face or a phone is there twice")
    learnt = sum(face.learnt for face in person.faces)
    if learnt > 1 or len(person.faces) - learnt > MAX_FACES:
        return Rejected(f"person: faces must be at most {MAX_FACES} of an enrolment and one learnt")
    return None if found == person else Rejected("person: would not be read back as it is")


def read_hours(value: object) -> tuple[Calendar, tuple[UnlockHours, ...]]:
    """Schedules, holidays and unlock hours from their JSON object. Raises BadValueError."""
    shape: _Hours = part(_Hours)(value)
    return calendar_of(shape.schedules, shape.holidays, shape.unlock_hours), shape.unlock_hours


def assembled(epoch: int, hours: object, people: Iterable[tuple[str, Person | Rejected]]) -> Roster:
    """Everybody who could be read, `faults` for the rest. `people`: id of the entry, and what was read of it."""
    calendar, unlocked, faults = _hours_or_none(hours)
    found: dict[str, Person] = {}
    taken: set[str] = set()
    for person_id, one in people:
        if isinstance(one, Rejected):
            faults[person_id] = one.reason
            continue
        found[person_id], trouble = _without_conflicts(one, calendar, taken)
        if trouble:
            faults[person_id] = trouble
    return Roster(epoch, MappingProxyType(found), calendar, unlocked, faults=MappingProxyType(faults))


def _hours_or_none(value: object) -> tuple[Calendar, tuple[UnlockHours, ...], dict[str, str]]:
    """Hours that cannot be read are no hours: nothing stands unlocked, and only "always" lets anybody in."""
    try:
        return *read_hours(value), {}
    except BadValueError as error:
        return Calendar(), (), {"": f"hours: {error}"}


def _without_conflicts(person: Person, calendar: Calendar, taken: set[str]) -> tuple[Person, str]:
    """The person less faces and phones that stand with somebody else already, and what is wrong, or "".

    A schedule that is not there stays named: it never holds.
    """
    troubles = [
        f"schedules names {one}, which is not in this roster"
        for one in person.schedules
        if one != ALWAYS and one not in calendar.schedules
    ]
    keys = [f"face {one.template_id}" for one in person.faces] + [f"phone {one.key_id}" for one in person.phones]
    twice = {key for key in keys if key in taken}
    taken.update(keys)
    if twice:
        troubles += [f"{key} is somebody else's already" for key in sorted(twice)]
        faces = tuple(one for one in person.faces if f"face {one.template_id}" not in twice)
        phones = tuple(one for one in person.phones if f"phone {one.key_id}" not in twice)
        person = replace(person, faces=faces, phones=phones)
    return person, "; ".join(troubles)
