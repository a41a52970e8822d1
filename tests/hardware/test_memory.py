"""Locked memory, in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

SCRIPT = """
import os, re, resource, sys
from pathlib import Path
from hardware.memory import lock_memory
if sys.argv[1] == "not-allowed":
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    if os.geteuid() == 0:
        os.setuid(65534)
print(lock_memory() or re.search(r"VmLck:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
NO_LIMIT = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def told(how: str) -> str:
    command = [sys.executable, "-c", SCRIPT, how]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0 and not NO_LIMIT, reason="this user may not lock memory (ulimit -l)")
def test_programs_and_libraries_are_locked():
    assert int(told("allowed")) > 2000  # KiB: the interpreter alone has more


def test_where_it_may_not_the_reason_is_told_and_it_goes_on():
    assert told("not-allowed").startswith("memory is not locked: ")
