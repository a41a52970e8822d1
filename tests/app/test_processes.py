"""Guard and agent as real processes on simulated lines: who opens, who does not, and what a kill leaves behind."""

import contextlib
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.vision_messages import Alive, FindingKind, encode
from tests.app.door_processes import Door, now_s

pytestmark = pytest.mark.slow


@pytest.fixture
def door(tmp_path: Path):
    door = Door(tmp_path)
    try:
        door.start_guard()
        door.start_agent()
        door.wrote("Agent/Vision", state="Up")
        door.wrote("Door/State/DoorPhysicalState", state="Closed")
        yield door
    finally:
        door.close()


@pytest.mark.alone
def test_a_resident_comes_in_and_every_step_is_a_row(door: Door):
    found_s = door.find(door.resident)
    assert door.relay(on=True) - found_s < 0.5
    door.set("contact", active=True)
    door.wrote("AccessControl/AccessTaken/Credential", person_id=door.resident)
    door.set("contact", active=False)
    door.relay(on=False)
    kinds = door.kinds()
    assert kinds.index("AccessControl/AccessGranted/Credential") < kinds.index("Door/State/LockPhysicalState", 6)


def test_the_gallery_reaches_the_vision_process(door: Door):
    seen = []
    while not seen or seen[-1]["type"] != "gallery_commit":
        message = door.vision.recv(5)
        assert message is not None
        seen.append(message)
    assert [m["type"] for m in seen] == ["settings", "preview", "gallery_begin", "gallery_add", "gallery_commit"]
    assert seen[3]["templates"][0]["person_id"] == door.resident


def test_strangers_prints_and_the_removed_stay_outside(door: Door):
    door.find(None, FindingKind.STRANGER)
    door.find(door.resident, FindingKind.SPOOF)
    door.find("p-nobody")
    door.wrote("AccessControl/Denied/CredentialNotFound")
    door.wrote("AccessControl/Denied/Credential", reason="Spoof")
    assert "AccessControl/AccessGranted/Credential" not in door.kinds()
    door.set("exit", active=True)  # the relay's first edge is the exit button's: nobody else moved it
    door.relay(on=True)


def test_exit_and_fire_release_with_the_agent_killed(door: Door):
    door.kill("agent")
    for line in ("exit", "fire"):
        door.set(line, active=True)
        door.relay(on=True)
        door.set(line, active=False)
        door.relay(on=False)


@pytest.mark.alone
def test_a_killed_agent_drops_the_relay_within_a_second_and_comes_back_without_an_edge(door: Door):
    door.find(door.resident)
    door.relay(on=True)
    killed_s = now_s()
    door.kill("agent")
    assert door.relay(on=False) - killed_s < 1.0
    door.vision.close()
    door.start_agent()
    door.wrote("AccessControl/AccessUnverified", reason="AgentRestarted")
    door.set("fire", active=True)
    assert door.relay(on=True) > killed_s  # the next edge is this one: the restart made none


@pytest.mark.alone
def test_a_stopped_agent_stops_feeding(door: Door):
    door.find(door.resident)
    door.relay(on=True)
    stopped_s = now_s()
    door.processes["agent"].send_signal(signal.SIGSTOP)
    assert door.relay(on=False) - stopped_s < 3.0
    door.processes["agent"].send_signal(signal.SIGCONT)


def test_a_killed_guard_is_told_and_the_door_works_again_when_it_is_back(door: Door):
    door.kill("guard")
    door.wrote("Door/State/DoorFault", faults=["guard-missing"])
    door.find(door.resident)
    door.wrote("AccessControl/Denied/Credential", reason="Fault")
    door.bench.close()
    door.start_guard()
    door.wrote("Door/State/DoorFault", state="NotInFault")
    door.find(door.resident)
    door.relay(on=True)


def test_a_lost_vision_process_is_a_row_and_the_exit_works(door: Door):
    door.vision.close()
    door.wrote("Agent/Vision", state="Down")
    door.set("exit", active=True)
    door.relay(on=True)


def test_an_agent_that_is_stopped_takes_nothing_from_a_person_going_out_and_its_own_opening_along(door: Door):
    """`systemctl stop door-agent`, or an update, while somebody is on the way to the handle."""
    door.set("exit", active=True)
    pressed_s = door.relay(on=True)
    door.wrote("AccessControl/AccessGranted/Anonymous")
    assert door.kill("agent", signal.SIGTERM) == 0
    assert door.relay(on=False) - pressed_s > 1.9
    door.vision.close()
    door.start_agent()
    door.wrote(
        "Door/State/LockPhysicalState", state="Locked", why="exit"
    )  # it knows its lock, before that it opens to nobody
    door.find(door.resident)
    raised_s = door.relay(on=True)
    assert door.kill("agent", signal.SIGTERM) == 0
    assert door.relay(on=False) - raised_s < 1.9


@pytest.mark.parametrize("part", ["_tidy", "_commit"])
def test_an_agent_whose_journal_thread_dies_ends_so_that_systemd_starts_it_anew(tmp_path: Path, part: str):
    """Open doors that nobody writes down, for ever and in silence, are the worst that a fault of ours could make."""
    door = Door(tmp_path)
    code = (
        "import sys; from agent.outbox import Outbox\n"
        f"def fault(self): raise RuntimeError('a fault of ours')\nOutbox.{part} = fault\n"
        "from agent.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", "--config", str(door.config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode not in (0, -signal.SIGTERM)
    assert "what keeps the journal failed" in ended.stderr
    assert "RuntimeError: a fault of ours" in ended.stderr


def test_sigterm_ends_in_order_and_nothing_is_lost(door: Door):
    assert door.kill("agent", signal.SIGTERM) == 0
    assert door.kinds()[-1] == "Agent/Stopped"
    assert door.kill("guard", signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda d: (d / "door.toml").write_text("[door]\n"), 3, "door.lock_type: is required and missing"),
    ],
)
def test_what_a_person_must_mend_is_one_message_and_an_exit_code(tmp_path: Path, spoil, code: int, said: str):
    door = Door(tmp_path)
    for leftover in (tmp_path / "state").glob("roster.db-*"):
        leftover.unlink()
    spoil(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli.main", "run", "--config", str(door.config)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def told(listener: socket.socket) -> list[str]:
    """What the agent has told the service manager since the last time."""
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said += listener.recv(1024).decode().splitlines()
    return said


@pytest.fixture
def listener(tmp_path, monkeypatch):
    """This test as the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
        one.bind(str(tmp_path / "notify.sock"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify.sock"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        yield one


def test_whoever_wants_to_restart_the_agent_reads_in_its_status_that_somebody_is_at_the_door(listener, door):
    said: list[str] = []

    def status(words: str) -> None:
        door.until(lambda: said.extend(told(listener)) or f"STATUS={words}" in said, f"no status {words}: {said}")
        said.clear()

    status("quiet")
    alive = Alive(frames=9, fps=10, camera_state="ok", at_s=now_s(), in_view=1)
    door.vision.send_json(encode(alive))
    status("busy: a face is in view")
    door.vision.send_json(encode(replace(alive, in_view=0)))
    status("quiet")
    door.find(door.resident)
    status("busy: somebody is being let in")
    door.relay(on=True)
    door.relay(on=False)
    status("quiet")


def test_the_installers_signal_opens_once_by_way_of_the_journal(listener, door):
    """So that a self-test is a row like every opening, and bounded like one."""
    door.processes["agent"].send_signal(signal.SIGUSR1)
    door.relay(on=True)
    door.wrote("AccessControl/AccessGranted/Credential", actor="installer", credential="remote")
    door.relay(on=False)
