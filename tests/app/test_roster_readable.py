"""Whatever is asked of a roster, it can be read afterwards; and one entry that cannot takes nobody else's way in."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from roster_world import Door, Site, until

from agent.core.commands import Action
from agent.core.roster import SITE_PURPOSE, Consent, Person, PhoneKey, person_json
from agent.errors import ConfigError, StoreError
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from deploy.community.people import People

pytestmark = pytest.mark.slow

NETWORK = ("net", "five")
FACE = NewFace(bytes(1024), 0.9)
KEY = PhoneKey("k-1", b"\x04" * 65, enabled=True)
SITE_WIDE = Consent(SITE_PURPOSE, 5, under_14=False, guardian=None)


@pytest.fixture
def residents(tmp_path: Path):
    with contextlib.closing(RosterStore(tmp_path)) as store:
        made = Residents(store)
        made.add("Li Mei", consent_now(5), [FACE] * 3, *NETWORK, phones=(KEY,))
        yield made


def li(residents: Residents) -> Person:
    return next(iter(residents.roster.persons.values()))


WOULD_SPOIL: dict[str, Callable[[Residents], object]] = {
    "six pictures": lambda r: r.add("Bo", consent_now(5), [FACE] * 6, *NETWORK),
    "six pictures of somebody enrolled": lambda r: r.set_faces(li(r).id, [FACE] * 6, *NETWORK),
    "a name of 201 letters": lambda r: r.add("x" * 201, None, (), *NETWORK),
    "a guardian of 201 letters": lambda r: r.add(
        "Bo", consent_now(5, guardian="x" * 201, under_14=True), [FACE] * 3, *NETWORK
    ),
    "half a character": lambda r: r.add("\ud800", None, (), *NETWORK),
    "a schedule that is not there": lambda r: r.add("Bo", None, (), *NETWORK, schedules=("pool",)),
    "somebody else's phone": lambda r: r.add("Bo", None, (), *NETWORK, phones=(KEY,)),
    "six phones": lambda r: r.add(
        "Bo", None, (), *NETWORK, phones=tuple(PhoneKey(f"k{n}", b"\x04" * 65, enabled=True) for n in range(6))
    ),
    "a template of no length": lambda r: r.add("Bo", consent_now(5), [NewFace(b"", 0.9)], *NETWORK),
    "a network without end": lambda r: r.add("Bo", consent_now(5), [FACE], "x" * 129, "five"),
}


@pytest.mark.parametrize("ask", WOULD_SPOIL.values(), ids=WOULD_SPOIL.keys())
def test_what_a_reader_would_refuse_is_not_stored_and_says_why(residents: Residents, ask, tmp_path: Path):
    """It used to be stored: the next start of the agent ended, and so did the command that could have mended it."""
    before = residents.snapshot()
    with pytest.raises((StoreError, ValueError)):
        ask(residents)
    with contextlib.closing(RosterStore(tmp_path)) as store:
        again = Residents(store)
        assert again.roster.faults == {}
        assert again.snapshot() == before
        assert store.template_count() == 3


def test_the_person_past_the_last_place_is_refused(residents: Residents, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.roster.verify.MAX_PERSONS", 2)
    residents.add("Bo", None, (), *NETWORK)
    with pytest.raises(StoreError, match="at most 2 people"):
        residents.add("Cai", None, (), *NETWORK)
    assert len(residents.roster.persons) == 2


def test_the_server_takes_five_templates_and_no_sixth(tmp_path: Path):
    """Six were stored, and from then on nothing of the site's roster could be read."""
    people = People(tmp_path)
    people.put({"id": "p-li", "consent": {**person_json(Person(id="x", consent=SITE_WIDE))["consent"]}})
    with pytest.raises(ConfigError, match="faces must be"):
        people.add_faces("p-li", [FACE] * 6, *NETWORK)
    assert people.roster().persons["p-li"].faces == ()
    assert len(people.add_faces("p-li", [FACE] * 5, *NETWORK).faces) == 5
    assert len(people.roster().persons["p-li"].faces) == 5


BAD_ENTRIES = {
    "seven faces": lambda body: body | {"faces": body["faces"][:1] * 7},
    "a name of 201 letters": lambda body: body | {"name": "x" * 201},
    "an unknown key": lambda body: body | {"admin": True},
    "another id": lambda body: body | {"id": "p-other"},
    "no object": lambda body: [],
}


def spoil(folder: Path, person_id: str, change: Callable[[dict], object]) -> None:
    """What an older release, or somebody with the key, left behind."""
    with contextlib.closing(RosterStore(folder)) as store:
        body = json.dumps(change(store.person(person_id)))
        store._db.execute(
            "UPDATE persons SET body = ? WHERE id = ?", (store._seal.sealed("person", person_id, body), person_id)
        )
        store._db.execute("UPDATE meta SET epoch = epoch + 1")


@pytest.mark.parametrize("change", BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_one_entry_that_cannot_be_read_leaves_everybody_else_where_they_are(residents, change, tmp_path: Path):
    bad = residents.add("Bo", consent_now(5), [FACE], *NETWORK)
    spoil(tmp_path, bad.id, change)
    assert residents.changed()
    assert set(residents.roster.persons) == {li(residents).id}
    assert set(residents.roster.faults) == {bad.id}
    residents.add("Cai", None, (), *NETWORK)  # and the roster can still be changed
    with pytest.raises(StoreError, match="cannot be read"):
        residents.set_faces(bad.id, [FACE], *NETWORK)
    assert residents.remove(bad.id)
    assert residents.roster.faults == {}
    assert len(residents.roster.persons) == 2


def test_a_consent_can_be_withdrawn_of_an_entry_that_cannot_be_read(residents: Residents, tmp_path: Path):
    bad = residents.add("Bo", consent_now(5), [FACE], *NETWORK)
    spoil(tmp_path, bad.id, BAD_ENTRIES["seven faces"])
    assert residents.withdraw(bad.id, 9)
    assert residents.store.template_count() == 3
    assert bad.id not in residents.store.ids()
    assert [(p.person_id, p.reason) for p in residents.store.purges()] == [(bad.id, "withdrawn")]


def test_an_entry_that_was_altered_is_one_entry_and_a_wrong_key_is_the_key(residents: Residents, tmp_path: Path):
    bad = residents.add("Bo", None, (), *NETWORK)
    residents.store._db.execute("UPDATE persons SET body = 'AAAA' WHERE id = ?", (bad.id,))
    residents.store._db.execute("UPDATE meta SET epoch = epoch + 1")
    assert residents.changed()
    assert "does not open" in residents.roster.faults[bad.id]
    assert len(residents.roster.persons) == 1
    (tmp_path / "roster.key").write_bytes(bytes(32))
    with contextlib.closing(RosterStore(tmp_path)) as store, pytest.raises(StoreError, match="put the key back"):
        Residents(store)


def test_hours_that_cannot_be_read_unlock_nothing_and_people_without_hours_still_come_in(residents, tmp_path: Path):
    residents.store._db.execute("UPDATE site SET body = '{\"schedules\": 5}'")
    residents.store._db.execute("UPDATE meta SET epoch = epoch + 1")
    assert residents.changed()
    assert residents.roster.unlock_hours == ()
    assert "" in residents.roster.faults
    assert li(residents).schedules == ("always",)


def test_a_phone_of_two_people_stays_with_one_of_them(residents: Residents, tmp_path: Path):
    """An older release could write it; nobody loses the face for it."""
    other = residents.add("Bo", consent_now(5), [FACE], *NETWORK)
    spoil(tmp_path, other.id, lambda body: body | {"phones": person_json(replace(other, phones=(KEY,)))["phones"]})
    residents.changed()
    assert sorted(len(person.phones) for person in residents.roster.persons.values()) == [0, 1]
    assert all(person.faces for person in residents.roster.persons.values())
    assert len(residents.roster.faults) == 1


@pytest.fixture
def door(tmp_path: Path):
    site = Site(tmp_path)
    made = site.door()
    try:
        yield made
    finally:
        site.close()


def test_a_door_with_a_bad_entry_runs_tells_and_is_mended_by_the_command(door: Door):
    """The agent used to end with it and at every start, and so did the command."""
    with contextlib.closing(RosterStore(door.state)) as store:
        everybody = Residents(store)
        good, bad = (everybody.add(name, consent_now(5), [FACE], *NETWORK).id for name in ("Li Mei", "Bo"))
    door.start()
    spoil(door.state, bad, BAD_ENTRIES["seven faces"])
    row = door.wrote(state="Unreadable", entries=1)
    assert set(row["some"]) == {bad}
    door.kill()
    door.start().look()
    sent = until(lambda: (message := door.vision.recv(5)) and message["type"] == "gallery_add" and message, "the face")
    assert {one["person_id"] for one in sent["templates"]} == {good}
    listed = door.command("enroll", "--list")
    assert (listed.returncode, f"{bad}: cannot be read" in listed.stdout) == (0, True)
    checked = json.loads(door.command("doctor", "--json").stdout)["checks"]
    [said] = [one for one in checked if one["name"] == "roster entries"]
    assert (said["ok"], f"--remove {bad}" in said["do_this"]) == (False, True)
    assert door.command("enroll", "--remove", bad).returncode == 0
    door.wrote(state="Readable")


def test_a_door_whose_roster_cannot_be_used_at_all_runs_and_opens_from_afar_and_says_why(door: Door):
    """Exits are the guard's; what the agent adds to that must not hang on a file of people."""
    (door.state / "roster.db").write_bytes(b"rubbish " * 600)
    (door.state / "roster.key").write_bytes(bytes(32))
    door.site.serve()
    door.start(guard=True)
    row = door.wrote(state="Unusable")
    assert "not a usable roster" in row["detail"]
    door.wrote(kind="Agent/Link", state="Up")
    door.wrote(kind="Door/State/DoorPhysicalState")
    assert door.site.commander.order(door.name, Action.OPEN, "manager-1")["stage"] != "refused"
    door.wrote(kind="Door/State/LockPhysicalState", state="Unlocked")
    (door.state / "roster.db").unlink()
    door.wrote(state="Usable")
    assert door.processes["agent"].poll() is None
