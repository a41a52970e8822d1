"""What an import would change of a roster, for people to read and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.core.roster import Person, Roster
    from agent.residents import Residents


def with_withdrawals(residents: Residents, found: Roster) -> tuple[Roster, dict[str, str]]:
    """The roster as it will stand: an older consent of the file does not undo a withdrawal; and whose that are, why."""
    from agent.core.roster import with_withdrawal

    persons, said = {}, {}
    for one in found.persons.values():
        at_utc_s = residents.store.withdrawn_utc_s(one.id)
        persons[one.id] = stands = with_withdrawal(one, residents.person(one.id), at_utc_s)
        if stands.consent != one.consent and one.consent is not None and stands.consent is not None:
            day = datetime.fromtimestamp(stands.consent.withdrawn_utc_s or 0, UTC).date()
            said[one.id] = (
                f"consent was withdrawn ({day}), the one in the file is older and does not count; a new one needs its "
                "date, with the hour if it is of the same day"
            )
    return replace(found, persons=persons), said


def difference_of(before: Roster, after: Roster) -> dict[str, Any]:
    """JSON-shaped: ids added, removed, changed (with the fields), whose faces go, and which hours differ."""
    old, new = before.persons, after.persons
    stay = [i for i in new if i in old]
    changed = {i: _changed(old[i], new[i]) for i in stay}
    hours = {
        "schedules": before.calendar.schedules != after.calendar.schedules,
        "holidays": before.calendar.holidays != after.calendar.holidays,
        "unlock_hours": before.unlock_hours != after.unlock_hours,
    }
    return {
        "added": [i for i in new if i not in old],
        "removed": [i for i in old if i not in new],
        "changed": {i: names for i, names in changed.items() if names},
        "faces_forgotten": [i for i in stay if old[i].faces and not new[i].faces],
        "site": [name for name, differs in hours.items() if differs],
    }


def _changed(old: Person, new: Person) -> list[str]:
    names = [one.name for one in fields(old) if one.name != "faces"]
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def lines(difference: dict[str, Any], before: Roster, after: Roster) -> Iterator[str]:
    """One for each person and each kind of hours that differs."""
    yield from (f"+ {i} {after.persons[i].name}" for i in difference["added"])
    for i in difference["removed"]:
        yield f"- {i} {before.persons[i].name} ({templates(before.persons[i])})"
    for i, names in difference["changed"].items():
        yield f"~ {i} {after.persons[i].name}: {', '.join(names)}"
    for i in difference["faces_forgotten"]:
        yield f"! {i}: {templates(before.persons[i])} forgotten, no consent allows it"
    yield from (f"~ {name}" for name in difference["site"])


def templates(person: Person) -> str:
    """How many, in words."""
    return f"{len(person.faces)} face template{'' if len(person.faces) == 1 else 's'}"
