"""Enrolling for all doors at the server: who is there already, or looks alike, is said before anything is stored."""

import json

import cv2
import pytest

from deploy.community.manage import main
from deploy.community.people import People
from fixtures.pictures import PicturesMissingError
from fixtures.scenes import enrolment_pictures


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    try:
        found = enrolment_pictures("resident")
    except PicturesMissingError as e:
        pytest.skip(f"the portraits cannot be had here: {e}")
    paths = [tmp_path / f"{n}.jpg" for n in range(len(found))]
    for path, picture in zip(paths, found, strict=True):
        path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    return [str(path) for path in paths]


@pytest.fixture
def manage(tmp_path, capsys):
    config = tmp_path / "community.toml"
    names = ("ca_file", "cert_file", "key_file", "signing_key_file")
    config.write_text("".join(f'{name} = "{name}.pem"\n' for name in names))

    def call(*words):
        code = main(["--config", str(config), "--json", *words])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else {}, printed.err

    return call


def test_a_face_that_is_there_already_is_enrolled_once_and_look_alikes_need_the_phone(manage, pictures, tmp_path):
    """Two ids of one face opened nothing any more, and nobody had been told."""
    assert manage("enrol", "li", *pictures[:3], "--consent")[0] == 0
    assert manage("enrol", "li", *pictures[1:4], "--consent")[0] == 0  # the same person again: newer pictures
    code, said, _ = manage("enrol", "mei", *pictures[2:], "--consent")
    assert (code, "li" in said["error"], "--look-alike li" in said["error"]) == (7, True, True)
    assert set(People(tmp_path / "people").roster().persons) == {"li"}
    code, said, _ = manage("enrol", "mei", *pictures[2:], "--consent", "--look-alike", "li")
    assert (code, said["look_alikes"]) == (0, ["li"])
    assert sum("no phone yet" in note for note in said["notes"]) == 2
    roster = People(tmp_path / "people").roster().persons
    assert {one.id: (one.second_factor, len(one.faces)) for one in roster.values()} == {
        "li": (True, 3),
        "mei": (True, 3),
    }


def test_what_is_typed_is_checked_before_it_is_kept(manage, tmp_path):
    """A file in GBK was a traceback, Notepad's mark no JSON; a misspelt door was kept for ever, the right one not."""
    hours = tmp_path / "hours.json"
    hours.write_bytes(b"\xef\xbb\xbf" + json.dumps({"holidays": ["2026-10-01"]}).encode())
    assert manage("hours", str(hours)) == (0, {"hours": "set"}, "")
    hours.write_bytes('{"holidays": ["国庆"]}'.encode("gbk"))
    code, said, _ = manage("hours", str(hours))
    assert (code, str(hours) in said["error"], "UTF-8" in said["error"]) == (3, True, True)
    for door in ("garden gate-1", "gate-1", "Garden/gate-1", "garden/gate-1/x"):
        code, said, _ = manage("door", door, "*")
        assert (code, "SITE/DOOR" in said["error"]) == (3, True)
    assert manage("doors")[1] == []
