"""The process that owns the lines: `python -m hardware.guard --config FILE`. Nobody else touches a pin.

One thread, one loop: read all inputs, take what the agent says, let the reflexes decide (reflex.py), drive the relay,
tell what changed. No flood of messages makes the loop turn faster and no callback runs in it. The relay's pulse
has these ends in here: the agent's lease, the bound of the reflexes, and a kernel timer that kills a loop which hangs;
after that, systemd's watchdog, the standby (standby.py) and relay_off. Whatever ends the process drops the relay before
it closes the line.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware import reflex, relay_off
from hardware.clock import boottime_s
from hardware.errors import HardwareError, PeerGoneError
from hardware.gpio import lgpio_board
from hardware.indicate import GREEN, lamps
from hardware.memory import lock_memory
from hardware.notify import Notifier
from hardware.orders import release_ordered
from hardware.ports import Board
from hardware.seqpacket import Connection, Listener, Message, own_users
from hardware.settings import GuardSettings, load_settings
from hardware.simulated import Bench, SimulatedBoard
from hardware.standby import stand_by

PROTOCOL = 1
# The loop's pace: an input's change is seen within REST_S + QUICK_S and settled in steps of QUICK_S; a message is heard
# after QUICK_S, and a flood of messages makes no turn come sooner.
QUICK_S = 0.005
REST_S = 0.015
ALIVE_EVERY_S = 1.0
WATCHDOG_EVERY_S = 0.5  # systemd/door-guard.service kills after 2 s without
HANG_KILLED_AFTER_S = 1.5  # a kernel timer, armed anew ten times a second; its signal has no handler: the process ends
ARM_EVERY_S = 0.1
VERIFY_EVERY_S = 0.05  # the pin is read back
OFF_WAIT_S = 0.2  # the pin must show what is driven within this time (a relay board's input filter takes microseconds)
CHIP_WAIT_S = 15.0  # at a boot; below TimeoutStartSec of systemd/door-guard.service
MAX_AGENTS = 4  # the agent, and room for its next incarnation or a person with a tool
MESSAGES_PER_TURN = 32


class Guard:
    """The lines of one door. `turn` does what is due and never waits; `wait` does nothing else.

    Claims every line when it is made: outputs off from their first moment, the relay before all others.
    """

    def __init__(self, settings: GuardSettings, board: Board, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._relay = board.output("relay", settings.relay)
        self._lamps = {name: board.output(name, pin) for name, pin in settings.lamps.items()}
        self._inputs = {name: board.input(name, pin) for name, pin in settings.inputs.items()}
        self._limits = reflex.ReflexSettings(
            debounce_s={name: pin.debounce_ms / 1000 for name, pin in settings.inputs.items()},
            continuous_duty=settings.lock_duty == "continuous",
            release_time_s=settings.release_time_s,
            cap_s=settings.cap_s,
        )
        self._state = reflex.State(heat_s=0.0 if self._limits.continuous_duty else reflex.WARM_S)
        self._agents: dict[int, Connection] = {}  # by file number, as poll names them
        self._knocks = select.poll()  # one system call a turn tells who has something to say
        self._knocks.register(listener, select.POLLIN)
        self._ordering: set[Connection] = set()  # those that have ordered a release: losing one ends it
        self._indication = ("idle", 0.0)
        self._lit: frozenset[str] = frozenset()
        self._differs_since_s: float | None = None  # the pin does not show what is driven
        self._faulty = False
        self._alive_s = self._verified_s = 0.0
        self._late_s = 0.0
        self._last_turn_s: float | None = None

    def turn(self, now_s: float) -> None:
        """One turn of the loop at `now_s` (CLOCK_BOOTTIME).

        Raises:
            LineError: a line does not answer any more; the process must end (and drop the relay).
        """
        if self._last_turn_s is not None:
            self._late_s = max(self._late_s, now_s - self._last_turn_s - REST_S - QUICK_S)
        self._last_turn_s = now_s
        self._step(reflex.Sampled({name: line.is_active() for name, line in self._inputs.items()}), now_s)
        for handle, _ in self._knocks.poll(0):
            if handle == self._listener.fileno():
                self._admit(now_s)
            else:
                self._hear(self._agents[handle], now_s)
        if now_s - self._verified_s >= VERIFY_EVERY_S:
            self._verified_s = now_s
            self._verify(now_s)
        self._show(now_s)
        if now_s - self._alive_s >= ALIVE_EVERY_S:
            self._tell({"type": "alive", "at_s": now_s, "late_ms": round(self._late_s * 1000)})
            self._alive_s, self._late_s = now_s, 0.0

    def wait(self) -> None:
        """Until the next turn is due: soon while an input is settling, later or at the next message otherwise."""
        time.sleep(QUICK_S)
        if all(line.raw is line.active for line in self._state.lines.values()):
            self._knocks.poll(REST_S * 1000)

    def close(self) -> None:
        """Drop, then let everybody go. The board closes the lines."""
        with contextlib.suppress(HardwareError):
            self._relay.drive(on=False)
        for agent in self._agents.values():
            agent.close()
        self._agents.clear()

    def _step(self, event: reflex.Event, now_s: float) -> None:
        before = self._state.energised
        self._state, reports = reflex.step(self._state, event, now_s, self._limits)
        if self._state.energised is not before:
            self._relay.drive(on=self._state.energised)
        for report in reports:
            match report:
                case reflex.RelayReport(energised, why):
                    self._tell({"type": "relay", "energised": energised, "why": why, "at_s": now_s})
                case reflex.InputReport(line, active):
                    self._tell({"type": "input", "line": line, "active": active, "at_s": now_s})
                case reflex.FaultReport(detail):
                    self._fault(detail)

    def _hear(self, agent: Connection, now_s: float) -> None:
        try:
            for _ in range(MESSAGES_PER_TURN):
                message = agent.recv()
                if message is None:
                    return
                self._obey(agent, message, now_s)
        except PeerGoneError:
            self._part(agent, now_s)

    def _obey(self, agent: Connection, message: Message, now_s: float) -> None:
        match message:
            case {"type": "release", **terms} if (order := release_ordered(terms)) is not None:
                self._ordering.add(agent)
                self._step(order, now_s)
            case {"type": "secure", **terms}:
                self._step(reflex.SecureOrdered(leases_only=terms.get("leases_only") is True), now_s)
            case {"type": "indicate", "indication": str(indication)}:
                self._indication = (indication, now_s)
            case _:
                agent.malformed += 1

    def _admit(self, now_s: float) -> None:
        agent = self._listener.accept()
        if agent is None:
            return
        if len(self._agents) >= MAX_AGENTS:
            agent.close()
            return
        self._agents[agent.fileno()] = agent
        self._knocks.register(agent, select.POLLIN)
        hello = {
            "type": "hello",
            "v": PROTOCOL,
            "backend": self._settings.backend,
            "lines": [*self._settings.lamps, *self._settings.inputs],
            "relay": self._relay.reads_on(),
            "why": self._state.why,
            "inputs": {name: line.active for name, line in self._state.lines.items()},
            "at_s": now_s,
        }
        self._send(agent, hello)

    def _part(self, agent: Connection, now_s: float) -> None:
        self._knocks.unregister(agent)
        del self._agents[agent.fileno()]
        agent.close()
        if agent in self._ordering:
            self._ordering.remove(agent)
            self._step(reflex.AgentGone(), now_s)

    def _tell(self, message: Mapping[str, Any]) -> None:
        for agent in self._agents.values():
            self._send(agent, message)

    def _send(self, agent: Connection, message: Mapping[str, Any]) -> None:
        # One that is gone is parted with when it is heard next; one that does not read loses messages, not our time.
        with contextlib.suppress(PeerGoneError):
            agent.send_json(message)

    def _fault(self, detail: str) -> None:
        sys.stderr.write(f"door-guard: {detail}\n")
        self._tell({"type": "fault", "detail": detail})

    def _verify(self, now_s: float) -> None:
        """Tell when the pin does not show what is driven: a short circuit, a burnt driver, a foreign hand."""
        shows = self._relay.reads_on()
        if shows is self._state.energised:
            self._differs_since_s = None
            if self._faulty:
                self._faulty = False
                self._tell({"type": "relay", "energised": shows, "why": self._state.why, "at_s": now_s})
            return
        self._differs_since_s = now_s if self._differs_since_s is None else self._differs_since_s
        if not self._faulty and now_s - self._differs_since_s >= OFF_WAIT_S:
            self._faulty = True
            self._fault(f"the relay line reads {'on' if shows else 'off'} against what is driven: a short circuit?")
            self._tell({"type": "relay", "energised": shows, "why": "fault", "at_s": now_s})

    def _show(self, now_s: float) -> None:
        word, since_s = self._indication if self._agents else ("no-agent", 0.0)
        lit = lamps(word, now_s - since_s)
        if self._state.energised:
            lit |= {GREEN}
        for name in (lit ^ self._lit) & self._lamps.keys():
            self._lamps[name].drive(on=name in lit)
        self._lit = lit


def run(settings: GuardSettings, allowed_uids: frozenset[int]) -> None:
    """Claim, listen and turn until SIGTERM or SIGINT.

    Raises:
        HardwareError: a line, the chip or the socket cannot be had or was lost; the relay is dropped by then.
    """
    stop: list[int] = []
    notifier = Notifier()
    if settings.backend == "lgpio":  # simulated lines die with their process
        stand_by(functools.partial(relay_off.drop_noted, relay_off.note(settings)))
    with contextlib.ExitStack() as stack:
        board = _open_board(settings)
        stack.callback(board.close)
        for number in (signal.SIGTERM, signal.SIGINT):  # before any line is claimed; until then a signal just ends us
            signal.signal(number, lambda found, _: stop.append(found))
        listener = Listener(settings.socket_path, allowed_uids=allowed_uids)
        stack.callback(listener.close)
        bench = Bench(board, settings.bench_path) if isinstance(board, SimulatedBoard) else None
        if bench:
            stack.callback(bench.close)
        guard = Guard(settings, board, listener)
        stack.callback(guard.close)
        # For whoever comes after a SIGKILL (relay_off.py). It outlives this process on purpose.
        (Path(settings.socket_dir) / relay_off.NOTE).write_text(relay_off.note(settings))
        stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        guard.turn(boottime_s())
        if settings.backend == "lgpio" and (complaint := lock_memory()):
            sys.stderr.write(f"door-guard: {complaint}\n")
        notifier.tell("READY=1")
        armed_s = told_s = 0.0
        while not stop:
            now_s = boottime_s()
            if now_s - armed_s >= ARM_EVERY_S:
                signal.setitimer(signal.ITIMER_REAL, HANG_KILLED_AFTER_S)
                armed_s = now_s
            guard.turn(now_s)
            if bench:
                bench.turn(now_s)
            if now_s - told_s >= WATCHDOG_EVERY_S:
                notifier.tell("WATCHDOG=1")
                told_s = now_s
            guard.wait()
        notifier.tell("STOPPING=1")


def _open_board(settings: GuardSettings) -> Board:
    if settings.backend == "simulated":
        return SimulatedBoard()
    return lgpio_board(settings.chip, CHIP_WAIT_S)


def main(argv: list[str] | None = None) -> int:
    """The command. Exit status 0: told to stop; 3: configuration; 5: hardware."""
    parser = argparse.ArgumentParser(prog="python -m hardware.guard", description="Own the lines of a door.")
    parser.add_argument("--config", required=True, help="the door's TOML file")
    parser.add_argument(
        "--allow-user", action="append", default=[], help="who may give orders, besides this user and root"
    )
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings(arguments.config)
        run(settings, own_users(*arguments.allow_user))
    except HardwareError as error:
        sys.stderr.write(f"door-guard: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
