"""The console's metrics: a scraper can read them, they say what the door says, and they name nobody."""

import json
import re

from scripted import CALM
from test_server import Client

from agent.console.metrics import TYPE, prometheus

LINE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.e+-]+')


def samples(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_every_line_is_of_the_text_format_and_each_family_is_described_once():
    text = prometheus({**CALM, "openings": [{"way": "face", "ms": 250.0}], "started_s": 10.0}, 70.0)
    assert all(LINE.fullmatch(line) for line in text.splitlines() if not line.startswith("#"))
    described = re.findall(r"^# TYPE (\S+) gauge$", text, re.MULTILINE)
    assert len(described) == len(set(described))
    assert {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")} == set(
        described
    )


def test_the_numbers_are_the_doors():
    door = {**CALM["door_state"], "lock": "released", "contact": "unknown", "alarms": ["DoorOpenTooLong"], "fire": True}
    queue = {**CALM["queue"], "depth": 412}
    openings = [{"ms": 90.0}, {"ms": 250.0}]
    told = samples(
        prometheus({**CALM, "door_state": door, "queue": queue, "openings": openings, "started_s": 10.0}, 70.0)
    )
    assert told["door_lock_released"] == "1"
    assert "door_leaf_open" not in told  # what is unknown is not guessed
    assert told['door_alarm{alarm="DoorOpenTooLong"}'] == "1"
    assert told['door_alarm{alarm="DoorForcedOpen"}'] == "0"
    assert told['door_input{input="fire"}'] == "1"
    assert told["door_events_waiting"] == "412"
    assert told['door_part_up{part="guard"}'] == "1"
    assert told['door_recent_openings{le_ms="100"}'] == "1"
    assert told['door_recent_openings{le_ms="+Inf"}'] == "2"
    assert told["door_uptime_seconds"] == "60"


def test_a_door_that_has_just_started_has_metrics_too():
    assert "door_agent_info" in prometheus({"site": 'a"b\\c\n'}, 0.0)


def test_they_are_served_to_this_machine_only_and_name_nobody(console, door):
    door.event("AccessControl/AccessTaken/Credential", person_id="p-1", name="陈美玲")
    client = Client(console)
    status, data, headers = client.ask("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, TYPE)
    assert client.ask("GET", "/metrics", Host="evil.example")[0] == 403
    assert "陈美玲" not in data.decode()
    assert "p-1" not in json.dumps(samples(data.decode()))
