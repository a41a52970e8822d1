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
    code, _, err = manage("enrol", "mei", *pictures[2:], "--consent")
    assert (code, "li" in err, "--look-alike li" in err) == (7, True, True)
    assert set(People(tmp_path / "people").roster().persons) == {"li"}
    code, said, _ = manage("enrol", "mei", *pictures[2:], "--consent", "--look-alike", "li")
    assert (code, said["look_alikes"]) == (0, ["li"])
    assert sum("no phone yet" in note for note in said["notes"]) == 2
    roster = People(tmp_path / "people").roster().persons
    assert {one.id: (one.second_factor, len(one.faces)) for one in roster.values()} == {
        "li": (True, 3),
        "mei": (True, 3),
    }
