"""A configuration is checked at the door: a fault names file, line, key, value and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, load, parse
from agent.errors import ConfigError
from hardware.errors import SettingsError
from hardware.settings import load_settings

GOOD = """\
[door]
site = "garden"
id = "gate-1"
lock_type = "fail-safe"

[hardware]
backend = "simulated"

[hardware.relay]
pin = 17

[hardware.inputs.exit]
pin = 22

[camera]
source = "none"
"""


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "door.toml")
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_small_file_is_enough_and_gets_safe_defaults():
    config = parse(GOOD.encode())
    assert config.door.release_time_s == 5.0
    assert config.door.lock_duty == "intermittent"
    assert config.server is None
    assert config.console is None
    assert config.faces.policy == "standard"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('lock_type = "fail-safe"\n', "", "door.toml:1: door.lock_type: is required and missing"),
        ("pin = 17", "pin = 17\nactive_hihg = true", "door.toml:11: hardware.relay.active_hihg: unknown key"),
        ("pin = 17", 'pin = 17\nactive_high = "False"', "door.toml:11: hardware.relay.active_high: is 'False'"),
        ("pin = 17", "pin = 40", "door.toml:10: hardware.relay.pin: is 40; allowed: less than or equal to 27"),
        ('id = "gate-1"', 'id = "../etc"', "door.toml:3: door.id: is '../etc'"),
        ("pin = 22", "pin = 17", "pin 17 is used by both relay and exit"),
        ('source = "none"', 'source = "http://x"', "camera.source: is 'http://x'"),
        (
            "[camera]",
            "[camra]",
            "door.toml:15: camra: unknown key; remove it or correct its spelling (did you mean camera?)",
        ),
    ],
)
def test_each_fault_names_line_key_value_and_what_is_allowed(old, new, expected):
    assert expected in fault(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("gate-1", "Gate 1", "door.toml:3: door.id: is 'Gate 1'; allowed: 1 to 63 of a-z, 0-9 and -"),
        ('"none"', '"webcam"', "camera.source: is 'webcam'; allowed: v4l2:/dev/v4l/by-id/…"),
        ('"none"', '"rtsp://192.0.2.1:99999/x"', "camera.source: the port in the camera's address"),
        ("[camera]", "[store]\nstate_dir = '~/state'\n[camera]", "is '~/state'; allowed: a path that begins with /"),
        ("[camera]", "[server]\nhost = 'mqtt://b'\n[camera]", "server.host: 'mqtt://b' is not a host's name"),
        ("[camera]", "[server]\nhost = 'a..b'\n[camera]", "server.host: 'a..b' is not a host's name or address"),
        ("[camera]", "[[console]]\n[camera]", "console: is [{}]; allowed: a section, [console]"),
        ('"gate-1"', '"gate-1"\ntimezone = "Beijing"', "door.toml:4: door.timezone: 'Beijing' is not an IANA name"),
        ('[hardware]\nbackend = "simulated"\n', "buzzer_pin = 17\n", "door.toml:6: door.buzzer_pin: unknown"),
        ('[hardware]\nbackend = "simulated"\n\n[hardware.relay]\npin = 17', "[hardware.relay]\npin = 22",
         "door.toml:6: hardware: pin 22 is used by both"),
    ],
)  # fmt: skip
def test_what_is_allowed_is_said_in_an_installers_words_at_the_right_line(old, new, expected):
    """It was a regular expression, a Python class, or line 1."""
    assert old in GOOD
    assert expected in fault(GOOD.replace(old, new))


@pytest.mark.parametrize("source", ["http://cam:hunter2@192.0.2.1/", "rtsp://cam:hun@ter2@camera/", "x//cam:a/ter2@h"])
def test_no_message_tells_a_cameras_login(source):
    """What does not start is said in the log, by each of the processes."""
    said = fault(GOOD.replace('"none"', f'"{source}"'))
    assert "camera.source" in said
    assert "ter2" not in said


def test_files_from_windows_are_read_by_agent_and_guard_alike(tmp_path: Path):
    """A file that Notepad saved with its mark was "not valid TOML" to both."""
    file = tmp_path / "door.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(file).hardware.relay.pin == load_settings(str(file)).relay.pin == 17
    file.write_bytes(f"# 门\n{GOOD}".encode("gbk"))
    with pytest.raises(ConfigError, match="save the file as UTF-8"):
        load(file)
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(str(file))


def test_the_text_false_is_not_a_boolean():
    assert "allowed: boolean" in fault(GOOD.replace("pin = 17", 'pin = 17\nactive_high = "no"'))


def test_a_release_longer_than_the_cap_is_refused():
    text = GOOD.replace("[hardware]\n", "", 1).replace(
        'lock_type = "fail-safe"', 'lock_type = "fail-safe"\nrelease_time_s = 11.0\n[hardware]'
    )
    assert "less than or equal to 10" in fault(text)


def test_a_missing_file_says_how_to_name_another(tmp_path: Path):
    with pytest.raises(ConfigError, match="--config"):
        load(tmp_path / "absent.toml")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a = ", b"[" * 4000, b"x = " + b"[" * 3000, b"\x00"])
def test_rubbish_is_one_sentence_not_a_traceback(raw: bytes):
    with pytest.raises(ConfigError):
        parse(raw)


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text: str):
    try:
        assert isinstance(parse(text.encode("utf-8", "surrogatepass")), Config)
    except ConfigError:
        return  # the only error a text may cause
