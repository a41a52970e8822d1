"""A guard as a real process on simulated lines, and the two sockets to talk to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hardware import seqpacket
from hardware.errors import SocketError

CONFIG = """
[door]
site = "garden"
id = "north"
lock_type = "fail-secure"
lock_duty = "{duty}"

[hardware]
backend = "simulated"
buzzer_pin = 5
led_red_pin = 6
led_green_pin = 13

[hardware.relay]
pin = 17
active_high = {active_high}

[hardware.inputs]
contact = {{ pin = 22 }}
exit = {{ pin = 27, debounce_ms = 20 }}
fire = {{ pin = 23, active_low = false, pull = "up", debounce_ms = 20 }}

[runtime]
guard_dir = "{folder}"
"""


class GuardProcess:
    """The child, what it told systemd, and the bench at its simulated lines."""

    def __init__(self, folder: Path, *, program: list[str] | None = None, duty: str = "intermittent") -> None:
        self.folder = folder
        self.config = folder / "door.toml"
        self.config.write_text(CONFIG.format(folder=folder, duty=duty, active_high="false"))
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify.sock"))
        self.notified.settimeout(10)
        self._open: list[seqpacket.Connection] = []
        self._program = program or ["-m", "hardware.guard"]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *self._program, "--config", str(self.config)],
            env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify.sock")},
            stderr=subprocess.PIPE,
        )
        while self.notified.recv(100) != b"READY=1":
            pass  # last words of an earlier life
        self.bench = self._connect("bench.sock")

    def agent(self) -> seqpacket.Connection:
        return self._connect("guard.sock")

    def set(self, line: str, *, active: bool) -> None:
        self.bench.send_json({"type": "set", "line": line, "active": active})

    def relay_goes(self, *, on: bool, within_s: float = 3.0) -> float:
        """When the relay line changed to `on`."""
        return float(self.expect(self.bench, lambda m: m.get("line") == "relay" and m["on"] is on, within_s)["at_s"])

    def expect(
        self, connection: seqpacket.Connection, wanted: Callable[[dict[str, Any]], bool], within_s: float = 3.0
    ) -> dict[str, Any]:
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            message = connection.recv(deadline_s - time.monotonic())
            if isinstance(message, dict) and wanted(message):
                return message
        raise AssertionError("the message did not come in time")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=10)
        for connection in self._open:
            connection.close()
        self.notified.close()
        return self.process.returncode

    def _connect(self, name: str) -> seqpacket.Connection:
        deadline_s = time.monotonic() + 5
        while True:
            try:
                self._open.append(seqpacket.connect(str(self.folder / name)))
                return self._open[-1]
            except SocketError:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
