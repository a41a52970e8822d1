"""What holds for every test: the programs it needs, how long it may take, and what runs beside what."""

import hypothesis
import pytest

from tests.programs import needed

_SHRINKING_S = 300  # Hypothesis makes a failing example smaller for so long; cut off in that it only says "Flaky"

# an example that takes 0.3 s on a machine that is busy with others is no fault of the rule; a hung test is ended
hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("nginx")` skips without that program, see programs.py."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            needed(name)


@pytest.hookimpl(trylast=True)  # after Hypothesis has marked its tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests begin, so that no process waits long for another one's last file."""
    for item in items:
        if item.get_closest_marker("hypothesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(float(config.getini("timeout")) + _SHRINKING_S))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
