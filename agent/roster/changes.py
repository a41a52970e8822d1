"""What can be asked of a roster: each change reads whom it concerns within its own transaction, and writes only then.

Between a look at the roster and a change made because of it anything may have happened (a consent withdrawn, a phone
switched off, somebody gone): a change that wrote back what was seen before would undo it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from agent.core.bounded import written
from agent.core.roster import (
    FACE_PURPOSE,
    LEARNT,
    MAX_PHONES,
    SITE_PURPOSE,
    Consent,
    FaceTemplate,
    Person,
    PhoneKey,
    Roster,
    with_withdrawal,
)
from agent.errors import StoreError
from agent.roster.entries import purge_reason
from agent.roster.forgetting import RosterForgetting
from agent.roster.store import StoredTemplate
from agent.visits import after_visit


@dataclass(frozen=True, slots=True)
class NewFace:
    """One template of an enrolment: float32 little endian, its length the clarity; quality 0..1."""

    vector: bytes
    quality: float


class RosterChanges(RosterForgetting):
    """Used by the thread that made the store.

    Everything here raises StoreBusyError where another process is writing, UnfitError for what a reader would refuse
    (then nothing is stored), StoreError where the file cannot be written.
    """

    def add(
        self,
        name: str,
        consent: Consent | None,
        faces: Iterable[NewFace],
        model_id: str,
        alignment_id: str,
        *,
        phones: tuple[PhoneKey, ...] = (),
        alike: Collection[str] = (),
        **more: object,
    ) -> Person:
        """A new person. `more` are other fields of Person (kind, extended_release, …).

        `alike`: people whom she resembles; they and she are marked for face and phone.

        Raises:
            ValueError: the consent does not allow a face.
            UnfitError: a phone is somebody's already, a name is too long, …
            StoreError: one of those alike is not there.
        """
        person_id = f"p-{secrets.token_hex(6)}"
        templates = _templates(person_id, faces, model_id, alignment_id)
        person = replace(
            Person(id=person_id, name=name, consent=consent, phones=phones, **more),  # type: ignore[arg-type]
            faces=_listed(templates),
        )
        with self._change():
            if alike:
                person = replace(person, second_factor=True)
                self._mark(alike)
            self._store.write(person, templates)
        return person

    def add_visit(
        self,
        person_id: str,
        faces: Iterable[NewFace],
        model_id: str,
        alignment_id: str,
        consent: Consent | None = None,
        *,
        alike: Collection[str] = (),
    ) -> Person:
        """Pictures of one more visit beside those there are; of more than MAX_FACES the most different stay.

        `consent`: where none is there that allows a face; `alike` as in `add`. Templates of another network go: they
        say nothing any more.

        Raises:
            ValueError: no consent allows a face.
            StoreError: nobody of this id, or her face comes from the server.
        """
        fresh = _templates(person_id, faces, model_id, alignment_id)
        with self._change():
            person = self._somebody(person_id)
            if person.consent is not None and person.consent.purpose == SITE_PURPOSE and self._store.manages(person_id):
                raise StoreError(
                    f"{person_id}: this face is kept by the server; enrol it there again, with the new pictures"
                )
            if person.consent is None or not person.consent.lawful:
                person = replace(person, consent=self._given_now(person, consent), faces=())
            stored = list(self._store.templates(model_id, alignment_id, [person_id]))
            listed, kept = after_visit(person.faces, stored, fresh)
            changed = replace(person, faces=listed)
            self._store.write(changed)
            self._store.keep_only(changed, kept)
            if alike:
                self._mark((person_id, *alike))
        return changed

    def need_phone(self, person_ids: Collection[str], *, needed: bool = True) -> None:
        """Mark these people for face and phone, or take the mark off. Of those whom the server keeps nothing changes.

        Raises:
            StoreError: nobody of this id.
        """
        with self._change():
            self._mark(person_ids, needed=needed)

    def _mark(self, person_ids: Collection[str], *, needed: bool = True) -> None:
        for person_id in person_ids:
            person = self._somebody(person_id)
            if not self._store.manages(person_id) and person.second_factor is not needed:
                self._store.write(replace(person, second_factor=needed))

    def learn(self, person_id: str, face: NewFace, model_id: str, alignment_id: str) -> bool:
        """A template of a confirmed visit beside those of the enrolment, in place of the one learnt before.

        False: nobody enabled of this id with a face of this network.
        """
        with self._change():
            person = self._store.known(person_id)
            faces = person.faces if isinstance(person, Person) and person.enabled else ()
            kept = tuple(one for one in faces if not one.learnt)
            made_by = {(one.model_id, one.alignment_id) for one in kept}
            if not isinstance(person, Person) or (model_id, alignment_id) not in made_by:
                return False
            template_id = f"{LEARNT}{secrets.token_hex(8)}"
            learnt = StoredTemplate(person_id, template_id, model_id, alignment_id, face.quality, face.vector)
            changed = replace(person, faces=(*kept, FaceTemplate(template_id, model_id, alignment_id)))
            self._store.write(changed)
            self._store.keep_only(changed, [learnt])
        return True

    def set_faces(self, person_id: str, faces: Iterable[NewFace], model_id: str, alignment_id: str) -> Person:
        """These templates instead of earlier ones.

        Raises:
            StoreError: nobody of this id.
            ValueError: the consent does not allow a face.
        """
        templates = _templates(person_id, faces, model_id, alignment_id)
        with self._change():
            changed = replace(self._somebody(person_id), faces=_listed(templates))
            self._store.write(changed, templates)
        return changed

    def add_phone(self, person_id: str, key: PhoneKey) -> Person:
        """One more phone of somebody enrolled.

        Raises:
            StoreError: nobody of this id, this phone is somebody's already, or five are enough.
        """
        with self._change():
            person = self._somebody(person_id)
            if self._store.manages(person_id):
                raise StoreError(f"{person_id}: is kept by the server; register the phone there")
            if len(person.phones) >= MAX_PHONES:
                raise StoreError(f"{person_id}: has {MAX_PHONES} phones already")
            if any(phone.key_id == key.key_id for phone in person.phones):
                raise StoreError(f"this phone is registered already, to {person_id}; see door-agent enroll --list")
            changed = replace(person, phones=(*person.phones, key))
            self._store.write(changed)
        return changed

    def replace_all(self, roster: Roster, was_epoch: int) -> None:
        """Everybody and the site's hours in one transaction; people left out are forgotten as by `remove`.

        People who stay keep their templates unless they have no face any more. A consent that was withdrawn stays so,
        unless a newer one is given.

        Raises:
            StoreError: the roster is no longer at `was_epoch`, or the server keeps it.
        """
        now_s = int(time.time())
        with self._change():
            if self._store.revision:
                raise StoreError("this door's roster is kept by the server: change people and hours there")
            if self._store.epoch != was_epoch:
                raise StoreError("somebody else changed the roster meanwhile; do it again")
            self._store.put_hours(hours_json(roster))
            for person_id in self._store.ids() - roster.persons.keys():
                self._store.purge([person_id], "removed", now_s)
                self._store.drop(person_id)
            for given in roster.persons.values():
                known = self._store.known(given.id)
                before = known if isinstance(known, Person) else None
                person = with_withdrawal(given, before, self._store.withdrawn_utc_s(given.id))
                self._store.write(person)
                if not person.faces:
                    withdrawn = person.consent.withdrawn_utc_s if person.consent is not None else None
                    self._store.purge([person.id], purge_reason(person), now_s if withdrawn is None else withdrawn)
        self._store.scrub()


def hours_json(roster: Roster) -> dict[str, Any]:
    """Schedules, holidays and unlock hours, JSON-shaped."""
    return {
        "schedules": [written(schedule) for schedule in roster.calendar.schedules.values()],
        "holidays": sorted(roster.calendar.holidays),
        "unlock_hours": written(roster.unlock_hours),
    }


def consent_now(
    now_utc_s: int, *, guardian: str | None = None, under_14: bool = False, purpose: str = FACE_PURPOSE
) -> Consent:
    """A consent given now, for the face at the door."""
    return Consent(purpose, now_utc_s, under_14, guardian)


def _templates(person_id: str, faces: Iterable[NewFace], model_id: str, alignment_id: str) -> list[StoredTemplate]:
    return [
        StoredTemplate(person_id, f"t-{secrets.token_hex(8)}", model_id, alignment_id, face.quality, face.vector)
        for face in faces
    ]


def _listed(templates: Iterable[StoredTemplate]) -> tuple[FaceTemplate, ...]:
    return tuple(FaceTemplate(t.template_id, t.model_id, t.alignment_id) for t in templates)
