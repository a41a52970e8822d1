"""What holds for every test: the programs it needs."""

import pytest

from tests.programs import needed


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("nginx")` skips without that program, see programs.py."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            needed(name)
