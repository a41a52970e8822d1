"""A door whose disk takes nothing, and one whose journal died: people come in and out all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.door_processes import Door

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of its own for the door's state; yields a function that mounts it anew with other options."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(state)], check=True)
    yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(state)], check=True)
    subprocess.run(["umount", "--lazy", str(state)], check=True)


def test_a_door_on_a_read_only_disk_lets_residents_in_and_tells_of_it_when_it_can_write(
    tmp_path: Path, small_disk: Callable[[str], object]
):
    door = Door(tmp_path)
    log = tmp_path / "agent.log"
    try:
        door.start_guard()
        door.start_agent()
        door.wrote("Door/State/DoorPhysicalState", state="Closed")
        door.kill("agent", signal.SIGTERM)
        door.vision.close()
        small_disk("ro")
        door.start_agent()
        door.until(lambda: '"Failing"' in log.read_text(), "no alarm about the journal")
        door.find(door.resident)
        door.relay(on=True)
        door.relay(on=False)
        door.set("exit", active=True)
        door.relay(on=True)
        small_disk("rw")
        door.wrote("Agent/Store", state="recovered")
        door.wrote("AccessControl/AccessGranted/Credential", person_id=door.resident)
    finally:
        door.close()


_DIES = """
import sys
from agent.cli.main import main
from agent.outbox import Outbox
turn = Outbox._turn
def dying(outbox):
    turn(outbox)
    if outbox.status().head_seq > 3:
        raise ZeroDivisionError("a fault of ours")
Outbox._turn = dying
sys.exit(main(["run", "--config", sys.argv[1]]))
"""


def test_a_journal_whose_thread_died_ends_the_process_so_that_it_is_started_again(tmp_path: Path):
    door = Door(tmp_path)
    command = [sys.executable, "-c", _DIES, str(door.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 4, done.stderr
    assert "a fault of ours" in done.stderr
    assert "to be started again" in done.stderr
