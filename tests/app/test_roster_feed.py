"""The roster from the server to real doors through a real broker: whole, by differences, mended where it drifted."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from roster_world import Door, Site, unit_vector, until

from agent.core.roster import SITE_PURPOSE
from agent.residents import NewFace, Residents
from agent.roster.store import RosterStore
from deploy.community import publisher

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"
VECTOR = unit_vector()
CONSENT = {"purpose": SITE_PURPOSE, "given_utc_s": 1_790_000_000, "under_14": False, "guardian": None,
           "withdrawn_utc_s": None}  # fmt: skip
OFFICE = {"id": "office", "windows": [{"days": ["mon", "holiday"], "start_min": 480, "end_min": 1080}]}


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def held(door: Door) -> dict:
    with contextlib.closing(RosterStore(door.state)) as store:
        return {"revision": store.revision, **store.snapshot()}


def in_step(site: Site, door: Door) -> bool:
    """The server has heard from the door that it has what it should have."""
    return any(d["device"] == door.name and d["held"] and not d["drift"] for d in site.people.drift())


def test_people_hours_and_sealed_faces_reach_the_door_and_later_only_what_changed(site: Site):
    site.people.put(
        {"id": "p-li", "name": "Li Mei", "groups": ["block-1"], "consent": CONSENT, "extended_release": True}
    )
    site.people.put({"id": "p-bo", "name": "Bo", "groups": ["block-2"]})
    site.people.set_hours({"schedules": [OFFICE], "holidays": ["2026-10-01"]})
    site.people.put({"id": "p-wu", "groups": ["block-1"], "schedules": ["office"], "valid_until_utc_s": 2_000_000_000})
    site.people.add_faces("p-li", [NewFace(VECTOR, 0.9)], "net", "five")
    site.people.set_door("garden/gate-1", ["block-1"])
    site.serve()
    door = site.door()
    with contextlib.closing(RosterStore(door.state)) as store:
        local = Residents(store).add("Local Neighbour", None, (), "", "").id
    door.start()
    until(lambda: in_step(site, door), door._words)
    until(lambda: [p for p in held(door)["persons"] if p["faces"]], "the face")
    people = {p["id"]: p for p in held(door)["persons"]}
    assert set(people) == {"p-li", "p-wu", local}  # no other block's people, and whoever was enrolled here
    assert people["p-li"]["extended_release"]
    assert people["p-wu"]["schedules"] == ["office"]
    assert people["p-wu"]["valid_until_utc_s"] == 2_000_000_000
    assert held(door)["schedules"] == [OFFICE]
    assert held(door)["holidays"] == ["2026-10-01"]
    with contextlib.closing(RosterStore(door.state)) as store:
        assert [t.vector for t in store.templates("net", "five")] == [VECTOR]
    on_disk = door.bytes_on_disk()
    assert VECTOR[:32] not in on_disk  # sealed at rest
    assert b"Li Mei" not in on_disk  # a door gets ids
    site.people.put({"id": "p-li", "enabled": False})
    row = until(lambda: [r for r in door.rows("Agent/Roster") if r.get("base")], "an applied difference")[-1]
    assert row["state"] == "Applied"
    assert row["revision"] > row["base"]
    until(lambda: not {p["id"]: p for p in held(door)["persons"]}["p-li"]["enabled"], "the change")
    site.people.remove("p-wu")
    until(lambda: {p["id"] for p in held(door)["persons"]} == {"p-li", local}, "the removal")
    refused = door.command("enroll", "--remove", "p-li")
    assert refused.returncode == 4
    assert "kept by the server" in refused.stderr


def test_a_change_made_while_the_door_or_the_server_is_away_comes_when_both_are_there(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill()
    site.people.put({"id": "p-bo"})
    door.start()
    until(lambda: len(held(door)["persons"]) == 2 and in_step(site, door), door._words)
    site.stop_serving()
    site.people.put({"id": "p-cai"})
    site.serve()
    until(lambda: len(held(door)["persons"]) == 3 and in_step(site, door), door._words)


def test_an_old_roster_file_is_noticed_and_mended_and_nothing_older_is_taken_meanwhile(site: Site, tmp_path: Path):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill(hard=False)
    shutil.copytree(door.state, tmp_path / "old")
    door.start()
    site.people.remove("p-li")
    until(lambda: not held(door)["persons"] and in_step(site, door), door._words)
    door.wrote(kind="Agent/Roster", state="Applied", persons=0)
    door.kill(hard=False)
    site.stop_serving()
    for name in ("roster.db", "roster.db-wal", "roster.db-shm"):
        (door.state / name).unlink(missing_ok=True)
        if (tmp_path / "old" / name).exists():
            shutil.copy(tmp_path / "old" / name, door.state / name)
    assert held(door)["persons"]  # whoever moved out is back
    door.start()
    door.wrote(kind="Agent/Roster", state="RolledBack")
    site.serve()
    until(lambda: not held(door)["persons"] and in_step(site, door), door._words)


def test_a_server_restored_from_a_backup_goes_on_above_what_the_door_has(site: Site):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li"})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    site.stop_serving()
    with contextlib.closing(sqlite3.connect(site.people.folder / "site.db")) as db, db:
        db.execute("UPDATE published SET revision = revision - 1000000 WHERE revision > 0")
        db.execute("UPDATE published SET revision = 1")
    site.people.put({"id": "p-bo"})
    for n in range(3):
        site.people.publish(door.name, {("site", ""): f'{{"holidays":["2026-10-0{n + 1}"]}}'})
    site.serve()
    until(lambda: len(held(door)["persons"]) == 2 and in_step(site, door), door._words)


def test_drift_shows_at_the_door_and_at_the_server_and_is_mended(site: Site, monkeypatch):
    """Somebody edits the door's file by hand: the digest differs, the server sends the whole roster again."""
    monkeypatch.setattr(publisher, "_AGAIN_S", 0.5)
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-li", "enabled": False})
    site.serve()
    door = site.door().start()
    until(lambda: in_step(site, door), door._words)
    door.kill(hard=False)
    with contextlib.closing(RosterStore(door.state)) as store:  # somebody with the key beside the file
        store._seal.teach(store._db)
        for table, kind, was in (
            ("managed", "'managed ' || kind", '"enabled":'),
            ("persons", "'person'", '"enabled": '),
        ):
            altered = f"replace(unseal({kind}, id, body), '{was}false', '{was}true')"
            store._db.execute(f"UPDATE {table} SET body = seal({kind}, id, {altered})")  # noqa: S608  fixed words
    assert held(door)["persons"][0]["enabled"]
    door.start()
    until(lambda: [n for n in site.news if n.kind == "state" and n.what.get("roster", {}).get("drift")], "drift told")
    until(lambda: not held(door)["persons"][0]["enabled"] and in_step(site, door), door._words)
