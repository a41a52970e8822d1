"""The standby as a process: whatever ends the guard, it drops the relay right after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_GUARD = """
import os, sys, time
from hardware.standby import stand_by
def drop():
    with open(sys.argv[1], "w") as file:
        file.write(f"{time.monotonic()} {os.getpid()}")
    {fault}
stand_by(drop)
print("up", flush=True)
sys.stdin.read()
"""


class Guard:
    """A process with a standby; `dropped` waits for the standby's deed."""

    def __init__(self, folder: Path, fault: str = "") -> None:
        self.deed = folder / "dropped"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _GUARD.replace("{fault}", fault), str(self.deed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "up\n"
        [self.standby] = (
            int(p) for p in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )

    def dropped(self) -> float:
        """Seconds on CLOCK_MONOTONIC when the standby acted."""
        end_s = time.monotonic() + 10
        while not self.deed.exists() or " " not in self.deed.read_text():
            assert time.monotonic() < end_s, "the standby did nothing"
            time.sleep(0.001)
        at_s, pid = self.deed.read_text().split()
        assert int(pid) == self.standby
        return float(at_s)


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_whatever_signal_ends_the_guard_the_relay_is_dropped_at_once(tmp_path, number):
    guard = Guard(tmp_path)
    sent_s = time.monotonic()
    guard.process.send_signal(number)
    assert guard.dropped() - sent_s < 1.0  # milliseconds; this machine may be busy
    assert guard.process.communicate(timeout=10)[1] == ""  # and the standby is gone: it held the pipe, too


def test_an_ordinary_end_is_an_end(tmp_path):
    guard = Guard(tmp_path)
    guard.process.communicate(timeout=10)
    guard.dropped()


def test_the_standby_does_nothing_while_the_guard_lives_stopped_or_not(tmp_path):
    """SIGTERM to the whole group reaches it as well; it stays for the guard's end."""
    guard = Guard(tmp_path)
    os.kill(guard.standby, signal.SIGTERM)
    os.kill(guard.standby, signal.SIGINT)
    guard.process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        guard.process.wait(0.3)
    assert not guard.deed.exists()
    guard.process.kill()
    guard.dropped()
    guard.process.communicate(timeout=10)


def test_a_line_that_cannot_be_had_is_said_and_ends_it(tmp_path):
    guard = Guard(tmp_path, fault="raise OSError(16, 'Device or resource busy', 'GPIO17 of /dev/gpiochip0')")
    guard.process.kill()
    assert "standby could not drop the relay: [Errno 16]" in guard.process.communicate(timeout=10)[1]
