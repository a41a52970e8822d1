"""The device discovery message by Home Assistant's own rules, and what it makes of each state of a door.

`home_assistant_rules.json` has the keys of its MQTT platforms, written by `home_assistant.py` from the release that it
names. Where DOOR_AGENT_HOMEASSISTANT names a Python with Home Assistant (a virtual environment of its own), its schemas
and its template engine judge as well.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deploy.community.homeassistant import discovery

HERE = Path(__file__).parent
RULES = json.loads((HERE / "home_assistant_rules.json").read_text())
THEIRS = os.environ.get("DOOR_AGENT_HOMEASSISTANT", "")
FACTS = {"contact": "closed", "lock": "secured", "alarms": [], "faults": [], "fire": False, "tamper": False}
UNKNOWN = dict.fromkeys(("contact", "problem", "fire", "tamper", "lock"), "None")
CALM = {"contact": "OFF", "problem": "OFF", "fire": "OFF", "tamper": "OFF", "lock": "secured", "available": "online"}
# a state of a door, and what Home Assistant shows; "None" is its word for not known
SHOWN = [
    ({"online": False}, {**UNKNOWN, "available": "offline"}),
    ({"online": True}, {**UNKNOWN, "available": "online"}),
    ({"online": True, "door": FACTS}, CALM),
    ({"online": True, "door": {**FACTS, "contact": "unknown", "lock": "unknown"}},
     {**CALM, "contact": "None", "lock": "None"}),
    ({"online": True, "door": {**FACTS, "contact": "open", "lock": "released"}},
     {**CALM, "contact": "ON", "lock": "released"}),
    ({"online": True, "door": {**FACTS, "alarms": ["DoorForcedOpen"]}}, {**CALM, "problem": "ON"}),
    ({"online": True, "door": {**FACTS, "faults": ["relay-stuck"], "fire": True, "tamper": True}},
     {**CALM, "problem": "ON", "fire": "ON", "tamper": "ON"}),
    ({"online": True, "door": {"contact": "open"}}, {**CALM, "contact": "ON", "lock": "None"}),
]  # fmt: skip


@pytest.fixture(params=[True, False], ids=["can-open", "only-looks"])
def message(request):
    return json.loads(discovery("s1/d1", can_open=request.param)[1])


def test_each_component_has_the_keys_its_platform_knows_and_those_it_needs(message):
    for name, component in message["components"].items():
        rules = RULES["rules"][component["platform"]]
        shared = {"state_topic", "availability", "qos", "device", "origin"}
        given = {*component, *shared} - {"platform"}
        assert set(rules["required"]) <= given, name
        assert given <= set(rules["allowed"]), name


@pytest.mark.parametrize(("state", "shown"), SHOWN)
def test_what_is_not_known_of_a_door_is_shown_as_not_known(state, shown):
    """An unknown leaf was shown as closed; the last will, which has no facts, broke every template."""
    message = json.loads(discovery("s1/d1", can_open=True)[1])
    engine = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    templates = {name: c["value_template"] for name, c in message["components"].items() if "value_template" in c}
    templates["available"] = message["availability"][0]["value_template"]
    assert {name: engine.from_string(text).render(value_json=state) for name, text in templates.items()} == shown


@pytest.mark.skipif(not THEIRS, reason="DOOR_AGENT_HOMEASSISTANT does not name a Python with Home Assistant")
def test_home_assistant_itself_takes_it_and_shows_the_same(message):
    asked = json.dumps({"discovery": message, "states": [state for state, _ in SHOWN]})
    told = subprocess.run([THEIRS, HERE / "home_assistant.py"], input=asked, capture_output=True, text=True, timeout=60,
                          check=True)  # fmt: skip
    answer = json.loads(told.stdout)
    lock = "lock" in message["components"]
    assert answer["shown"] == [{k: v for k, v in shown.items() if lock or k != "lock"} for _, shown in SHOWN]
    if answer["version"] == RULES["homeassistant"]:
        assert answer["rules"] == RULES["rules"]
