"""A configuration is checked at the door: a fault names file, line, key, value and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, load, parse
from agent.errors import ConfigError

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
