"""The roster as a spreadsheet table: what goes out comes back, pictures become templates, a bad cell names itself."""

import contextlib
import csv
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.main import main
from agent.cli.roster_csv import COLUMNS, read_table, write_table
from agent.core.roster import SITE_PURPOSE, Consent, Person, PersonKind, PhoneKey, person_json
from agent.errors import ConfigError
from agent.residents import Residents
from agent.roster.store import RosterStore
from fixtures.plain_door import HOURS, MAGNET, plain_door
from models.gallery import Gallery
from models.scale import PLAIN

ZONE = ZoneInfo("Asia/Shanghai")
KEY = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200"
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)  # P-256's own base point as a public key
PHONE = PhoneKey("", KEY, enabled=False)
EVERYTHING = Person(
    id="3-502-1", name="=cmd|'/c calc'!A1", kind=PersonKind.CONTRACTOR, enabled=False, groups=("block-3", "roof"),
    schedules=("office", "always"), valid_from_utc_s=1_790_000_000, valid_until_utc_s=1_800_000_000,
    extended_release=True, second_factor=True,
    consent=Consent(SITE_PURPOSE, 1_790_000_000, under_14=True, guardian="李梅"),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "door.toml").write_text(plain_door(tmp_path, MAGNET))
    with contextlib.closing(RosterStore(tmp_path / "state")) as store, store.transaction():
        store.put_hours(HOURS)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*words: object) -> tuple[int, str]:
        code = main(["roster", "--config", str(folder / "door.toml"), *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def people(folder: Path) -> dict[str, Person]:
    with contextlib.closing(RosterStore(folder / "state")) as store:
        return dict(Residents(store).roster.persons)


def table(*rows: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def test_everything_but_templates_goes_out_and_comes_back_the_same(folder: Path, run):
    from agent.core.passes import reference

    [key] = person_json(Person(id="", phones=(PHONE,)))["phones"]
    person = {**person_json(EVERYTHING), "phones": [{**key, "key_id": reference(KEY).hex()}]}
    data = write_table([person], ZONE)
    [back] = read_table(data, "x.csv", ZONE)[0]["persons"]
    assert {**person, **back} == {**person, "faces": []}
    assert "'=cmd" in data.decode("utf-8-sig")  # a spreadsheet would run it
    (folder / "people.csv").write_bytes(data)
    code, said = run("import", folder / "people.csv")
    assert (code, "+ 3-502-1" in said) == (0, True)
    assert run("export", folder / "out.csv")[0] == 0
    assert (folder / "out.csv").read_bytes() == data
    assert (folder / "out.csv").stat().st_mode & 0o077 == 0
    assert run("import", folder / "out.csv")[1].strip() == "no difference"


def test_what_a_spreadsheet_here_saves_is_read(folder: Path, run):
    """GB 18030, Chinese yes and no, a Chinese semicolon, dates with slashes, a whole last day."""
    text = table(
        {"id": "1", "name": "李梅", "extended_release": "是", "groups": "一号楼；楼顶", "valid_until": "2026/10/01"},  # noqa: RUF001
        {"id": "2", "name": "王芳", "extended_release": "否", "groups": "", "valid_until": ""},
    )
    (folder / "people.csv").write_bytes(text.encode("gb18030"))
    assert run("import", folder / "people.csv")[0] == 0
    found = people(folder)
    assert (found["1"].name, found["1"].extended_release, found["1"].groups) == ("李梅", True, ("一号楼", "楼顶"))
    assert found["1"].valid_until_utc_s == 1_790_870_400  # 2026-10-02 00:00 in Xiamen
    assert found["2"].schedules == ("always",)


BAD = {
    "no id": {"id": ""},
    "an unknown column": {"id": "1", "colour": "red"},
    "a bad date": {"id": "1", "valid_from": "soon"},
    "neither yes nor no": {"id": "1", "enabled": "perhaps"},
    "an unknown kind": {"id": "1", "kind": "pet"},
    "a phone that is none": {"id": "1", "phones": "AAAA"},
    "an unknown schedule": {"id": "1", "schedules": "moonlight"},
    "a purpose that is none": {"id": "1", "consent_date": "2026-10-01", "consent_purpose": "marketing"},
    "a picture without a consent": {"id": "1", "pictures": "a.jpg"},
    "a child's picture, no guardian": {"id": "1", "pictures": "a.jpg", "consent_date": "2026-10-01", "under_14": "yes"},
}  # fmt: skip


@pytest.mark.parametrize("row", BAD.values(), ids=BAD)
def test_a_bad_cell_is_named_and_nothing_is_changed(folder: Path, run, row: dict):
    (folder / "people.csv").write_text(table({"id": "0"}, row) if "colour" not in row else table(row))
    code, said = run("import", folder / "people.csv")
    assert (code, "Traceback" in said) == (3, False)
    assert "people.csv" in said
    assert people(folder) == {}


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], np.ndarray]:
    """The networks themselves are tested elsewhere: here a picture shows whom its text names before a hyphen."""
    from agent import from_pictures
    from models import enrol

    def vector(name: str) -> np.ndarray:
        who, own = (
            np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:8])).normal(size=256)
            for text in (name.partition("-")[0], name)
        )
        found = who + 0.3 * own
        return found / np.linalg.norm(found)

    network = SimpleNamespace(model_id="net", alignment_id="five", dim=256, scale=PLAIN, weights_sha256="00" * 32)
    pipeline = SimpleNamespace(embedder=network)
    pipeline.gallery = lambda: Gallery(model_id="net", alignment_id="five", dim=256)
    monkeypatch.setattr(from_pictures, "load_for", lambda _settings, _enrolled: pipeline)
    monkeypatch.setattr(from_pictures, "read_picture", lambda path: path.read_bytes())
    monkeypatch.setattr(enrol, "enrol", lambda _pipeline, pictures: tuple(
        SimpleNamespace(vector=vector(data.decode()), quality=0.9) for _, data in pictures
    ))  # fmt: skip
    return vector


def test_pictures_become_templates_of_their_own_row_and_only_from_the_given_folder(folder: Path, run, vectors):
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in (f"{who}-{n}.jpg" for who in ("li", "bo") for n in range(1, 6)):
        (pictures / name).write_text(name)
    agreed = {"consent_date": "2026-10-01"}
    (folder / "people.csv").write_text(
        table({"id": "li", **agreed, "pictures": ";".join(f"li-{n}.jpg" for n in range(1, 6))},
              {"id": "bo", **agreed, "pictures": "bo-1.jpg; bo-2.jpg; bo-3.jpg"},
              {"id": "an", "consent_date": "", "pictures": ""})
    )  # fmt: skip
    assert run("import", folder / "people.csv", "--pictures", pictures)[0] == 0
    assert {i: len(p.faces) for i, p in people(folder).items()} == {"li": 5, "bo": 3, "an": 0}
    with contextlib.closing(RosterStore(folder / "state")) as store:
        kept = {t.vector for t in store.templates("net", "five") if t.person_id == "bo"}
    assert kept == {vectors(f"bo-{n}.jpg").astype("<f4").tobytes() for n in (1, 2, 3)}
    (folder / "people.csv").write_text(table({"id": "li", **agreed, "pictures": "../door.toml; li-1.jpg; li-2.jpg"}))
    code, said = run("import", folder / "people.csv", "--pictures", pictures)
    assert (code, "is not in" in said) == (7, True)
    assert len(people(folder)) == 3


def test_every_row_whose_pictures_cannot_be_used_is_named_at_once_and_nothing_is_changed(folder: Path, run, vectors):
    """Six pictures in one row made the whole roster unreadable, after it was stored."""
    for n in range(6):
        (folder / f"{n}.jpg").write_text(f"one-{n}")
    agreed, names = {"consent_date": "2026-10-01"}, [f"{n}.jpg" for n in range(6)]
    (folder / "people.csv").write_text(
        table(*({"id": who, **agreed, "pictures": ";".join(some)} for who, some in
                (("six", names), ("two", names[:2]), ("good", names[:3]), ("same", [names[0]] * 3))))
    )  # fmt: skip
    code, said = run("import", folder / "people.csv")
    assert code == 7
    assert all(f"{who}: " in said for who in ("six", "two", "same"))
    assert "good: " not in said
    assert people(folder) == {}


def test_rows_and_people_who_look_alike_are_named_until_both_are_marked(folder: Path, run, vectors):
    """A table with the same person twice, or twins, was taken: neither of them ever came in again."""
    for name in (f"{who}-{n}" for who in ("li", "bo") for n in range(9)):
        (folder / f"{name}.jpg").write_text(name)

    def row(who: str, shows: str, numbers: range, marked: str = "") -> dict[str, str]:
        names = ";".join(f"{shows}-{n}.jpg" for n in numbers)
        return {"id": who, "consent_date": "2026-10-01", "pictures": names, "second_factor": marked}

    one, same, other = (row("1", "li", range(3)), row("2", "li", range(3, 6)), row("3", "bo", range(3)))
    (folder / "people.csv").write_text(table(one, same, other))
    code, said = run("import", folder / "people.csv")
    assert (code, "1 and 2" in said, "3" in said.partition(":")[2], people(folder)) == (7, True, False, {})
    (folder / "people.csv").write_text(table(one, other))
    assert run("import", folder / "people.csv")[0] == 0
    known = {"id": "1", "consent_date": "2026-10-01"}
    (folder / "people.csv").write_text(table(known, same))  # a table later: against those who are enrolled
    assert (run("import", folder / "people.csv")[0], set(people(folder))) == (7, {"1", "3"})
    marked = row("2", "li", range(3, 6), "yes")
    (folder / "people.csv").write_text(table(marked, {**known, "second_factor": "yes"}))
    assert run("import", folder / "people.csv")[0] == 0
    assert {i: (p.second_factor, len(p.faces)) for i, p in people(folder).items()} == {"1": (True, 3), "2": (True, 3)}


def test_an_old_table_does_not_bring_a_withdrawn_face_back(folder: Path, run, vectors):
    """Pictures and an old consent date stand in last year's table; the withdrawal since is not in it."""
    for n in range(3):
        (folder / f"{n}.jpg").write_text(str(n))
    row = {"id": "li", "consent_date": "2026-10-01", "pictures": "0.jpg;1.jpg;2.jpg"}
    (folder / "people.csv").write_text(table(row))
    assert run("import", folder / "people.csv")[0] == 0
    with contextlib.closing(RosterStore(folder / "state")) as store:
        Residents(store).withdraw("li", 1_800_000_000)
    code, said = run("import", folder / "people.csv")
    assert (code, "consent was withdrawn (2027-01-15)" in said) == (3, True)
    assert people(folder)["li"].faces == ()
    (folder / "people.csv").write_text(table({**row, "consent_date": "2027-01-16"}))
    assert run("import", folder / "people.csv")[0] == 0
    assert len(people(folder)["li"].faces) == 3


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda t: ("id,name,groups,phones\n" + t).encode()))
def test_any_bytes_are_a_table_or_a_message(data: bytes):
    with contextlib.suppress(ConfigError):
        assert set(read_table(data, "x.csv", ZONE)[0]) == {"persons"}
    assert len(set(COLUMNS)) == len(COLUMNS)
