"""Programs beside Python that tests run (programs.txt): where each is, and what becomes of a test without it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = "DOOR_AGENT_TEST_PROGRAMS"  # "required", set by .ci/run where packages can be installed: absent is a failure
_LINES = (Path(__file__).with_name("programs.txt")).read_text(encoding="utf-8").splitlines()
PACKAGES = dict(line.split() for line in _LINES if not line.startswith("#"))


def found(name: str) -> str | None:
    """The program's path, also where Debian keeps it off the PATH; of several PostgreSQLs the newest."""
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin_: int(bin_.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, postgres), os.environ.get("PATH", ""), "/usr/sbin"]))


def needed(name: str) -> str:
    """The program's path. Without it the test is skipped with the package's name, or fails where it is required."""
    path = found(name)
    if path is None:
        why = f"no {name} on this machine: apt-get install {PACKAGES[name]}"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{why} ({REQUIRED}=required)")
        pytest.skip(why)
    return path
