"""door-agent roster: a backup without templates, an import that is whole or not at all."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.core.roster import Consent
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from fixtures.plain_door import HOURS, MAGNET, OFFICE, plain_door

VECTOR = bytes(range(256)) * 4
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def residents(tmp_path: Path) -> Iterator[Residents]:
    store = RosterStore(tmp_path / "state")
    residents = Residents(store)
    for name in ("Li Mei", "Bo Xiangwen"):
        residents.add(name, consent_now(1_790_000_000), [NewFace(VECTOR, 0.9)], "net", "five-points")
    yield residents
    store.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as a person types it: exit code and everything printed."""
    (tmp_path / "door.toml").write_text(plain_door(tmp_path, MAGNET))

    def call(*words: object, as_json: bool = False) -> tuple[int, str]:
        options = ["--config", str(tmp_path / "door.toml"), *(["--json"] if as_json else [])]
        code = main(["roster", *options, *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def li(residents: Residents) -> str:
    return next(p.id for p in residents.roster.persons.values() if p.name == "Li Mei")


def vectors(residents: Residents) -> dict[str, bytes]:
    return {t.person_id: t.vector for t in residents._store.templates("net", "five-points")}


@pytest.fixture
def put_in(tmp_path: Path, run: Run) -> Callable[..., tuple[int, str]]:
    """Import this value, written to a file."""

    def call(value: Any, *words: str, as_json: bool = False) -> tuple[int, str]:
        file = tmp_path / "in.json"
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return run("import", file, *words, as_json=as_json)

    return call


def test_an_export_holds_names_and_hours_never_a_template_and_is_its_owners_alone(
    residents: Residents, run: Run, put_in: Run, tmp_path: Path
):
    put_in(HOURS)
    file = tmp_path / "backup.json"
    assert run("export", file)[0] == 0
    text = file.read_text()
    assert "Li Mei" in text
    assert not {"faces", "template", "vector", "net", "five-points"} & set(text.replace('"', " ").split())
    assert {k: v for k, v in json.loads(text).items() if k not in ("v", "persons")} == HOURS
    assert file.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backup.json", "door.toml", "in.json", "state"]


def test_an_export_comes_back_without_any_difference(residents: Residents, run: Run, put_in: Run, tmp_path: Path):
    put_in(HOURS)
    residents.changed()
    epoch, before = residents.roster.epoch, vectors(residents)
    run("export", tmp_path / "backup.json")
    code, said = run("import", tmp_path / "backup.json")
    assert (code, said) == (0, "no difference\n")
    assert not residents.changed()
    assert (residents.roster.epoch, vectors(residents)) == (epoch, before)


def test_an_import_of_hours_alone_leaves_the_people_and_a_running_door_sees_it(residents: Residents, put_in: Run):
    before = vectors(residents)
    assert put_in(HOURS)[0] == 0
    assert residents.changed()
    assert residents.roster.calendar.holidays == {"2026-10-01"}
    assert residents.roster.unlock_hours[0].first_person_in
    assert vectors(residents) == before
    assert len(before) == 2


def test_who_stays_keeps_the_face_who_is_left_out_is_purged_from_the_disk(
    residents: Residents, put_in: Run, tmp_path: Path
):
    stays = li(residents)
    goes = next(p for p in residents.roster.persons if p != stays)
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "roster.db")) as db:
        sealed = db.execute("SELECT sealed FROM templates WHERE person_id = ?", (goes,)).fetchone()[0][:200]
    files = lambda: b"".join(p.read_bytes() for p in (tmp_path / "state").glob("roster.db*"))  # noqa: E731
    assert sealed in files()
    code, said = put_in({"persons": [{"id": stays, "extended_release": True}, {"id": "p-new", "name": "An"}]})
    assert code == 0
    assert f"- {goes} Bo Xiangwen (1 face template)" in said
    assert f"~ {stays} Li Mei: extended_release" in said
    assert "+ p-new An" in said
    residents.changed()
    assert set(residents.roster.persons) == {stays, "p-new"}
    assert residents.person(stays).name == "Li Mei"  # what the file does not say stays as it was
    assert residents.person(stays).extended_release
    assert vectors(residents) == {stays: VECTOR}
    assert sealed not in files()
    assert b"Bo Xiangwen" not in files()
    [purge] = residents._store.purges()  # the id stays until the journal has the receipt
    residents._store.told(purge)
    residents._store.scrub()
    assert goes.encode() not in files()


def test_a_dry_run_says_the_same_and_changes_nothing(residents: Residents, put_in: Run):
    new = {**HOURS, "persons": []}
    dry_code, dry = put_in(new, "--dry-run", as_json=True)
    assert not residents.changed()
    assert len(vectors(residents)) == 2
    code, done = put_in(new, as_json=True)
    assert dry_code == code == 0
    assert {**json.loads(dry), "dry_run": False} == json.loads(done)
    assert len(json.loads(done)["removed"]) == 2
    assert json.loads(done)["site"] == ["schedules", "holidays", "unlock_hours"]
    residents.changed()
    assert vectors(residents) == {}


@pytest.mark.parametrize("consent", [None, Consent("face-at-the-door", 5, True, None), "withdrawn"])  # noqa: FBT003
def test_a_consent_that_is_gone_takes_the_face_with_it(residents: Residents, put_in: Run, consent: Any):
    persons = [{"id": i} for i in residents.roster.persons]
    lawful = {"purpose": "face-at-the-door", "given_utc_s": 5, "under_14": False, "guardian": None}
    new = {**lawful, "withdrawn_utc_s": 9} if consent == "withdrawn" else consent
    if isinstance(consent, Consent):
        new = {**lawful, "under_14": True, "withdrawn_utc_s": None}
    gone = persons[0]["id"]
    persons[0]["consent"] = new
    code, said = put_in({"persons": persons})
    assert code == 0
    assert f"! {gone}: 1 face template forgotten, no consent allows it" in said
    residents.changed()
    assert set(vectors(residents)) == {persons[1]["id"]}
    assert residents.person(gone).faces == ()


WINDOW = OFFICE["windows"][0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"schedules": [OFFICE, {**OFFICE, "id": "b", "windows": [WINDOW, {**WINDOW, "start_min": 1440}]}]},
         "schedules[1].windows[1]: start_min must be a whole number from 0 to 1439"),
        ({"schedules": [{"id": "a"}]}, "schedules[0]: keys unknown or missing: windows"),
        ({"schedules": {}}, "schedules: must be a list"),
        ({"schedules": [7]}, "schedules[0]: must be an object"),
        ({"schedules": [{"id": "a", "windows": 7}]}, "schedules[0]: windows must be a list"),
        ({"schedules": [OFFICE, OFFICE]}, "schedules must have different ids"),
        ({"holidays": ["2026-10-01", "2026-13-01"]}, "holidays[1]: must be a date like 2026-10-01"),
        ({"unlock_hours": [{"schedule": "office", "first_person_in": 1}]},
         "unlock_hours[0]: first_person_in must be true or false"),
        ({"unlock_hours": [{"schedule": "night", "first_person_in": True}]}, "unlock_hours names night, which is not"),
        ({"persons": [{"id": "a"}, {"id": "b", "kind": "burglar"}]}, "persons[1] kind must be one of resident"),
        ({"persons": [{"id": "a", "schedules": ["night"]}]}, "persons[0] schedules names night, which is not"),
        ({"persons": [{"id": "a"}, {"id": "a"}]}, "persons[1] id a is there twice"),
        ({"persons": [{"id": ["a"]}]}, "persons[0] id must be text"),
        ({"persons": [7]}, "persons[0] must be an object"),
        ({"persons": [{"name": "no id"}]}, "persons[0] id is empty"),
        ({"persons": [{"id": "a", "nmae": "An"}]}, "persons[0] keys unknown or missing: nmae"),
        ({"persons": [{"id": "a", "faces": []}]}, "persons[0]: faces are not imported"),
        ({"persons": [{"id": f"p{n}"} for n in range(20_001)]}, "persons must be a list of at most 20000"),
        ({"people": []}, "unknown key people"),
        ({"v": 2, **HOURS}, "v must be a whole number from 1 to 1"),
        ({}, "nothing to import"),
        ([], "must be an object"),
        ('{"schedules": [}', "line 1"),
        ("[" * 100_000, "nested too deeply"),
        ('{"persons": [{"id": "a", "name": "\\ud800"}]}', "half a character"),
        ("\0\1", "is not JSON"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_message_with_the_place_and_changes_nothing(
    residents: Residents, put_in: Run, value: Any, said: str
):
    code, text = put_in(value)
    assert code == 3
    assert said in text
    assert "in.json" in text
    assert "Traceback" not in text
    assert not residents.changed()
    assert len(vectors(residents)) == 2


def test_a_file_that_cannot_be_read_or_written_or_is_too_large_says_so(residents: Residents, run: Run, tmp_path: Path):
    assert run("import", tmp_path / "none.json") == (
        3, f"door-agent: {tmp_path}/none.json: cannot be read (No such file or directory)\n")  # fmt: skip
    with (tmp_path / "large.json").open("wb") as f:
        f.truncate(33 * 1024 * 1024)
    code, said = run("import", tmp_path / "large.json")
    assert code == 3
    assert "larger than 32 MiB" in said
    code, said = run("export", tmp_path / "none" / "out.json")
    assert code == 1
    assert "cannot be written (No such file" in said
    assert run("export", "/dev/null")[0] == 1
    assert Path("/dev/null").is_char_device()


def test_show_prints_people_and_hours_as_people_write_them(residents: Residents, run: Run, put_in: Run):
    night = {"id": "night", "windows": [{"days": ["sat"], "start_min": 1320, "end_min": 360}]}
    put_in({**HOURS, "schedules": [OFFICE, night]})
    code, said = run("show")
    assert code == 0
    for line in (
        "Li Mei",
        "2 people",
        "schedule office: mon fri 08:00-18:00",
        "schedule night: sat 22:00-06:00 (next day)",
        "holidays: 2026-10-01",
        "unlocked: office, from the first person in",
    ):
        assert line in said
    assert json.loads(run("show", as_json=True)[1])["unlock_hours"] == HOURS["unlock_hours"]


def test_hours_for_an_intermittent_lock_are_stored_with_a_warning(
    residents: Residents, run: Run, put_in: Run, tmp_path: Path
):
    config = tmp_path / "door.toml"
    config.write_text(config.read_text().replace('"continuous"', '"intermittent"'))
    code, said = put_in(HOURS)
    assert code == 0
    assert "door.lock_duty is intermittent" in said


def test_an_old_file_does_not_bring_back_a_consent_that_was_withdrawn_since(residents: Residents, run: Run, put_in):
    """The backup of last month has the old consent of everybody; nobody's withdrawal may be undone by restoring it."""
    run("export", residents.store._path.parent / "out.json")
    document = json.loads((residents.store._path.parent / "out.json").read_text())
    residents.withdraw(li(residents), 1_790_000_100)
    code, said = put_in(document)
    assert (code, f"! {li(residents)}: consent was withdrawn" in said) == (0, True)
    residents.changed()
    consent = residents.person(li(residents)).consent
    assert (consent.given_utc_s, consent.withdrawn_utc_s) == (1_790_000_000, 1_790_000_100)
    for one in document["persons"]:  # and not by way of a file that has none either
        one["consent"] = None
    assert put_in(document)[0] == 0
    residents.changed()
    assert residents.person(li(residents)).consent.withdrawn_utc_s == 1_790_000_100
    fresh = {"purpose": "face-at-the-door", "given_utc_s": 1_790_000_200, "under_14": False, "guardian": None,
             "withdrawn_utc_s": None}  # fmt: skip
    for one in document["persons"]:
        one["consent"] = fresh
    assert put_in(document)[0] == 0
    residents.changed()
    assert residents.person(li(residents)).consent.lawful


def test_somebody_who_was_removed_after_a_withdrawal_is_still_withdrawn_in_an_old_file(residents, run: Run, put_in):
    run("export", residents.store._path.parent / "out.json")
    document = json.loads((residents.store._path.parent / "out.json").read_text())
    gone = li(residents)
    residents.withdraw(gone, 1_790_000_100)
    residents.remove(gone)
    assert put_in(document)[0] == 0
    residents.changed()
    assert not residents.person(gone).consent.lawful
