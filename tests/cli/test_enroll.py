"""Enrolling from pictures on the command line: whom it takes, whom it asks about, and what is wrong with a picture."""

import contextlib
import json
import struct
import zlib

import cv2
import numpy as np
import pytest
from door_shell import Shell

from agent.residents import Residents
from agent.roster.store import RosterStore
from fixtures.pictures import PicturesMissingError
from fixtures.scenes import enrolment_pictures


@pytest.fixture(scope="module")
def portraits(tmp_path_factory) -> list[str]:
    try:
        pictures = enrolment_pictures("resident")
    except PicturesMissingError as e:
        pytest.skip(f"the portraits cannot be had here: {e}")
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"picture {n}; rm -rf '$HOME'.jpg" for n in range(len(pictures))]  # a name may hold anything
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    return [str(path) for path in paths]


def test_a_resident_is_enrolled_listed_and_forgotten(shell: Shell, portraits: list[str]):
    code, out, _ = shell.run("enroll", "李梅", *portraits, "--consent", "--json")
    assert code == 0
    person_id = json.loads(out)["id"]
    assert json.loads(out)["templates"] == len(portraits)
    code, out, _ = shell.run("enroll", "--list")
    assert "李梅" in out
    assert person_id in out
    assert shell.run("enroll", "--remove", person_id)[0] == 0
    assert shell.run("enroll", "--remove", person_id)[0] == 1
    left = b"".join(path.read_bytes() for path in (shell.folder / "state").glob("roster.db*"))
    assert "李梅".encode() not in left


def test_somebody_new_is_enrolled_with_the_network_of_everybody_else_until_another_is_named(shell: Shell, portraits):
    """A better network on the device would have made strangers of everybody enrolled before, or of her."""
    old = "dlib-resnet-8bit"
    best = json.loads(shell.run("enroll", "First", *portraits[:3], "--consent", "--json")[1])["model"]
    if best.startswith(old):
        pytest.skip("no better network on this machine: door-agent models pull")
    shell.run("enroll", "--remove", json.loads(shell.run("enroll", "--list", "--json")[1])["people"][0]["id"])
    plain = shell.config.read_text()
    shell.config.write_text(plain + f'[faces]\nnetwork = "{old}"\n')
    assert json.loads(shell.run("enroll", "Li", *portraits[:3], "--consent", "--json")[1])["model"] == f"{old}+mirror"
    shell.config.write_text(plain)
    first = json.loads(shell.run("enroll", "--list", "--json")[1])["people"][0]["id"]
    bo = ("enroll", "Bo", *portraits[:3], "--consent", "--look-alike", first, "--json")
    assert json.loads(shell.run(*bo)[1])["model"] == f"{old}+mirror"
    said = {check["name"]: check for check in json.loads(shell.run("doctor", "--json")[1])["checks"]}["enrolled faces"]
    assert (said["ok"], f'faces.network = "{best}"' in said["found"]) == (True, True)
    shell.config.write_text(plain + f'[faces]\nnetwork = "{best}"\n')
    said = {check["name"]: check for check in json.loads(shell.run("doctor", "--json")[1])["checks"]}["enrolled faces"]
    assert (said["ok"], "2 are strangers to it" in said["found"]) == (False, True)


def test_no_consent_no_face(shell: Shell, portraits: list[str]):
    code, _, err = shell.run("enroll", "Li", *portraits)
    assert code == 7
    assert "add --consent" in err
    code, _, err = shell.run("enroll", "Li", *portraits, "--consent", "--under-14")
    assert code == 7
    assert "--guardian" in err


@pytest.fixture(scope="module")
def strangers_portraits(tmp_path_factory) -> list[str]:
    try:
        pictures = enrolment_pictures("stranger")
    except PicturesMissingError as e:
        pytest.skip(f"the portraits cannot be had here: {e}")
    paths = [tmp_path_factory.mktemp("others") / f"{n}.jpg" for n in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    return [str(path) for path in paths]


def enrolled(shell: Shell) -> dict[str, dict]:
    return {one["id"]: one for one in json.loads(shell.run("enroll", "--list", "--json")[1])["people"]}


def test_somebody_who_is_enrolled_already_is_not_enrolled_again_unless_she_only_looks_like_it(shell: Shell, portraits):
    """Two ids of one face were each other's runner-up: neither ever opened again, and nobody was told."""
    first = json.loads(shell.run("enroll", "Li Mei", *portraits[:3], "--consent", "--json")[1])["id"]
    code, _, err = shell.run("enroll", "Li Mei", *portraits[2:], "--consent")
    assert code == 7
    assert first in err
    assert "Li Mei" in err
    assert f"--person {first}" in err
    assert f"--look-alike {first}" in err
    assert list(enrolled(shell)) == [first]
    code, out, _ = shell.run("enroll", "Li Na", *portraits[2:], "--consent", "--look-alike", first, "--json")
    said = json.loads(out)
    assert (code, said["look_alikes"]) == (0, [first])
    assert any("has no phone yet" in note for note in said["notes"])
    assert {one: facts["second_factor"] for one, facts in enrolled(shell).items()} == {first: True, said["id"]: True}
    assert shell.run("enroll", "--person", first, "--second-factor", "off")[0] == 0
    assert {one: facts["second_factor"] for one, facts in enrolled(shell).items()} == {first: False, said["id"]: True}


def test_a_visit_is_added_to_the_pictures_of_somebody_enrolled_and_nobody_elses(
    shell: Shell, portraits, strangers_portraits
):
    first = json.loads(shell.run("enroll", "Li Mei", *portraits[:3], "--consent", "--json")[1])["id"]
    code, out, _ = shell.run("enroll", "--person", first, portraits[3], "--json")
    assert (code, json.loads(out)["templates"]) == (0, 4)
    assert json.loads(shell.run("enroll", "--person", first, *portraits[3:], "--json")[1])["templates"] == 5
    code, _, err = shell.run("enroll", "--person", first, strangers_portraits[0])
    assert code == 7
    assert "do not look like" in err
    assert enrolled(shell)[first]["templates"] == 5
    assert shell.run("enroll", "--person", "p-none", portraits[0])[0] == 7


def test_somebody_who_has_only_a_phone_gets_a_face_with_her_consent(shell: Shell, portraits):
    with contextlib.closing(RosterStore(shell.folder / "state")) as store:
        person_id = Residents(store).add("Bai", None, (), "", "").id
    code, _, err = shell.run("enroll", "--person", person_id, *portraits[:3])
    assert (code, "--consent" in err) == (7, True)
    assert shell.run("enroll", "--person", person_id, *portraits[:1], "--consent")[0] == 7  # three make a face
    assert shell.run("enroll", "--person", person_id, *portraits[:3], "--consent")[0] == 0
    assert enrolled(shell)[person_id]["templates"] == 3
    with contextlib.closing(RosterStore(shell.folder / "state")) as store:
        twin = Residents(store).add("Bo", None, (), "", "").id
    assert shell.run("enroll", "--person", twin, *portraits[2:], "--consent")[0] == 7  # her first face is new here
    assert shell.run("enroll", "--person", twin, *portraits[2:], "--consent", "--look-alike", person_id)[0] == 0
    assert {one["second_factor"] for one in enrolled(shell).values()} == {True}
    assert shell.run("enroll", "--person", twin, portraits[0])[0] == 0  # both are marked: nothing left to ask


@pytest.mark.parametrize("count", [1, 2, 6])
def test_too_few_or_too_many_pictures_are_refused_and_the_roster_stays_readable(shell: Shell, portraits, count: int):
    """Six made the whole roster unreadable: every later `enroll` failed, and so did the agent."""
    code, _, err = shell.run("enroll", "Li", *[*portraits, portraits[0]][:count], "--consent")
    assert (code, f"{count} picture(s)" in err) == (7, True)
    code, out, _ = shell.run("enroll", "--list", "--json")
    assert (code, json.loads(out)["people"]) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["x" * 201], "name must be text of at most 200"), (["An", "--under-14", "--guardian", "x" * 201], "guardian")],
    ids=["a long name", "a long guardian"],
)
def test_words_that_the_roster_cannot_hold_are_refused_and_it_stays_readable(shell: Shell, portraits, arguments, said):
    code, _, err = shell.run("enroll", arguments[0], *portraits[:3], "--consent", *arguments[1:])
    assert (code, said in err) == (4, True)
    assert shell.run("enroll", "--list", "--json")[0] == 0


def huge_png() -> bytes:
    """A PNG of a few hundred bytes that says it is 10,000 x 10,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (cv2.imencode(".jpg", np.full((480, 640, 3), 127, np.uint8))[1].tobytes(), "no face"),
        (huge_png(), "pixels"),
        (b"\xff\xd8\xff\xe0 cut short", "JPEG"),
        (b"", ""),
        (b"GIF89a; DROP TABLE persons", ""),
    ],
    ids=["no face", "100 megapixels", "cut short", "empty", "not a picture"],
)
def test_a_picture_that_cannot_be_used_is_named_with_the_reason(shell: Shell, content: bytes, said: str):
    path = shell.folder / "li-1.jpg"
    path.write_bytes(content)
    code, _, err = shell.run("enroll", "Li", str(path), str(path), str(path), "--consent")
    assert code == 7
    assert "li-1.jpg" in err
    assert said in err
    assert json.loads(shell.run("enroll", "--list", "--json")[1])["people"] == []
