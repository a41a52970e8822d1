"""What several tests of a bundle's parts look at."""

from pathlib import Path

import pytest

from deploy.own_wheel import own_wheel


@pytest.fixture(scope="session")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """door-agent's wheel as it goes into a bundle."""
    folder = tmp_path_factory.mktemp("wheel")
    own_wheel(folder)
    [path] = folder.glob("*.whl")
    return path
