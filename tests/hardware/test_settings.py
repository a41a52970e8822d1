"""The guard's reading of the door's file, and that it agrees with the agent's."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import config, config_hardware
from hardware import settings as guard_settings
from hardware.errors import SettingsError
from hardware.ports import InputPin, OutputPin
from hardware.settings import INPUTS, load_settings, parse_settings

DOOR: dict[str, Any] = {
    "door": {"lock_type": "fail-safe"},
    "hardware": {"relay": {"pin": 17}, "inputs": {"exit": {"pin": 27}}, "led_red_pin": 6},
}


def changed(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(DOOR)
    *parents, last = path.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
    if value is None:
        del section[last]
    else:
        section[last] = value
    return document


def test_defaults_are_written_out():
    found = parse_settings(DOOR, "door.toml")
    assert found == guard_settings.GuardSettings(
        relay=OutputPin(17, active_high=True),
        lock_type="fail-safe",
        inputs={"exit": InputPin(27, active_low=True, pull="up", debounce_ms=30)},
        lamps={"led_red": OutputPin(6)},
        backend="lgpio",
        chip=0,
        lock_duty="intermittent",
        release_time_s=5.0,
        cap_s=10.0,
        socket_dir="/run/door-guard",
    )
    assert found.socket_path == "/run/door-guard/guard.sock"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("door", None, r"\[door\] is missing"),
        ("door.lock_type", None, "lock_type must be one of fail-safe, fail-secure, it is missing"),
        ("door.lock_type", "magnet", "found 'magnet'"),
        ("door.lock_duty", "sometimes", "continuous, intermittent"),
        ("door.release_time_s", 30, "from 1.0 to 10.0, found 30"),
        ("door.release_time_s", True, "found True"),
        ("door.release_time_s", float("nan"), "found nan"),
        ("hardware.relay", None, r"relay is missing"),
        ("hardware.relay", 17, "must be a section"),
        ("hardware.relay.pin", None, "a whole number from 0 to 27, it is missing"),
        ("hardware.relay.pin", 28, "found 28"),
        ("hardware.relay.pin", 17.0, "found 17.0"),
        ("hardware.relay.active_high", "False", "true or false, found 'False'"),
        ("hardware.backend", "mock", "lgpio, simulated"),
        ("hardware.led_red_pin", -1, "from 0 to 27, found -1"),
        ("hardware.buzzer_active_high", "no", "true or false, found 'no'"),
        ("hardware.inputs.exti", {"pin": 4}, r"unknown key 'exti' \(did you mean exit\?\)"),
        ("hardware.inputs.exit.pull", "weak", "up, down, none"),
        ("hardware.inputs.contact", {"pin": 4, "debounce_ms": 501}, "from 0 to 500"),
        ("hardware.inputs.exit.debounce_ms", 51, "from 0 to 50"),
        ("hardware.inputs.fire", {"pin": 4, "debounce_ms": 80}, "from 0 to 50"),
        ("hardware.inputs.exit.pin", 17, "GPIO17 is used for both relay and exit"),
        ("hardware.buzzer_pin", 6, "GPIO6 is used for both buzzer and led_red"),
        ("runtime.guard_dir", 5, "guard_dir must be text"),
        ("runtime.guard_dir", "run", "a path that begins with /"),
    ],
)
def test_what_is_not_allowed_names_file_key_value_and_range(path, value, says):
    with pytest.raises(SettingsError, match=says) as caught:
        parse_settings(changed(path, value), "/etc/door.toml")
    assert str(caught.value).startswith("/etc/door.toml")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("hardware.relay.active_low", r"active_high = false.*energise.* low level"),
        ("hardware.relay.active_hihg", r"did you mean active_high\?"),
        ("hardware.relay.pull", "known here: pin, active_high"),
        ("hardware.rely", r"did you mean relay\?"),
        ("hardware.buzzer", r"did you mean buzzer_pin\?"),
        ("hardware.inputs.exit.active_hgih", r"\[hardware\].inputs.exit: unknown key"),
        ("door.lock_dutty", r"did you mean lock_duty\?"),
        ("runtime.guard_dri", r"did you mean guard_dir\?"),
    ],
)
def test_a_misspelt_key_is_refused_and_never_a_default_that_nobody_chose(path, says):
    """An active-low board whose `active_high = false` is misspelt would be driven energised for good."""
    with pytest.raises(SettingsError, match=says):
        parse_settings(changed(path, 0), "/etc/door.toml")


def test_every_key_of_the_agents_configuration_is_known_to_the_guard_where_it_reads():
    known = {**config.Door.model_fields, **config.Runtime.model_fields}
    assert known.keys() == {*guard_settings.DOOR_KEYS, *guard_settings.RUNTIME_KEYS}
    assert tuple(config_hardware.Hardware.model_fields) == guard_settings.HARDWARE_KEYS
    assert tuple(config_hardware.Relay.model_fields) == guard_settings.RELAY_KEYS
    assert tuple(config_hardware.InputLine.model_fields) == guard_settings.INPUT_KEYS


def test_a_file_that_is_no_toml_or_not_there(tmp_path):
    for text in ("[door", "x = " + "[" * 3000):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(SettingsError, match="is not TOML"):
            load_settings(str(tmp_path / "a.toml"))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(str(tmp_path / "b.toml"))


def test_the_agents_configuration_has_the_same_defaults_and_names():
    ours, theirs = parse_settings(DOOR, "x"), config_hardware.Hardware.model_validate(DOOR["hardware"])
    assert tuple(config_hardware.Inputs.model_fields) == INPUTS
    assert config_hardware.MAX_WAY_OUT_DEBOUNCE_MS == guard_settings.MAX_WAY_OUT_DEBOUNCE_MS
    assert theirs.inputs.exit is not None
    assert ours.inputs["exit"] == InputPin(**theirs.inputs.exit.model_dump())
    assert ours.relay == OutputPin(**theirs.relay.model_dump())
    assert (ours.backend, ours.chip, ours.lamps["led_red"].pin) == (theirs.backend, theirs.chip, theirs.led_red_pin)
    door = config.Door.model_validate({"site": "s", "id": "d", **DOOR["door"]})
    assert (ours.lock_type, ours.lock_duty, ours.release_time_s) == (
        door.lock_type,
        door.lock_duty,
        door.release_time_s,
    )
    assert ours.socket_dir == config.Runtime().guard_dir


def mostly(good: st.SearchStrategy[Any], *bad: object) -> st.SearchStrategy[Any]:
    """One in ten is wrong, so that whole files are often right."""
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(bad) if n == 9 else good)


PIN = mostly(st.integers(0, 27), -1, 28, "4", 4.0)
LINE = st.fixed_dictionaries(
    {"pin": PIN},
    optional={
        "active_low": mostly(st.booleans(), "no", 1),
        "pull": mostly(st.sampled_from(["up", "down", "none"]), "x", None),
        "debounce_ms": mostly(st.sampled_from([0, 30, 50, 51, 500]), 501, -1, 3.5),
    },
)


@settings(deadline=None, max_examples=150)
@given(
    lock_type=mostly(st.sampled_from(["fail-safe", "fail-secure"]), "x", None),
    release_time_s=mostly(st.sampled_from([1, 5, 9.5, 10.0]), 0.5, 11, "5"),
    relay=st.fixed_dictionaries({"pin": PIN}, optional={"active_high": mostly(st.booleans(), 1, "yes")}),
    inputs=st.dictionaries(mostly(st.sampled_from(INPUTS), "window"), LINE, max_size=3),
    more=st.fixed_dictionaries(
        {},
        optional={
            "chip": mostly(st.integers(0, 9), -1, 10),
            "buzzer_pin": PIN,
            "buzzer_active_high": mostly(st.booleans(), 0),
            "led_red_pin": PIN,
        },
    ),
)
def test_guard_and_agent_accept_and_refuse_the_same_files(lock_type, release_time_s, relay, inputs, more):
    """Whatever the agent's check accepts, the guard starts with; and the guard refuses what the agent refuses."""
    door = {"site": "s", "id": "d", "lock_type": lock_type, "release_time_s": release_time_s}
    hardware = {"relay": relay, "inputs": inputs, **more}
    try:
        parse_settings({"door": door, "hardware": hardware}, "x")
        ours = True
    except SettingsError:
        ours = False
    try:
        config.Door.model_validate({**door, "extended_release_time_s": 10.0})
        config_hardware.Hardware.model_validate(hardware)
        theirs = True
    except ValueError:
        theirs = False
    assert ours is theirs


def test_each_lamp_has_a_polarity_of_its_own():
    document = changed("hardware.buzzer_pin", 5)
    document["hardware"]["buzzer_active_high"] = False
    assert parse_settings(document, "x").lamps == {"buzzer": OutputPin(5, active_high=False), "led_red": OutputPin(6)}


def test_an_example_file_reads():
    document = tomllib.loads('[door]\nlock_type = "fail-safe"\n[hardware.relay]\npin = 17\nactive_high = false\n')
    assert parse_settings(document, "x").inputs == {}
