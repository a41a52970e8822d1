"""The promises of a door on the virtual device, each campaign small; README.md has the commands for the large ones."""

import json
import sys

import pytest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        pytest.param("edges", {"rounds": 2}, id="no edge that nobody ordered"),
        pytest.param("faults", {"faults": 26}, id="faults in mid-release drop the relay in time"),
        pytest.param("latency", {"fires": 150, "exits": 40}, id="fire and exit release within 100 ms in bad company"),
        pytest.param("flood", {"seconds": 10}, id="nothing that comes down the line opens but a fresh signed order"),
        pytest.param("scenario", {"steps": 60}, id="the real door lives as calculated"),
        pytest.param("stories", {"count": 6}, id="a few stories, told to the core, lived by the device"),
        pytest.param("powercut", {"cuts": 12, "seconds": 10}, id="a committed row survives any power cut"),
    ],
)
def test_promise(device, name, sizes):
    result = device(name, **sizes)
    sys.stdout.write(json.dumps(result) + "\n")
    assert result["broken_promises"] == []


def test_a_journal_without_flushes_is_caught_losing_rows(device):
    result = device("powercut", cuts=3, seconds=10, careless=True)
    assert result["lost"] > 0
