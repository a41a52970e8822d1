"""The hands at the simulated door: presses its button, trips its fire alarm, walks through when it opens."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from hardware.clock import boottime_s
from hardware.errors import SocketError
from hardware.seqpacket import Connection, connect

_PULL_AFTER_S = 0.8  # somebody let in pulls the door open
_WALK_S = 2.0  # and is through
_POLL_S = 0.1


class Hand:
    """Sets input lines over the simulated lines' bench socket. One thread; requests from any thread."""

    def __init__(self, bench: Path) -> None:
        self._bench = bench
        self._wanted: dict[str, bool] = {}
        self._changes = threading.Condition()
        self._stopping = False
        self.energised_s: list[float] = []  # when the relay was, CLOCK_BOOTTIME
        self._contact_due: list[tuple[float, bool]] = []
        self._thread = threading.Thread(target=self._run, name="demo-hand", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping = True
        self._thread.join(2)

    def set(self, line: str, *, active: bool) -> None:
        """Put a line to a state; it stays so over a restart of the guard."""
        with self._changes:
            self._wanted[line] = active

    def press(self, line: str, for_s: float = 0.4) -> None:
        """Press a button for a moment."""
        self.set(line, active=True)
        threading.Timer(for_s, lambda: self.set(line, active=False)).start()

    def _run(self) -> None:
        while not self._stopping:
            try:
                bench = connect(str(self._bench))
            except SocketError:
                time.sleep(_POLL_S)
                continue
            with contextlib.suppress(SocketError):
                self._serve(bench)
            bench.close()

    def _serve(self, bench: Connection) -> None:
        sent: dict[str, bool] = {}
        while not self._stopping:
            message = bench.recv(_POLL_S)
            if isinstance(message, dict) and message.get("line") == "relay":
                self._relay_moved(on=bool(message.get("on")))
            self._walk()
            with self._changes:
                wanted = dict(self._wanted)
            for line, active in wanted.items():
                if sent.get(line) is not active:
                    bench.send_json({"type": "set", "line": line, "active": active}, 1.0)
                    sent[line] = active

    def _relay_moved(self, *, on: bool) -> None:
        if on:
            self.energised_s.append(boottime_s())
        fire = self._wanted.get("fire", False)
        if on and not fire and not self._contact_due:
            now_s = time.monotonic()
            self._contact_due = [(now_s + _PULL_AFTER_S, True), (now_s + _PULL_AFTER_S + _WALK_S, False)]

    def _walk(self) -> None:
        while self._contact_due and self._contact_due[0][0] <= time.monotonic():
            self.set("contact", active=self._contact_due.pop(0)[1])
