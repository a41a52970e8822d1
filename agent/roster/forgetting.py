"""Forgetting somebody, or the face only; and what a withdrawal means for a consent that is given afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

from agent.core.bounded import Rejected
from agent.core.roster import Consent, Person
from agent.errors import StoreError
from agent.roster.store import RosterStore


class RosterForgetting:
    """The half of RosterChanges that takes away; raises as that does."""

    def __init__(self, store: RosterStore) -> None:
        self._store = store

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        with self._store.transaction():
            yield
        self._changed()

    def _changed(self) -> None:
        """Something was written, perhaps: for whoever keeps the roster in memory."""

    def remove(self, person_id: str) -> bool:
        """Forget somebody: person, templates and the pages that held them. False: nobody of this id.

        Raises:
            StoreError: the server keeps this person.
        """
        if self._store.manages(person_id):
            raise StoreError(
                f"{person_id}: is kept by the server; remove the person there. To forget only the face here: "
                f"door-agent enroll --withdraw {person_id}"
            )
        return self.forget(person_id)

    def forget(self, person_id: str) -> bool:
        """As `remove`, whoever keeps this person."""
        with self._change():
            self._store.purge([person_id], "removed", int(time.time()))
            gone = self._store.drop(person_id)
        self._store.scrub()
        return gone

    def remove_phone(self, person_id: str, key_id: str) -> Person:
        """One phone of somebody is lost or sold: its codes and orders open nothing from now on, the others do.

        Raises:
            StoreError: nobody of this id, no phone of that name is hers, or the server keeps her.
        """
        with self._change():
            person = self._somebody(person_id)
            if self._store.manages(person_id):
                raise StoreError(f"{person_id}: is kept by the server; remove the phone there")
            kept = tuple(phone for phone in person.phones if phone.key_id != key_id)
            if len(kept) == len(person.phones):
                names = ", ".join(phone.key_id for phone in person.phones) or "none"
                raise StoreError(f"{person_id}: has no phone {key_id[:40]}; there are: {names}")
            changed = replace(person, phones=kept)
            self._store.write(changed)
        return changed

    def withdraw(self, person_id: str, sure_utc_s: float) -> bool:
        """Consent withdrawn: the face is forgotten here, the person stays. False: nobody of this id.

        `sure_utc_s` is a wall time that has passed for sure. The withdrawal stands at it, and never before the newest
        consent known here: else an older consent at the server would count against it. Of somebody whose entry cannot
        be read nothing stays.
        """
        with self._change():
            person = self._store.known(person_id)
            if person is None:
                return False
            consent = person.consent if isinstance(person, Person) else None
            given = [c.given_utc_s for c in (consent, self._store.sent_consent(person_id)) if c is not None]
            at_utc_s = max(int(sure_utc_s), *given, 0)
            self._store.purge([person_id], "withdrawn", at_utc_s)
            self._store.remember_withdrawal(person_id, at_utc_s)
            if isinstance(person, Rejected):
                self._store.drop(person_id)
            else:
                if consent is not None and consent.withdrawn_utc_s is None:
                    consent = replace(consent, withdrawn_utc_s=at_utc_s)
                self._store.write(replace(person, consent=consent, faces=()))
        self._store.scrub()
        return True

    def _given_now(self, person: Person, consent: Consent | None) -> Consent | None:
        """Somebody stands here and agrees: that is after whatever she withdrew, though the clock may be behind it."""
        withdrawn_utc_s = self._store.withdrawn_utc_s(person.id)
        if consent is None or withdrawn_utc_s is None:
            return consent
        return replace(consent, given_utc_s=max(consent.given_utc_s, withdrawn_utc_s + 1))

    def _somebody(self, person_id: str) -> Person:
        person = self._store.known(person_id)
        if isinstance(person, Person):
            return person
        if person is None:
            raise StoreError(f"{person_id}: nobody of this id; see door-agent enroll --list")
        raise StoreError(
            f"{person_id}: the entry cannot be read ({person.reason}); remove it (door-agent enroll --remove "
            f"{person_id}) and enrol again"
        )
