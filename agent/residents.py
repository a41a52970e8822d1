"""The door's own people as its store has them: read whole once, then only what changed; and changed through here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from agent.core.bounded import Rejected
from agent.core.roster import VERSION, Person, PersonKind, Roster, person_json
from agent.core.roster_feed import PERSON, REVOKED
from agent.core.roster_stored import assembled
from agent.directory import Directory, view_of
from agent.errors import StoreError
from agent.roster.changes import NewFace, RosterChanges, consent_now, hours_json
from agent.roster.store import Look, RosterStore, StoredTemplate

__all__ = ["NewFace", "Residents", "consent_now", "forget_expired", "forget_watched", "hours_json"]


class Residents(Directory, RosterChanges):
    """Used by one thread. What is changed here is read again at once; `changed` reads what another process did.

    `known`: what was read of the same file before, on any thread, so that it need not be read again. An entry that
    cannot be read is left out and named in `roster.faults`; everybody else stands.

    Raises:
        StoreError: not one entry opens: the key is another one.
    """

    def __init__(self, store: RosterStore, known: Residents | None = None) -> None:
        Directory.__init__(self, known.view if known else None)
        RosterChanges.__init__(self, store)
        # of each row: as it is sealed, and what was read of it
        self.entries: dict[str, tuple[str, Person | Rejected]] = known.entries if known else {}
        self._version = -1
        self._read()

    @property
    def store(self) -> RosterStore:
        """The file."""
        return self._store

    def changed(self) -> bool:
        """Read what is new, if another process or thread changed the store. True when the roster is another one."""
        if self._store.data_version() == self._version and self._store.epoch == self.roster.epoch:
            return False
        epoch = self.roster.epoch
        self._read()
        return self.roster.epoch != epoch

    def replace(self, roster: Roster) -> None:
        """`replace_all`, of the roster that was read."""
        self.replace_all(roster, self.roster.epoch)

    def templates(
        self, model_id: str, alignment_id: str, people: Collection[str], unreadable: set[str]
    ) -> Iterator[StoredTemplate]:
        """Opened templates of these people; of whom one does not open, the id is added to `unreadable`."""
        return self._store.templates(model_id, alignment_id, people, unreadable)

    def snapshot(self) -> dict[str, Any]:
        """What was read, in the shape that core/roster.py's parse takes."""
        roster = self.roster
        persons = [person_json(person) for person in roster.persons.values()]
        return {"v": VERSION, **hours_json(roster), "epoch": roster.epoch, "persons": persons}

    def _changed(self) -> None:
        self._read()

    def _read(self) -> None:
        self._version = self._store.data_version()  # before the look: a change in between is seen the next time
        look = self._store.look()
        kept = self._store.managed()
        roster = replace(self._assembled(look), managed=kept[PERSON], revoked=kept[REVOKED])
        if roster != self.roster:
            self.view = view_of(roster, self.view)

    def _assembled(self, look: Look) -> Roster:
        self.entries = {person_id: (sealed, self._one(person_id, sealed)) for person_id, sealed in look.rows}
        read = [(person_id, one) for person_id, (_, one) in self.entries.items()]
        if read and all(isinstance(one, Rejected) for _, one in read) and not any(map(self._opens, look.rows)):
            self._store.opened(*look.rows[0])  # says what is wrong: not one of them opens
        try:
            hours = json.loads(look.hours)
        except ValueError:
            hours = None
        return assembled(look.epoch, hours, read)

    def _opens(self, row: tuple[str, str]) -> bool:
        try:
            self._store.opened(*row)
        except StoreError:
            return False
        except ValueError:
            pass
        return True

    def _one(self, person_id: str, sealed: str) -> Person | Rejected:
        before = self.entries.get(person_id)
        return before[1] if before is not None and before[0] == sealed else self._store.read(person_id, sealed)


def forget_expired(residents: Residents, sure_utc_s: float, keep_days: int) -> None:
    """Forget the door's own people whose validity ended `keep_days` before a wall time that has passed for sure."""
    over_s = sure_utc_s - keep_days * 86_400
    for person in list(residents.roster.persons.values()):
        over = person.valid_until_utc_s is not None and person.valid_until_utc_s <= over_s
        if over and person.id not in residents.roster.managed:
            residents.remove(person.id)


def forget_watched(residents: Residents) -> None:
    """Without a legal basis there is no watch-list: whoever is on it is forgotten."""
    for person in list(residents.roster.persons.values()):
        if person.kind is PersonKind.WATCHED:
            residents.forget(person.id)
