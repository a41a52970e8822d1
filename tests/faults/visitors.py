"""Residents, a new one each time, and exit presses at a real guard and agent, counted and timed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, defaultdict

from agent.core.vision_messages import Alive, encode
from hardware.errors import SocketError
from tests.app.door_processes import Door, now_s


class Visitors:
    """`opened_ms` are the times from the camera's word to the relay's edge, by phase."""

    def __init__(self, door: Door, people: list[str]) -> None:
        self._door, self._people = door, iter(people)
        self.done: Counter[str] = Counter()
        self.opened_ms: defaultdict[str, list[float]] = defaultdict(list)

    def open(self, phase: str) -> None:
        """Somebody is recognised and goes through."""
        door = self._door
        self.done["openings"] += 1
        with contextlib.suppress(AssertionError):
            found_s = door.find(next(self._people))
            self.opened_ms[phase].append((door.relay(on=True) - found_s) * 1000)
            self.done["opened"] += 1
            self._through()

    def leave(self) -> None:
        """Somebody presses the exit button and goes."""
        door = self._door
        self.done["exits"] += 1
        with contextlib.suppress(AssertionError):
            door.set("exit", active=True)
            door.relay(on=True)
            self.done["exited"] += 1
            door.set("exit", active=False)
            self._through()

    def alive(self, stop: threading.Event) -> None:
        """The camera's process says that it lives, until told to stop."""
        while not stop.wait(1.0):
            alive = Alive(frames=1, fps=10, camera_state="ok", at_s=now_s())
            with contextlib.suppress(SocketError):
                self._door.vision.send_json(encode(alive))

    def _through(self) -> None:
        self._door.set("contact", active=True)
        time.sleep(0.1)  # somebody walks: longer than the line's debounce
        self._door.set("contact", active=False)
        self._door.relay(on=False)
