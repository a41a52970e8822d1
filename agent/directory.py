"""Who belongs to the door, in memory: what the controller decides by. It knows no disk.

A view is made on the thread that reads the store and never changes; the directory's holder takes the next one whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.core.networks import Network
from agent.core.passes import reference
from agent.core.roster import Person, PhoneKey, Roster
from agent.core.schedule import Calendar

NOBODY = Roster(0, MappingProxyType({}), Calendar())


@dataclass(frozen=True, slots=True)
class View:
    """A roster and what follows from it. `faces`: template ids of everybody who may be recognised: enabled people."""

    roster: Roster = NOBODY
    faces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    phones: Mapping[bytes, tuple[str, PhoneKey]] = field(default_factory=dict)  # by core/passes.py's reference
    networks: Mapping[Network, int] = field(default_factory=dict)  # people who may be recognised, by what made the face
    templates: int = 0

    @property
    def recognisable(self) -> int:
        """People who may be recognised and have a face of some network."""
        return sum(1 for faces in self.faces.values() if faces)


class Directory:
    """Used by the controller's thread."""

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View()

    @property
    def roster(self) -> Roster:
        """Everybody and the hours."""
        return self.view.roster

    @roster.setter
    def roster(self, roster: Roster) -> None:
        self.view = view_of(roster, self.view)

    def person(self, person_id: str | None) -> Person | None:
        """One person, or None."""
        return self.roster.persons.get(person_id) if person_id is not None else None

    def phone(self, key_ref: bytes) -> tuple[Person, PhoneKey] | None:
        """Whose phone a pass names, or None."""
        person_id, key = self.view.phones.get(key_ref, (None, None))
        person = self.person(person_id)
        return (person, key) if person is not None and key is not None else None

    def template_count(self) -> int:
        """Templates of everybody."""
        return self.view.templates

    def faces(self) -> Mapping[str, frozenset[str]]:
        """Template ids of everybody who may be recognised."""
        return self.view.faces


def view_of(roster: Roster, before: View | None = None) -> View:
    """What follows from a roster; of people who are the same as `before` it is not worked out again."""
    known, said = (before.roster.persons, before.faces) if before else ({}, {})
    faces: dict[str, frozenset[str]] = {}
    phones: dict[bytes, tuple[str, PhoneKey]] = {}
    networks: Counter[Network] = Counter()
    templates = 0
    for person in roster.persons.values():
        templates += len(person.faces)
        if person.enabled:
            same = known.get(person.id) is person and person.id in said
            faces[person.id] = said[person.id] if same else frozenset(face.template_id for face in person.faces)
            networks.update({(face.model_id, face.alignment_id) for face in person.faces})
        for phone in person.phones:
            phones.setdefault(reference(phone.public_key), (person.id, phone))
    return View(roster, MappingProxyType(faces), MappingProxyType(phones), MappingProxyType(dict(networks)), templates)
