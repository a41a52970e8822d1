"""The command line as a person meets it: enrolling, looking, checking; every mistake is one message and a code."""

import contextlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cli import doctor
from agent.cli.main import main
from agent.core.events import Kind, Record
from agent.core.journal import ClockQuality
from agent.outbox_open import open_journal
from agent.outbox_schema import Moment
from agent.residents import Residents
from agent.roster_store import RosterStore
from fixtures.pictures import PicturesMissingError
from fixtures.scenes import enrolment_pictures

CONFIG = """\
[door]
site = "garden"
id = "gate-1"
lock_type = "fail-safe"
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[camera]
source = "still:{folder}/absent.jpg"
[store]
state_dir = "{folder}/state"
[runtime]
agent_dir = "{folder}/run"
guard_dir = "{folder}/run"
"""


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "door.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "state").mkdir()

    def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli.main", command, "--config", str(self.config), *arguments],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


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


def test_check_config_says_right_or_wrong(shell: Shell):
    assert shell.run("check-config")[0] == 0
    shell.config.write_text(shell.config.read_text().replace("pin = 17", "pin = 99"))
    code, _, err = shell.run("check-config")
    assert code == 3
    assert "hardware.relay.pin: is 99; allowed: less than or equal to 27" in err


@pytest.mark.parametrize("options", [(), ("--json",), ("--camera-network",)])
def test_check_config_keeps_a_network_cameras_password_to_itself(shell: Shell, options):
    text = shell.config.read_text()
    source = next(line for line in text.splitlines() if line.startswith("source"))
    shell.config.write_text(text.replace(source, 'source = "rtsp://cam:hunter2@192.0.2.10/live"'))
    code, out, err = shell.run("check-config", *options)
    assert (code, err) == (0, "")
    assert "192.0.2.10" in out
    assert "hunter2" not in out
    shell.config.write_text(text.replace(source, 'source = "rtsp://cam:hunter2@camera.local/live"'))
    code, out, err = shell.run("check-config", *options)
    assert code == 3
    assert "as a number" in out + err
    assert "hunter2" not in out + err


def test_doctor_finds_the_missing_camera_and_the_empty_roster(shell: Shell):
    code, out, _ = shell.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert not checks["roster"]["ok"]
    assert "door-agent enroll" in checks["roster"]["do_this"]
    camera = next(check for name, check in checks.items() if "camera" in name)
    assert not camera["ok"]
    assert camera["do_this"]


def test_relay_off_works_on_a_simulated_door(shell: Shell):
    assert shell.run("relay-off")[0] == 0


def test_events_without_a_journal_says_where_it_should_be(shell: Shell):
    code, _, err = shell.run("events", "list")
    assert code == 4
    assert "store.state_dir" in err


def test_errors_are_json_too(shell: Shell):
    code, out, _ = shell.run("events", "verify", "--json")
    assert json.loads(out)["exit_code"] == code == 4


def test_the_day_is_a_page_and_a_wrong_day_or_zone_is_the_users(shell: Shell, capsys):
    """`events report` prints one self-contained page; what it can't understand exits 2."""
    moment = Moment("boot", 1, 1_790_000_000_000, ClockQuality.NTP)  # 2026-09-21 in Xiamen
    store = open_journal(shell.folder / "state" / "journal.db", "garden/gate-1", moment).store
    store.append([(moment, Record(Kind.DOORBELL, {"state": "Ring"}))])
    store.close()
    report = ["events", "report", "--config", str(shell.config)]
    assert main([*report, "--day", "2026-09-21"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>")
    assert "Door/Doorbell" in page
    assert main([*report, "--day", "2026-09-20", "--timezone", "UTC", "--json"]) == 0
    assert "Door/Doorbell" not in json.loads(capsys.readouterr().out)["page"]
    assert main([*report, "--timezone", "Mars/Base"]) == 2
    assert "IANA" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*report, "--day", "yesterday"])
    assert "not a day" in capsys.readouterr().err


def test_doctor_says_what_disk_the_journal_is_on(tmp_path: Path):
    """Room for the quota is expected; a quota larger than the disk is named with what to do."""
    disk = doctor._disk(tmp_path, 8)
    assert disk.ok == (not disk.found.startswith("tmpfs"))
    assert "store.quota_mib" in doctor._disk(tmp_path, 2**40).do_this
