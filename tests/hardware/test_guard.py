"""The guard's loop on simulated lines with time by hand: what it tells, what it refuses, what it never does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hardware.errors import PeerGoneError
from hardware.guard import MAX_AGENTS, MESSAGES_PER_TURN, Guard
from hardware.ports import InputPin, OutputPin
from hardware.reflex import WARM_S
from hardware.seqpacket import Connection, Listener, connect, own_users
from hardware.settings import GuardSettings
from hardware.simulated import SimulatedBoard

PINS = {"exit": InputPin(27, debounce_ms=20), "fire": InputPin(23, debounce_ms=20), "lock_power": InputPin(24)}
LAMPS = {"led_red": OutputPin(6), "led_green": OutputPin(13), "buzzer": OutputPin(5, active_high=False)}


class Rig:
    def __init__(self, folder: Any) -> None:
        self.board = SimulatedBoard()
        self.path = str(folder / "guard.sock")
        self.listener = Listener(self.path, allowed_uids=own_users())
        settings = GuardSettings(OutputPin(17, active_high=False), "fail-secure", PINS, LAMPS, backend="simulated")
        self.guard = Guard(settings, self.board, self.listener)
        self.now_s = 50.0
        self.guests: list[Connection] = []
        self.run(0.01)

    def run(self, for_s: float) -> None:
        for _ in range(round(for_s / 0.01)):
            self.now_s += 0.01
            self.guard.turn(self.now_s)

    def agent(self) -> Connection:
        self.guests.append(connect(self.path))
        self.run(0.01)
        return self.guests[-1]

    def on(self, name: str = "relay") -> bool:
        return self.board.outputs[name].reads_on()

    def close(self) -> None:
        self.guard.close()
        self.listener.close()
        self.board.close()
        for guest in self.guests:
            guest.close()


def heard(connection: Connection, kind: str | None = None) -> list[dict[str, Any]]:
    found = []
    while (message := connection.recv()) is not None:
        assert isinstance(message, dict)
        found.append(message)
    return [m for m in found if kind is None or m["type"] == kind]


@pytest.fixture
def rig(tmp_path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def feed(agent: Connection, id_: str = "a", **more: object) -> None:
    agent.send_json({"type": "release", "lease_ms": 1000, "hold": False, "id": id_, **more})


def test_the_first_word_is_a_full_account_of_the_lines(rig):
    hello = heard(rig.agent())[0]
    assert hello == {
        "type": "hello",
        "v": 1,
        "backend": "simulated",
        "lines": ["led_red", "led_green", "buzzer", "exit", "fire", "lock_power"],
        "relay": False,
        "why": "start",
        "inputs": {"exit": False, "fire": False, "lock_power": True},
        "at_s": hello["at_s"],
    }


def test_a_lease_moves_the_line_and_every_listener_is_told(rig):
    agent, onlooker = rig.agent(), rig.agent()
    heard(agent), heard(onlooker)
    feed(agent)
    rig.run(0.01)
    assert rig.on()
    agent.send_json({"type": "secure"})
    rig.run(0.01)
    assert not rig.on()
    for connection in (agent, onlooker):
        told = [(m["energised"], m["why"]) for m in heard(connection, "relay")]
        assert told == [(True, "order"), (False, "secure")]


def test_losing_the_agent_that_ordered_drops_and_losing_an_onlooker_does_not(rig):
    agent, onlooker = rig.agent(), rig.agent()
    feed(agent)
    rig.run(0.02)
    onlooker.close()
    rig.run(0.02)
    assert rig.on()
    agent.close()
    rig.run(0.01)
    assert not rig.on()


def test_a_guard_that_starts_takes_the_strike_for_half_warm(rig):
    """It took it for cold: one that died in each release and started again gave the coil no rest at all."""
    agent, energised_s = rig.agent(), 0.0
    for id_ in ("a", "b"):
        for _ in range(23):
            feed(agent, id_)
            rig.run(0.5)
            energised_s += 0.5 * rig.on()
    assert 10.0 < energised_s <= WARM_S + 2.0  # it cools for a second between the two


def test_exit_and_fire_release_without_any_agent(rig):
    for line in ("exit", "fire"):
        rig.board.set_input(line, active=True)
        rig.run(0.04)
        assert rig.on()
        rig.board.set_input(line, active=False)
        rig.run(6.0)
        assert not rig.on()


@pytest.mark.parametrize(
    "order",
    [
        {"type": "release"},
        {"type": "release", "lease_ms": 2001, "id": "a"},
        {"type": "release", "lease_ms": 0, "id": "a"},
        {"type": "release", "lease_ms": -5, "id": "a"},
        {"type": "release", "lease_ms": "1000", "id": "a"},
        {"type": "release", "lease_ms": 1000.0, "id": "a"},
        {"type": "release", "lease_ms": True, "id": "a"},
        {"type": "release", "lease_ms": 1000},
        {"type": "release", "lease_ms": 1000, "id": ""},
        {"type": "release", "lease_ms": 1000, "id": "a" * 81},
        {"type": "release", "lease_ms": 1000, "id": "a", "hold": "yes"},
        {"type": "release", "lease_ms": 1000, "id": "a", "until_s": "soon"},
        {"type": "release", "lease_ms": 1000, "id": "a", "until_s": None},
        {"type": "open"},
        {"type": "relay", "energised": True},
        {"type": "set", "line": "fire", "active": True},
        {"type": "indicate"},
        {"type": "indicate", "indication": 5},
    ],
    ids=str,
)
def test_an_order_out_of_bounds_is_counted_and_moves_nothing(rig, order):
    agent = rig.agent()
    agent.send_json(order)
    agent.send_picture(b"\xff\xd8\xff picture")
    rig.run(0.05)
    assert not any(rig.on(name) for name in rig.board.outputs)
    assert next(iter(rig.guard._agents.values())).malformed == 2
    feed(agent)
    rig.run(0.01)
    assert rig.on()


def test_a_flood_of_messages_does_not_hold_up_the_exit(rig):
    agent = rig.agent()
    sent = 0
    while agent.send_json({"type": "nonsense", "fill": "x" * 200}):
        sent += 1
    assert sent > 4 * MESSAGES_PER_TURN
    rig.board.set_input("exit", active=True)
    rig.run(0.04)
    assert rig.on()


def test_an_agent_that_does_not_listen_costs_nothing(rig):
    agent = rig.agent()
    rig.run(0.05)
    for _ in range(700):
        rig.board.set_input("exit", active=True)
        rig.run(0.03)
        rig.board.set_input("exit", active=False)
        rig.run(0.03)
    assert rig.on()
    assert heard(agent)


def test_there_is_room_for_the_next_agent_and_not_for_a_crowd(rig):
    crowd = [rig.agent() for _ in range(MAX_AGENTS + 1)]
    assert heard(crowd[MAX_AGENTS - 1])
    with pytest.raises(PeerGoneError):
        crowd[MAX_AGENTS].recv(1.0)


def test_a_line_that_does_not_follow_is_told_once_and_its_cure_too(rig):
    agent = rig.agent()
    heard(agent)
    pin = rig.board._board.factory.pin(17)
    pin._state = False  # a short circuit to ground: an active-low relay is energised by it
    rig.run(1.0)
    told = [m for m in heard(agent) if m["type"] in {"relay", "fault"}]
    assert [m["type"] for m in told] == ["fault", "relay"]
    assert "short circuit" in told[0]["detail"]
    assert (told[1]["energised"], told[1]["why"]) == (True, "fault")
    pin._state = True
    rig.run(0.05)
    assert [m["energised"] for m in heard(agent, "relay")] == [False]


def test_a_release_shows_green_and_a_missing_agent_blinks_red(rig):
    rig.run(3.0)
    lit = set()
    for _ in range(300):
        rig.run(0.01)
        lit |= {name for name in LAMPS if rig.on(name)}
    assert lit == {"led_red"}
    rig.board.set_input("exit", active=True)
    rig.run(0.05)
    assert rig.on("led_green")
    agent = rig.agent()
    agent.send_json({"type": "indicate", "indication": "refused"})
    rig.run(0.05)
    assert rig.on("led_red")
    assert rig.on("buzzer")
    rig.run(3.0)
    assert not rig.on("buzzer")


def test_a_module_that_sounds_on_a_low_level_is_silent_from_its_first_moment_and_sounds_when_told(rig):
    """Most buzzer modules are of this kind; driven as the other kind they sound all day."""
    line = rig.board._board.factory.pin(5)
    assert [bool(state.state) for state in line.states] == [True]
    rig.agent().send_json({"type": "indicate", "indication": "refused"})
    rig.run(0.05)
    assert not line.state


def test_it_says_every_second_that_it_lives_and_how_late_it_was(rig):
    agent = rig.agent()
    heard(agent)
    rig.run(1.5)
    rig.now_s += 0.25
    rig.run(1.0)
    alive = heard(agent, "alive")
    assert len(alive) == 2
    assert alive[0]["late_ms"] == 0
    assert 230 <= alive[1]["late_ms"] <= 250


def test_closing_drops_the_relay(rig):
    agent = rig.agent()
    feed(agent)
    rig.run(0.02)
    assert rig.on()
    rig.guard.close()
    assert not rig.on()
