"""The roster as one whole: replaced and read at one moment, and brought forward from the first version's file."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hours_world import OFFICE as HOURS

from agent.core.roster import parse
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import SCHEMA_VERSION, RosterStore

VECTOR = bytes(range(256)) * 4


@pytest.fixture
def residents(tmp_path: Path) -> Iterator[Residents]:
    store = RosterStore(tmp_path / "state")
    residents = Residents(store)
    for name in ("Li Mei", "Bo"):
        residents.add(name, consent_now(1_790_000_000), [NewFace(VECTOR, 0.9)], "net", "five-points")
    yield residents
    store.close()


def vectors(residents: Residents) -> dict[str, bytes]:
    return {t.person_id: t.vector for t in residents._store.templates("net", "five-points")}


def test_an_import_over_somebody_else_s_change_is_refused_whole(residents: Residents, tmp_path: Path):
    """Somebody is enrolled at the door between reading and writing: nobody is lost."""
    with contextlib.closing(RosterStore(tmp_path / "state")) as other:
        roster = Residents(other).roster
        residents.add("Cai", consent_now(1_790_000_000), [NewFace(VECTOR, 0.9)], "net", "five-points")
        with pytest.raises(OSError, match="changed the roster meanwhile"):
            Residents(other).replace_all(roster, roster.epoch)
    assert len(vectors(residents)) == 3


def test_a_reader_sees_people_and_hours_of_one_moment(residents: Residents, tmp_path: Path):
    """An import that commits while another process reads must not mix old hours with new people."""
    with contextlib.closing(RosterStore(tmp_path / "state")) as other:
        writer = Residents(other)
        persons = [{**person, "schedules": ["office"]} for person in writer.snapshot()["persons"]]
        office = parse({**writer.snapshot(), **HOURS, "persons": persons})
        other._db.execute("PRAGMA busy_timeout = 0")  # its checkpoint need not wait for this very reader
        seen = []

        def trace(statement: str) -> None:
            if statement.startswith("SELECT id, body FROM persons") and not seen:
                seen.append(statement)
                writer.replace(office)

        residents._store._db.set_trace_callback(trace)
        found = residents._store.snapshot()
        residents._store._db.set_trace_callback(None)
    assert seen
    assert found["schedules"] == []
    assert {tuple(p["schedules"]) for p in found["persons"]} == {("always",)}
    assert residents.changed()
    assert residents.roster.unlock_hours


VERSION_1 = """
CREATE TABLE persons (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE templates (
  person_id TEXT NOT NULL REFERENCES persons(id) ON DELETE CASCADE,
  template_id TEXT NOT NULL, model_id TEXT NOT NULL, alignment_id TEXT NOT NULL, quality REAL NOT NULL,
  nonce BLOB NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (person_id, template_id)) STRICT, WITHOUT ROWID;
CREATE TABLE meta (epoch INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES (41);
PRAGMA journal_mode = WAL;
PRAGMA user_version = 1;
"""


def version_1(folder: Path) -> None:
    """A file as the first version wrote it, with one person and a sealed template."""
    folder.mkdir()
    key, nonce = bytes(32), bytes(12)
    (folder / "roster.key").write_bytes(key)
    bound = b'["p-li", "t-1", "net", "five-points"]'
    consent = {"purpose": "face-at-the-door", "given_utc_s": 5, "under_14": False, "guardian": None}
    li = {
        "id": "p-li", "name": "Li Mei", "kind": "resident", "enabled": True, "groups": [], "schedules": ["always"],
        "valid_from_utc_s": None, "valid_until_utc_s": None, "extended_release": False, "second_factor": False,
        "consent": {**consent, "withdrawn_utc_s": None}, "phones": [],
        "faces": [{"template_id": "t-1", "model_id": "net", "alignment_id": "five-points"}],
    }  # fmt: skip
    with contextlib.closing(sqlite3.connect(folder / "roster.db", isolation_level=None)) as db:
        db.executescript(VERSION_1)
        db.execute("INSERT INTO persons VALUES ('p-li', ?)", (json.dumps(li),))
        sealed = AESGCM(key).encrypt(nonce, VECTOR, bound)
        db.execute("INSERT INTO templates VALUES ('p-li', 't-1', 'net', 'five-points', 0.9, ?, ?)", (nonce, sealed))


def test_a_version_1_file_is_brought_forward_with_everybody_in_it(tmp_path: Path):
    version_1(tmp_path / "state")
    for _ in range(2):  # and stays so when it is opened again
        with contextlib.closing(RosterStore(tmp_path / "state")) as store:
            residents = Residents(store)
            assert residents.roster.epoch == 41
            assert residents.person("p-li").name == "Li Mei"
            assert vectors(residents) == {"p-li": VECTOR}
            assert residents.roster.unlock_hours == ()
            assert store._db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_step_to_the_new_version_that_fails_leaves_the_old_one(tmp_path: Path):
    """A table in the way stands for a power cut in the middle: all or nothing."""
    version_1(tmp_path / "state")
    file = tmp_path / "state" / "roster.db"
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE site (other TEXT)")
    with pytest.raises(OSError, match="not a usable roster"):
        RosterStore(tmp_path / "state")
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("DROP TABLE site")
    with contextlib.closing(RosterStore(tmp_path / "state")) as store:
        assert vectors(Residents(store)) == {"p-li": VECTOR}
