"""A whole door for a story on a virtual clock: simulated lines, guard, its socket, the agent's link and controller.

All of these are the product's own. Only the journal is played, and time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from agent import guard_link
from agent.controller import Controller
from agent.core.events import GuardChanged, LineChanged, Record, RelayReported
from agent.mailbox import Mailbox
from fixtures.scenarios import Restart, Step, Story, said
from hardware.errors import PeerGoneError
from hardware.guard import Guard
from hardware.ports import InputPin, OutputPin
from hardware.seqpacket import Connection, Listener, connect, own_users
from hardware.settings import INPUTS, GuardSettings
from hardware.simulated import SimulatedBoard

TURN_S = 0.04  # a little more than the guard's slowest pace
SETTLE_S = 0.28  # after a story's last step, for debounce and a turn of each
_AGAIN_KNOWN = ("row Door/State/DoorPhysicalState", "row Door/State/LockPhysicalState")
_AT_REST = {name: name == "lock_power" for name in INPUTS}


@dataclass
class Journal:
    """Keeps the facts, and each row as a story writes it."""

    bench: StoryBench
    rows: list[tuple[float, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def append(self, record: Record, *, token: str | None = None) -> None:
        del token
        self.facts.update(record.facts or {})
        self.rows.append((self.bench.now_s, said(record)))


class Nobody:
    """The rest of the agent, which has nothing to do with a story."""

    def news(self, event: object, now_s: float) -> None: ...

    def stage(self, request_id: str, stage: str, at_s: float, reason: str | None) -> Mapping[str, Any]:
        del request_id, stage, at_s, reason
        return {}

    def wrote(self, record: Record) -> None: ...

    def changed(self, state: object) -> None: ...

    def tend(self, now_s: float) -> None: ...


class Patient(Mailbox):
    """Never waits: time is the bench's."""

    def take(self, timeout_s: float) -> object | None:
        del timeout_s
        return super().take(0)


class StoryBench:
    """Plays one story; afterwards `journal.rows` and `relay` (time, energised) say what became of it."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story, self.now_s = story, 0.0 if story.cold else -1.0
        self.journal = Journal(self, facts=dict(story.kept))
        self.relay: list[tuple[float, bool]] = []
        self._settings = GuardSettings(
            relay=OutputPin(17, active_high=False),
            lock_type=story.settings.lock_type.value,
            lock_duty=story.settings.lock_duty.value,
            release_time_s=story.settings.exit_release_time_s,
            inputs={n: InputPin(20 + i) for i, n in enumerate(INPUTS) if n != "contact" or story.settings.has_contact},
            backend="simulated",
            socket_dir=str(folder),
        )
        self._levels = dict(_AT_REST)
        self._guard: tuple[Guard, SimulatedBoard, Listener] | None = None
        self._connection: Connection | None = None
        if not story.cold:
            self._start_guard()
        self._start_agent()

    def play(self) -> None:
        """From a second before the story to a moment after its last step."""
        waiting = [s for s in self.story.steps if s.event is not None]
        while waiting or self.now_s < self.story.steps[-1].at_s + SETTLE_S:
            while waiting and _moment(waiting[0]) <= self.now_s:
                self._happen(waiting.pop(0))
            self._turn()
            self.now_s = round(self.now_s + TURN_S, 6)
        self._stop_guard()
        self._hang_up()

    def _happen(self, step: Step) -> None:
        match step.event:
            case LineChanged(line, active):
                self._levels[line] = active
                if self._guard:
                    self._guard[1].set_input(line, active=active)
            case GuardChanged(up):
                self._start_guard() if up else self._stop_guard()
            case Restart():
                self._hang_up()
                self._start_agent()
            case None:
                pass
            case event:
                self._controller.step(event)

    def _turn(self) -> None:
        if self._guard:
            guard, board, _ = self._guard
            guard.turn(self.now_s)
            self._watch(energised=board.outputs["relay"].reads_on())
        self._listen()
        self._link.beat()
        self._controller.turn()
        while self._mailbox._items.qsize():
            self._controller.turn()
        self._link._feed(self.now_s)

    def _listen(self) -> None:
        """What guard_link's thread does, in our time."""
        try:
            if self._connection is None and self._guard:
                self._connection = connect(self._settings.socket_path)
            while self._connection and (message := self._connection.recv()) is not None:
                if self._link._connection is None:
                    assert self._link._greet(self._connection, message)
                self._link._hear(message)
        except PeerGoneError:
            self._hang_up()
            self._link._changed(up=False, detail="gone")

    def _start_agent(self) -> None:
        self._mailbox = Patient()
        self._link = guard_link.GuardLink(Path(self._settings.socket_path), self._mailbox.post)
        self._controller = Controller(
            self.story.settings, self._mailbox, self.journal, self._link, lambda: self.now_s, self.journal.facts
        )
        self._controller.join(Nobody())

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = self._link._connection = self._link._order = None

    def _start_guard(self) -> None:
        board, listener = SimulatedBoard(), Listener(self._settings.socket_path, allowed_uids=own_users())
        guard = Guard(self._settings, cast(Any, board), listener)
        for name in self._settings.inputs:
            board.set_input(name, active=self._levels[name])
        self._guard = (guard, board, listener)

    def _stop_guard(self) -> None:
        if self._guard:
            guard, board, listener = self._guard
            guard.close()
            self._watch(energised=board.outputs["relay"].reads_on())
            board.close()
            listener.close()
            self._guard = None

    def _watch(self, *, energised: bool) -> None:
        if energised is not (self.relay[-1][1] if self.relay else False):
            self.relay.append((self.now_s, energised))


def _moment(step: Step) -> float:
    """When a hand moves so that the step happens at its time: an edge has its own."""
    edge = step.event.at_s if isinstance(step.event, LineChanged) else step.at_s
    return min(edge, step.at_s)


def expected_rows(story: Story) -> list[tuple[float, str]]:
    """The rows that the story tells, as `compared`."""
    return [(s.at_s, compared(e)) for s in story.steps for e in s.effects if e.startswith("row ")]


def played_rows(bench: StoryBench) -> list[tuple[float, str]]:
    """The rows that were written since the story began, as `compared`; not what an agent finds at its own start."""
    starts_s = [step.at_s for step in bench.story.steps if isinstance(step.event, Restart)]
    found = [(at_s, compared(row)) for at_s, row in bench.journal.rows if at_s > 0]
    return [
        (at_s, row)
        for at_s, row in found
        if not (row.startswith(_AGAIN_KNOWN) and any(0 <= at_s - start_s < SETTLE_S for start_s in starts_s))
    ]


def compared(row: str) -> str:
    """A row without the guard's reason and the stored facts (which have a remaining time in them)."""
    return re.sub(r" keeps .*| why=\S+", "", row)


def why_not(story: Story) -> str:
    """Why a story is the core's alone."""
    if not story.obedient or any(isinstance(step.event, RelayReported) for step in story.steps):
        return "the guard's own words are part of it"
    if not story.settings.has_contact and any(step.says.startswith("contact") for step in story.steps):
        return "a line that is not there moves"
    times = [step.at_s for step in story.steps]
    return "" if times == sorted(times) else "its time goes backwards"
