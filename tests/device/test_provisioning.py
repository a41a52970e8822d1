"""Provisioning as an installer does it, on the virtual device; `python -m tests.device.provisioning` has the sizes."""

import json
import sys

import pytest

from tests.device.harness.image import why_not

pytestmark = [pytest.mark.rig, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", ["bare", "faults"])
def test_from_a_bare_device_to_a_door_and_clear_words_for_what_cannot_be(name):
    if reason := why_not(asked=False):
        pytest.skip(reason)
    from tests.device.harness.bench import Bench
    from tests.device.provisioning import CAMPAIGNS

    with Bench(name) as bench:
        result = CAMPAIGNS[name](bench, 1)
    sys.stdout.write(json.dumps(result) + "\n")
    assert result["broken_promises"] == []
