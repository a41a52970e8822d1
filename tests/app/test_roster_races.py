"""Between a look at the roster and a change made because of it, somebody else changes it: nothing is undone."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.roster import SITE_PURPOSE, Consent, Person, PhoneKey, person_json
from agent.errors import ConfigError, StoreError
from agent.residents import NewFace, Residents, consent_now
from agent.roster.file import StoreBusyError
from agent.roster.store import RosterStore
from deploy.community.people import People

NETWORK = ("net", "five")
FACE = NewFace(bytes(1024), 0.9)
KEY, OTHER = (PhoneKey(f"k-{n}", bytes([4 + n]) * 65, enabled=True) for n in range(2))


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Residents]:
    """Somebody who has looked at the roster and has not looked since."""
    with contextlib.closing(RosterStore(tmp_path)) as store:
        made = Residents(store)
        made.add("Li Mei", consent_now(5), [FACE], *NETWORK, phones=(KEY,))
        yield made


@contextlib.contextmanager
def meanwhile(folder: Path) -> Iterator[tuple[Residents, Person]]:
    with contextlib.closing(RosterStore(folder)) as store:
        other = Residents(store)
        yield other, next(iter(other.roster.persons.values()))


def store_person(other: Residents, person: Person) -> None:
    with other.store.transaction():
        other.store.write(person)
    other.changed()


MEANWHILE: dict[str, Callable[[Residents, Person], object]] = {
    "consent withdrawn": lambda other, li: other.withdraw(li.id, 9),
    "phone disabled": lambda other, li: store_person(other, replace(li, phones=(replace(KEY, enabled=False),))),
    "person disabled": lambda other, li: store_person(other, replace(li, enabled=False)),
    "removed": lambda other, li: other.remove(li.id),
}
CHANGES: dict[str, Callable[[Residents, str], object]] = {
    "a visit is learnt from": lambda r, i: r.learn(i, FACE, *NETWORK),
    "a phone is added": lambda r, i: r.add_phone(i, OTHER),
    "faces are enrolled anew": lambda r, i: r.set_faces(i, [FACE] * 2, *NETWORK),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("happens", MEANWHILE.values(), ids=MEANWHILE.keys())
def test_a_revocation_is_not_undone_by_a_change_that_did_not_know_of_it(late: Residents, happens, change, tmp_path):
    """The whole person used to be written back as she was before, face and template with her."""
    person_id = next(iter(late.roster.persons))
    with meanwhile(tmp_path) as (other, li):
        happens(other, li)
        after = other.person(person_id)
    with contextlib.suppress(StoreError, ValueError):
        change(late, person_id)
    late.changed()
    now = late.person(person_id)
    if after is None:
        assert now is None
        assert late.store.template_count() == 0
        return
    assert (now.enabled, now.consent) == (after.enabled, after.consent)
    assert [one.enabled for one in now.phones[:1]] == [one.enabled for one in after.phones]
    assert bool(now.faces) is bool(after.faces)
    assert late.store.template_count() == len(now.faces)


def test_somebody_switched_off_teaches_the_door_nothing(late: Residents, tmp_path: Path):
    with meanwhile(tmp_path) as (other, li):
        MEANWHILE["person disabled"](other, li)
    assert not late.learn(li.id, FACE, *NETWORK)
    assert late.store.template_count() == 1


def test_two_registrations_of_one_phone_at_the_same_time_are_one(late: Residents, tmp_path: Path):
    with meanwhile(tmp_path) as (other, _):
        other.add("Bo", None, (), *NETWORK, phones=(OTHER,))
    with pytest.raises(StoreError, match="registered already"):
        late.add_phone(next(iter(late.roster.persons)), OTHER)


def test_a_withdrawal_at_the_office_is_not_undone_by_an_enrolment_that_began_before(tmp_path: Path, monkeypatch):
    """`manage enrol` reads pictures for half a minute between the consent and the templates."""
    people = People(tmp_path)
    consent = Consent(SITE_PURPOSE, 5, under_14=False, guardian=None)
    people.put({"id": "p-li", "consent": person_json(Person(id="x", consent=consent))["consent"]})
    before = people.roster()
    people.withdraw("p-li")
    monkeypatch.setattr(people, "roster", lambda: before)
    with pytest.raises(ConfigError, match="consent of its own"):
        people.add_faces("p-li", [FACE], *NETWORK)
    with contextlib.closing(RosterStore(tmp_path)) as store:
        assert store.template_count() == 0


def test_a_store_that_somebody_else_writes_to_says_so_and_is_as_it_was(late: Residents, tmp_path: Path):
    """It used to be sqlite's own error, which nobody caught: the agent ended."""
    late.store._db.execute("PRAGMA busy_timeout = 0")
    with meanwhile(tmp_path) as (other, li), other.store.transaction():
        for change in (*CHANGES.values(), lambda r, i: r.withdraw(i, 9), lambda r, i: r.remove(i)):
            with pytest.raises(StoreBusyError, match="another process is writing"):
                change(late, li.id)
    assert late.learn(li.id, FACE, *NETWORK)


def test_a_card_that_is_full_in_the_middle_of_a_change_leaves_nothing_of_it(late: Residents):
    """SQLite's error comes from within the transaction, not from its commit."""
    pages = late.store._db.execute("PRAGMA page_count").fetchone()[0]
    late.store._db.execute(f"PRAGMA max_page_count = {pages}")
    before = late.snapshot()

    def fill() -> None:
        for _ in range(200):
            late.add("x" * 200, consent_now(5), [FACE] * 5, *NETWORK)

    with pytest.raises(StoreError, match="free some space"):
        fill()
    assert not late.store._db.in_transaction
    late.store._db.execute("PRAGMA max_page_count = 1000000")
    stored = late.store.template_count()
    assert stored == sum(len(person.faces) for person in late.roster.persons.values())
    assert before["persons"][0] in late.snapshot()["persons"]


def test_agent_and_command_that_first_open_a_door_together_both_open_it(tmp_path: Path) -> None:
    """Each made the key when there was none; the second ended because the first's was there, or read half of it."""
    together = threading.Barrier(4)

    def open_it(folder: Path) -> None:
        together.wait(10)
        RosterStore(folder).close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            folder = tmp_path / str(number)
            list(pool.map(open_it, [folder] * 4))
            assert {path.name for path in folder.iterdir() if "key" in path.name} == {"roster.key"}
            assert len((folder / "roster.key").read_bytes()) == 32


def test_a_roster_that_somebody_else_made_after_its_key_was_looked_for_has_not_lost_it(tmp_path: Path, monkeypatch):
    """Key and roster came between the look for the one and the look for the other: "the key of the roster is gone"."""
    look = Path.read_bytes

    def another_is_faster(path: Path) -> bytes:
        try:
            return look(path)
        except FileNotFoundError:
            monkeypatch.undo()
            RosterStore(tmp_path).close()
            raise

    monkeypatch.setattr(Path, "read_bytes", another_is_faster)
    RosterStore(tmp_path).close()
