"""The door's own people: from the roster store to the vision process, and from an enrolment into the store."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from agent.clock import Clock
from agent.core.bounded import written
from agent.core.journal import ClockQuality
from agent.core.roster import (
    FACE_PURPOSE,
    LEARNT,
    MAX_PHONES,
    VERSION,
    Consent,
    FaceTemplate,
    Person,
    PersonKind,
    PhoneKey,
    Roster,
    parse,
    person_json,
)
from agent.core.roster_feed import PERSON, REVOKED
from agent.core.vision_messages import (
    MAX_TEMPLATES_PER_MESSAGE,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryRemove,
    GalleryRow,
    ToVision,
)
from agent.errors import StoreError
from agent.roster_store import RosterStore, StoredTemplate

_GONE_AT_ONCE: Final = 400


@dataclass(frozen=True, slots=True)
class NewFace:
    """One template of an enrolment: float32 little endian, unit length; quality 0..1."""

    vector: bytes
    quality: float


class Residents:
    """Used by one thread. Reads the roster anew when another process changed it (see `changed`)."""

    def __init__(self, store: RosterStore) -> None:
        self._store = store
        self._seen = -1
        self.roster = self._read()

    def changed(self) -> bool:
        """Read again if another process or `add` changed the store. True when it did."""
        if self._store.data_version() == self._seen and self._store.epoch == self.roster.epoch:
            return False
        epoch = self.roster.epoch
        self.roster = self._read()
        return self.roster.epoch != epoch

    def person(self, person_id: str | None) -> Person | None:
        """One person, or None."""
        return self.roster.persons.get(person_id) if person_id is not None else None

    def template_count(self) -> int:
        """Templates of everybody."""
        return sum(len(person.faces) for person in self.roster.persons.values())

    def faces(self) -> dict[str, frozenset[str]]:
        """Template ids of everybody who may be recognised: enabled people with consent only."""
        people = self.roster.persons.values()
        return {one.id: frozenset(face.template_id for face in one.faces) for one in people if one.enabled}

    def gallery(self, model_id: str, alignment_id: str) -> Iterator[ToVision]:
        """The messages that give a vision process the templates of its network."""
        epoch = self.roster.epoch
        yield GalleryBegin(epoch, model_id, alignment_id)
        yield from self._rows(model_id, alignment_id, None)
        yield GalleryCommit(epoch)

    def gallery_changes(
        self, model_id: str, alignment_id: str, told: Mapping[str, frozenset[str]]
    ) -> Iterator[ToVision]:
        """The messages that bring a vision process from `told` (an earlier `faces`) to the roster as it is now."""
        now = self.faces()
        changed = sorted(one for one in told.keys() | now.keys() if told.get(one) != now.get(one))
        for at in range(0, len(changed), _GONE_AT_ONCE):
            yield GalleryRemove(tuple(changed[at : at + _GONE_AT_ONCE]))
        if changed:
            yield from self._rows(model_id, alignment_id, frozenset(changed))
        yield GalleryCommit(self.roster.epoch)

    def _rows(self, model_id: str, alignment_id: str, people: frozenset[str] | None) -> Iterator[GalleryAdd]:
        allowed = self.faces()
        rows = (
            GalleryRow(t.person_id, t.template_id, t.vector)
            for t in self._store.templates(model_id, alignment_id, people)
            if t.template_id in allowed.get(t.person_id, ())
        )
        while chunk := tuple(islice(rows, MAX_TEMPLATES_PER_MESSAGE)):
            yield GalleryAdd(chunk)

    def add(
        self,
        name: str,
        consent: Consent | None,
        faces: Iterable[NewFace],
        model_id: str,
        alignment_id: str,
        *,
        phones: tuple[PhoneKey, ...] = (),
        **more: object,
    ) -> Person:
        """A new person. `more` are other fields of Person (kind, extended_release, …).

        Raises:
            ValueError: the consent does not allow a face.
            StoreError: a phone is somebody's already.
        """
        for phone in phones:
            self._must_be_new(phone)
        person_id = f"p-{secrets.token_hex(6)}"
        templates = _templates(person_id, faces, model_id, alignment_id)
        listed = tuple(FaceTemplate(t.template_id, model_id, alignment_id) for t in templates)
        person = replace(Person(id=person_id, name=name, consent=consent, phones=phones, **more), faces=listed)  # type: ignore[arg-type]
        self._store.put(person_json(person), templates)
        self.roster = self._read()
        return person

    def learn(self, person_id: str, face: NewFace, model_id: str, alignment_id: str) -> bool:
        """A template of a confirmed visit beside those of the enrolment, in place of the one learnt before.

        False: nobody of this id with a face of this network. `changed` tells of it as of any other change.
        """
        person = self.person(person_id)
        faces = person.faces if person is not None and person.enabled else ()
        before = [one.template_id for one in faces if one.learnt]
        kept = tuple(one for one in faces if not one.learnt)
        made_by = {(one.model_id, one.alignment_id) for one in kept}
        if person is None or (model_id, alignment_id) not in made_by:
            return False
        template_id = f"{LEARNT}{secrets.token_hex(8)}"
        learnt = StoredTemplate(person_id, template_id, model_id, alignment_id, face.quality, face.vector)
        listed = (*kept, FaceTemplate(template_id, model_id, alignment_id))
        self._store.learn(person_json(replace(person, faces=listed)), learnt, before)
        return True

    def set_faces(self, person_id: str, faces: Iterable[NewFace], model_id: str, alignment_id: str) -> Person:
        """These templates instead of earlier ones.

        Raises:
            StoreError: nobody of this id.
            ValueError: the consent does not allow a face.
        """
        person = self.person(person_id)
        if person is None:
            raise StoreError(f"{person_id}: nobody of this id; see door-agent enroll --list")
        templates = _templates(person_id, faces, model_id, alignment_id)
        changed = replace(person, faces=tuple(FaceTemplate(t.template_id, model_id, alignment_id) for t in templates))
        self._store.put(person_json(changed), templates)
        self.roster = self._read()
        return changed

    def add_phone(self, person_id: str, key: PhoneKey) -> Person:
        """One more phone of somebody enrolled.

        Raises:
            StoreError: nobody of this id, this phone is somebody's already, or five are enough.
        """
        person = self.person(person_id)
        if person is None:
            raise StoreError(f"{person_id}: nobody of this id; see door-agent enroll --list")
        if person_id in self.roster.managed:
            raise StoreError(f"{person_id}: is kept by the server; register the phone there")
        self._must_be_new(key)
        if len(person.phones) >= MAX_PHONES:
            raise StoreError(f"{person_id}: has {MAX_PHONES} phones already")
        changed = replace(person, phones=(*person.phones, key))
        self._store.put(person_json(changed))
        self.roster = self._read()
        return changed

    def remove(self, person_id: str) -> bool:
        """Forget somebody: person, templates and the pages that held them.

        Raises:
            StoreError: the server keeps this person.
        """
        if person_id in self.roster.managed:
            raise StoreError(
                f"{person_id}: is kept by the server; remove the person there. To forget only the face here: "
                f"door-agent enroll --withdraw {person_id}"
            )
        gone = self._store.remove(person_id)
        self.roster = self._read()
        return gone

    def withdraw(self, person_id: str, now_utc_s: int) -> bool:
        """Consent withdrawn: the face is forgotten here, the person stays. False: nobody of this id."""
        found = self._store.withdraw(person_id, now_utc_s)
        self.roster = self._read()
        return found

    def snapshot(self) -> dict[str, Any]:
        """What is stored, in the shape that core/roster.py's parse takes."""
        return {"v": VERSION, **self._store.snapshot()}

    def replace(self, roster: Roster) -> None:
        """This roster in place of the one that was read, in one transaction; its epoch is the store's to give.

        People who stay keep their templates unless they have no face any more; people left out are forgotten.

        Raises:
            StoreError: somebody else changed the roster since it was read, or the server keeps it.
        """
        if self._store.revision:
            raise StoreError("this door's roster is kept by the server: change people and hours there")
        people = [person_json(person) for person in roster.persons.values()]
        self._store.replace(people, hours_json(roster), self.roster.epoch)
        self.roster = self._read()

    def _must_be_new(self, key: PhoneKey) -> None:
        """A key of two people would make the whole roster unreadable."""
        for other in self.roster.persons.values():
            if any(key.key_id == phone.key_id for phone in other.phones):
                raise StoreError(f"this phone is registered already, to {other.id}; see door-agent enroll --list")

    def _read(self) -> Roster:
        self._seen = self._store.data_version()
        found = parse(self.snapshot())
        if isinstance(found, Roster):
            kept = self._store.managed()
            return replace(found, managed=kept[PERSON], revoked=kept[REVOKED])
        raise StoreError(f"the roster on this device cannot be read: {found.reason}; enrol again or import it anew")


def _templates(person_id: str, faces: Iterable[NewFace], model_id: str, alignment_id: str) -> list[StoredTemplate]:
    return [
        StoredTemplate(person_id, f"t-{secrets.token_hex(8)}", model_id, alignment_id, face.quality, face.vector)
        for face in faces
    ]


def forget_expired(store: RosterStore, clock: Clock, keep_days: int) -> None:
    """Forget the door's own people whose validity ended `keep_days` ago; only where the clock can be believed."""
    if clock.quality() is ClockQuality.NONE:
        return
    found, theirs = parse({"v": VERSION, **store.snapshot()}), store.managed()[PERSON]
    over_s = clock.utc_ms() // 1000 - keep_days * 86_400
    for person in found.persons.values() if isinstance(found, Roster) else ():
        if person.id not in theirs and person.valid_until_utc_s is not None and person.valid_until_utc_s <= over_s:
            store.remove(person.id)


def forget_watched(store: RosterStore) -> None:
    """Without a legal basis there is no watch-list: whoever is on it is forgotten."""
    found = parse({"v": VERSION, **store.snapshot()})
    for person in found.persons.values() if isinstance(found, Roster) else ():
        if person.kind is PersonKind.WATCHED:
            store.remove(person.id)


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
