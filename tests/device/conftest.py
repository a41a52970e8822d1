"""The rig's door, booted and provisioned once for all tests of this folder; without a rig they say why they skip."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.device.harness.image import why_not


@pytest.fixture(scope="session")
def device() -> Iterator[Callable[..., dict[str, Any]]]:
    """`device("edges", rounds=3)` runs a campaign and returns its result."""
    if reason := why_not(asked=False):
        pytest.skip(reason)
    from tests.device.harness.session import campaign, rig

    with rig("guest-tests") as (door, site):
        yield lambda name, **sizes: campaign(name, door, site, **sizes)
