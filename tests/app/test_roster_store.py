"""Templates on disk are sealed, bound to their person, and gone when withdrawn."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.core.roster import FaceTemplate, Person
from agent.errors import StoreError
from agent.roster.changes import RosterChanges, consent_now
from agent.roster.store import RosterStore, StoredTemplate

VECTOR = bytes(range(256)) * 4
NAMES = ("net", "five-points")


def anna(*template_ids: str) -> Person:
    faces = tuple(FaceTemplate(one, *NAMES) for one in template_ids)
    return Person(id="p-anna", name="Anna", groups=("residents",), consent=consent_now(5), faces=faces)


def template(vector: bytes = VECTOR, template_id: str = "t-1") -> StoredTemplate:
    return StoredTemplate("p-anna", template_id, *NAMES, 0.9, vector)


@pytest.fixture
def store(tmp_path: Path):
    store = RosterStore(tmp_path)
    yield store
    store.close()


def opened(store: RosterStore) -> list[bytes]:
    return [t.vector for t in store.templates("net", "five-points")]


def test_a_template_comes_back_only_for_its_own_network_and_alignment(store: RosterStore):
    store.put(anna("t-1"), [template()])
    assert opened(store) == [VECTOR]
    assert list(store.templates("other", "five-points")) == []


def test_enrolling_again_replaces_and_raises_the_epoch(store: RosterStore):
    first = store.put(anna("t-1"), [template()])
    second = store.put(anna("t-1", "t-2"), [template(VECTOR[::-1]), template(template_id="t-2")])
    assert second > first
    assert sorted(opened(store)) == sorted([VECTOR, VECTOR[::-1]])


def test_no_byte_of_a_template_stands_on_the_disk_before_or_after_withdrawal(store: RosterStore, tmp_path: Path):
    store.put(anna("t-1"), [template()])
    with contextlib.closing(sqlite3.connect(tmp_path / "roster.db")) as db:
        sealed = db.execute("SELECT sealed FROM templates").fetchone()[0][:200]
    files = lambda: b"".join(p.read_bytes() for p in tmp_path.glob("roster.db*"))  # noqa: E731
    assert VECTOR[:32] not in files()
    assert sealed in files()
    assert RosterChanges(store).remove("p-anna")
    assert sealed not in files()
    assert b"Anna" not in files()


def test_a_row_moved_to_another_person_does_not_open(store: RosterStore, tmp_path: Path):
    store.put(anna("t-1"), [template()])
    store.put(Person(id="p-thief"))
    with contextlib.closing(sqlite3.connect(tmp_path / "roster.db", isolation_level=None)) as thief:
        thief.execute("UPDATE templates SET person_id = 'p-thief'")
    with pytest.raises(StoreError, match="p-thief does not open"):
        opened(store)


def test_a_stolen_database_without_its_key_says_so(store: RosterStore, tmp_path: Path):
    store.put(anna("t-1"), [template()])
    other = tmp_path / "thief"
    other.mkdir()
    shutil.copy(tmp_path / "roster.db", other)
    with pytest.raises(StoreError, match="key of the roster is gone"):
        RosterStore(other)


@pytest.mark.parametrize(
    ("content", "said"), [(b"rubbish " * 600, "not a usable roster"), (b"", None)], ids=["rubbish", "empty"]
)
def test_a_damaged_file_is_a_message_and_an_empty_one_is_new(tmp_path: Path, content: bytes, said: str | None):
    RosterStore(tmp_path).close()
    (tmp_path / "roster.db").write_bytes(content)
    for leftover in tmp_path.glob("roster.db-*"):
        leftover.unlink()
    if said:
        with pytest.raises(StoreError, match=said):
            RosterStore(tmp_path)
    else:
        RosterStore(tmp_path).close()


def test_a_newer_version_is_left_alone(tmp_path: Path):
    RosterStore(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "roster.db", isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer release"):
        RosterStore(tmp_path)


def test_key_and_database_are_the_owners_alone(store: RosterStore, tmp_path: Path):
    store.put(anna())
    assert {p.stat().st_mode & 0o077 for p in (tmp_path / "roster.key", tmp_path / "roster.db")} == {0}
