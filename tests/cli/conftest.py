"""What several tests of the command line share."""

from pathlib import Path

import pytest
from door_shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command at a simulated door of its own."""
    return Shell(tmp_path)
