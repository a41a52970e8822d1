"""The site's people, hours, doors and visitor passes, as the server keeps them: what each door's roster is made from.

Two SQLite files in one folder: `roster.db`, the same store as on a door (templates sealed at rest), and `site.db`.
Every call opens what it needs, so any thread may call, and so may the command line while the server runs; the server
notices within a second. Names stay here: a door gets ids.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.core.bounded import Rejected, written
from agent.core.journal import canonical
from agent.core.networks import Network
from agent.core.roster import (
    SITE_PURPOSE,
    FaceTemplate,
    Person,
    PersonKind,
    PhoneKey,
    Roster,
    parse,
    parse_person,
    person_json,
)
from agent.core.roster_feed import MAX_BODY_BYTES, PERSON, REVOKED, SITE, WITHDRAWN
from agent.errors import ConfigError
from agent.residents import NewFace, Residents, hours_json
from agent.roster.changes import RosterChanges
from agent.roster.entries import NO_HOURS, UnfitError
from agent.roster.store import RosterStore, StoredTemplate
from deploy.community.door_rosters import Door, DoorRosters

EVERYBODY: Final = "*"
_GUARDIAN: Final = "on record"  # a guardian's name is nobody's business at a door


class People(DoorRosters):
    """See the module's first lines. Raises StoreError for files that cannot be used, ConfigError for a bad request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with self._store():
            pass

    # ------------------------------------------------------------ people and hours

    def roster(self) -> Roster:
        """Everybody and the hours, with names.

        Raises:
            ConfigError: an entry cannot be read. Doors keep what they have until it is mended or removed.
        """
        with self._store() as store:
            found = Residents(store).roster
        for person_id, why in found.faults.items():
            cure = f"`manage remove {person_id}`, then add the person again" if person_id else "`manage hours`"
            raise ConfigError(f"{person_id or 'the hours'}: cannot be read ({why}); {cure}")
        return found

    def change(self) -> tuple[int, int]:
        """Another one after every change that a door might have to hear of; read from what was committed itself.

        So whoever is killed right after a commit has told the doors.
        """
        with self._store() as store:
            return self.site_change(), store.epoch

    def networks(self) -> Mapping[Network, int]:
        """With which face networks how many people are enrolled here."""
        with self._store() as store:
            return Residents(store).view.networks

    def put(self, changes: Mapping[str, Any], *, phone: PhoneKey | None = None, known: bool = False) -> Person:
        """Change or add one person: `id`, and fields of agent/core/roster.py's Person; what is left out stays.

        `phone` joins those that she has at that moment. `known`: only somebody who is there, also if she was removed
        since the caller looked. Faces are not taken here; a consent that no longer allows one purges it everywhere.
        """
        if "faces" in changes:
            raise ConfigError("faces are enrolled, not written: see `manage enrol`")
        with self._changing() as store:
            there = store.known(str(changes.get("id", "")))
            if known and not isinstance(there, Person):
                raise ConfigError(f"{changes.get('id')}: nobody of this id (any more); nothing was changed")
            wanted = {**person_json(there if isinstance(there, Person) else Person(id="")), **changes}
            if phone is not None:
                others = [one for one in wanted["phones"] if one["key_id"] != phone.key_id]
                wanted["phones"] = [*others, written(phone)]
            found = parse_person(wanted)
            if isinstance(found, Rejected):
                raise ConfigError(found.reason)
            if found.kind is PersonKind.WATCHED:
                raise ConfigError(f"{found.id}: a watch-list is kept at a door that has the legal basis, not here")
            store.write(found, None if found.faces else [])
        return found

    def add_faces(self, person_id: str, faces: Iterable[NewFace], model_id: str, alignment_id: str) -> Person:
        """Templates for all the doors that this person may use, instead of earlier ones.

        Raises:
            ConfigError: nobody of this id, more than five, or the consent is not one for a face at all doors.
        """
        now = time.time_ns()
        templates = [
            StoredTemplate(person_id, f"t-{now:x}-{n}", model_id, alignment_id, face.quality, face.vector)
            for n, face in enumerate(faces)
        ]
        listed = tuple(FaceTemplate(t.template_id, model_id, alignment_id) for t in templates)
        with self._changing() as store:
            person = store.known(person_id)
            if not isinstance(person, Person):
                raise ConfigError(f"{person_id}: nobody of this id")
            consent = person.consent
            watched = person.kind is PersonKind.WATCHED
            if watched or consent is None or not consent.lawful or consent.purpose != SITE_PURPOSE:
                raise ConfigError(f"{person_id}: needs a consent of its own for {SITE_PURPOSE}; or enrol at one door")
            changed = replace(person, faces=listed)
            store.write(changed, templates)
        return changed

    def remove_phone(self, person_id: str, key_id: str) -> Person:
        """A lost or sold phone of somebody: its codes open nothing, with the next revision at no door.

        Raises:
            StoreError: nobody of this id, or no phone of that name is hers.
        """
        with self._store() as store:
            return RosterChanges(store).remove_phone(person_id, key_id)

    def remove(self, person_id: str) -> bool:
        """Somebody moved out: gone here and, with the next revision, from every door."""
        with self._store() as store:
            return RosterChanges(store).remove(person_id)

    def withdraw(self, person_id: str) -> int:
        """A consent is withdrawn: no face here from now on, and at no door, also where only a door knows the person.

        Returns the time of it. Each door that had a template answers with a signed receipt, see `withdrawals`.
        """
        now_s = int(time.time())
        with self.changing() as db, self._store() as store:  # one right after the other: doors hear of both at once
            db.execute("INSERT OR REPLACE INTO withdrawals VALUES (?, ?)", (person_id, now_s))
            RosterChanges(store).withdraw(person_id, now_s)
        return now_s

    def set_hours(self, hours: Mapping[str, Any]) -> None:
        """Schedules, holidays, unlock hours: keys left out stay."""
        if strange := hours.keys() - NO_HOURS.keys():
            raise ConfigError(f"unknown key {min(strange)[:100]}; allowed: {', '.join(NO_HOURS)}")
        with self._store() as store:
            known = Residents(store)
            found = parse({**known.snapshot(), **hours})
            if isinstance(found, Rejected):
                raise ConfigError(found.reason)
            if (size := len(canonical(hours_json(found)).encode())) > MAX_BODY_BYTES:
                raise ConfigError(f"these hours take {size} bytes, a door takes {MAX_BODY_BYTES}: use fewer windows")
            known.replace(found)

    def forget(self, expired_days: int, passes_days: int, proof_days: int) -> None:
        """What has been kept long enough: people whose validity ended, passes that are over, proofs of withdrawals."""
        now_s, day_s = int(time.time()), 86_400
        for person in self.roster().persons.values():
            until_s = person.valid_until_utc_s
            if until_s is not None and until_s <= now_s - expired_days * day_s:
                self.remove(person.id)
        with self.changing() as db:
            db.execute("DELETE FROM passes WHERE until_utc_s <= ?", (now_s - passes_days * day_s,))
            db.execute("DELETE FROM receipts WHERE utc_s <= ?", (now_s - proof_days * day_s,))
            db.execute("DELETE FROM withdrawals WHERE at_utc_s <= ?", (now_s - proof_days * day_s,))

    # ------------------------------------------------------------ what doors get

    def entries(self, door: Door, roster: Roster | None = None) -> dict[tuple[str, str], str]:
        """The roster of one door: ids, no names; faces only with a consent for all doors and a key."""
        roster = roster or self.roster()
        found = {
            (PERSON, person.id): canonical(person_json(_for_door(person, sealed=door.sealing is not None)))
            for person in roster.persons.values()
            if (EVERYBODY in door.groups or set(door.groups) & set(person.groups))
            and person.kind is not PersonKind.WATCHED
        }
        found[SITE, ""] = canonical(hours_json(roster))
        now_s = int(time.time())
        with self.site() as db:
            for pass_id, until_s in db.execute(
                "SELECT pass_id, until_utc_s FROM passes WHERE revoked_utc_s IS NOT NULL AND until_utc_s > ?", (now_s,)
            ):
                found[REVOKED, pass_id] = canonical({"until_s": until_s})
            for person_id, at_s in db.execute("SELECT person_id, at_utc_s FROM withdrawals"):
                found[WITHDRAWN, person_id] = canonical({"at_utc_s": at_s})
        return found

    def templates(self, person_ids: Iterable[str]) -> Iterator[StoredTemplate]:
        """Opened templates of these people, of every network."""
        wanted, roster = set(person_ids), self.roster()
        networks = {(f.model_id, f.alignment_id) for i in wanted for f in roster.persons[i].faces}
        with self._store() as store:
            for model_id, alignment_id in sorted(networks):
                yield from (t for t in store.templates(model_id, alignment_id) if t.person_id in wanted)

    # ------------------------------------------------------------ files

    @contextlib.contextmanager
    def _store(self) -> Iterator[RosterStore]:
        with contextlib.closing(RosterStore(self.folder)) as store:
            yield store

    @contextlib.contextmanager
    def _changing(self) -> Iterator[RosterStore]:
        """A change of the store, whole or not at all."""
        with self._store() as store:
            try:
                with store.transaction():
                    yield store
            except UnfitError as e:
                raise ConfigError(str(e)) from e
            store.scrub()


def _for_door(person: Person, *, sealed: bool) -> Person:
    consent = person.consent
    if consent is not None and consent.guardian:
        consent = replace(consent, guardian=_GUARDIAN)
    lawful = sealed and consent is not None and consent.lawful and consent.purpose == SITE_PURPOSE
    return replace(person, name="", consent=consent, faces=person.faces if lawful else ())
