"""The last word before a transaction of the roster is kept: could everybody who was written be read again?

An entry that a reader would refuse must not come into being: it would be found out at the next start, by somebody
before a locked door.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from agent.core.bounded import Rejected
from agent.core.roster import MAX_PERSONS, Person
from agent.core.roster_stored import checked
from agent.core.schedule import ALWAYS
from agent.errors import StoreError
from agent.roster.entries import UnfitError

if TYPE_CHECKING:
    from agent.roster.store import RosterStore


class Written:
    """Whom one transaction wrote."""

    def __init__(self) -> None:
        self._people: set[str] = set()
        self._new_phones: set[str] = set()  # key ids

    def add(self, person: Person, before: Person | Rejected | None) -> None:
        """This person is written in place of `before`.

        Raises:
            UnfitError: she could not be read again.
        """
        refused = checked(person)
        if refused is not None:
            raise UnfitError(f"{person.id}: {refused.reason.removeprefix('person: ')}; nothing was stored")
        self._people.add(person.id)
        known = before.phones if isinstance(before, Person) else ()
        self._new_phones |= {phone.key_id for phone in person.phones} - {phone.key_id for phone in known}

    def verify(self, store: RosterStore) -> None:
        """Raises UnfitError where somebody could not be read again beside everybody else."""
        if not self._people:
            return
        if len(store.ids()) > MAX_PERSONS:
            raise UnfitError(f"a roster holds at most {MAX_PERSONS} people; nothing was stored")
        schedules = {ALWAYS, *(one["id"] for one in store.hours()["schedules"])}
        for person_id in self._people:
            person = store.known(person_id)
            if isinstance(person, Person):
                _verify_one(store, person, schedules)
        if self._new_phones:
            self._verify_phones(store, store.look_here().rows)

    def _verify_phones(self, store: RosterStore, rows: list[tuple[str, str]]) -> None:
        """A phone that came to somebody is nobody else's."""
        owners: dict[str, set[str]] = {key_id: set() for key_id in self._new_phones}
        for person_id, sealed in rows:
            with contextlib.suppress(StoreError, ValueError, TypeError, KeyError):  # nobody whom a reader would see
                for phone in store.opened(person_id, sealed)["phones"]:
                    owners.get(phone["key_id"], set()).add(person_id)
        for found in owners.values():
            if len(found) > 1:
                others = sorted(found - self._people) or sorted(found)
                raise UnfitError(f"this phone is registered already, to {others[0]}; see door-agent enroll --list")


def _verify_one(store: RosterStore, person: Person, schedules: Collection[str]) -> None:
    if missing := set(person.schedules) - set(schedules):
        raise UnfitError(f"{person.id}: schedules names {min(missing)}, which is not in this roster")
    if store.template_ids(person.id) != {face.template_id for face in person.faces}:
        raise UnfitError(f"{person.id}: the stored templates are not those of the person; nothing was stored")
