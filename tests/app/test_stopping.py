"""Processes end however many signals ask them to."""

import os
import signal
import subprocess
import sys
import time

_PROCESS = """
import sys
from agent.stopping import stop_on_signal
stop = stop_on_signal()
print("up", flush=True)
stop.wait()
print("stopped", flush=True)
sys.stdin.read()
"""


def test_a_hail_of_signals_stops_a_process_once():
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        end_s = time.monotonic() + 0.5
        while time.monotonic() < end_s:  # at any instruction of the handler another one comes
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        process.stdin.close()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_door_that_is_told_to_stop_before_it_is_ready_ends_by_the_signal(tmp_path):
    """Systemd takes that for a clean end; the commands' own exit code for a stop made a failed unit of it."""
    config = tmp_path / "door.toml"
    os.mkfifo(config)
    command = [sys.executable, "-m", "agent.cli.main", "run", "--config", str(config)]
    door = subprocess.Popen(command)
    with config.open("wb"):  # comes back when the agent reads its configuration
        door.terminate()
        assert door.wait(30) == -signal.SIGTERM
