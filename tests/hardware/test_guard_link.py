"""The agent's end of the guard's socket, against a real guard process."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import pytest
from guard_process import GuardProcess

from agent.core.events import GuardChanged, Input, LineChanged, RelayReported
from agent.guard_link import LEASE_S, GuardFault, GuardLink
from agent.mailbox import CallbackFailed
from hardware import seqpacket


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Agent:
    """A controller that does nothing but beat, and a link."""

    def __init__(self, folder: Any) -> None:
        self.posts: queue.Queue[object] = queue.Queue()
        self.link = GuardLink(folder / "guard.sock", self.posts.put)
        self.beating = threading.Event()
        self.beating.set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()
        self.link.start()

    def _beat(self) -> None:
        while not self._stop.wait(0.05):
            if self.beating.is_set():
                self.link.beat()

    def until(self, wanted: Callable[[object], bool], within_s: float = 5.0) -> list[object]:
        """Everything posted up to and with the wanted event."""
        seen, deadline_s = [], time.monotonic() + within_s
        while True:
            seen.append(self.posts.get(timeout=max(0.01, deadline_s - time.monotonic())))
            if wanted(seen[-1]):
                return seen

    def until_relay(self, *, on: bool, within_s: float = 5.0) -> RelayReported:
        seen = self.until(lambda e: isinstance(e, RelayReported) and e.energised is on, within_s)[-1]
        assert isinstance(seen, RelayReported)
        return seen

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.link.stop()


def is_up(event: object) -> bool:
    return isinstance(event, GuardChanged) and event.up


def is_down(event: object) -> bool:
    return isinstance(event, GuardChanged) and not event.up


@pytest.fixture
def agent(tmp_path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def magnet(tmp_path) -> Iterator[GuardProcess]:
    made = GuardProcess(tmp_path, duty="continuous")
    yield made
    made.stop()


def test_a_guard_that_comes_is_told_after_its_word_on_every_line(agent, tmp_path):
    assert is_down(agent.until(is_down)[-1])
    guard = GuardProcess(tmp_path)
    seen = agent.until(is_up)
    assert {e.line for e in seen if isinstance(e, LineChanged)} == {Input.CONTACT, Input.EXIT, Input.FIRE}
    assert [type(e) for e in seen[-2:]] == [RelayReported, GuardChanged]
    assert seen[-1] == GuardChanged(up=True, detail="simulated")
    guard.stop()
    agent.until(is_down)


def test_a_release_is_fed_past_one_lease_and_ends_at_its_announced_end(agent, guard):
    agent.until(is_up)
    until_s = now_s() + 2 * LEASE_S
    agent.link.release(until_s, hold=False, request_id="r1")
    assert agent.until_relay(on=True).why == "order"
    ended = agent.until_relay(on=False)
    assert ended.why == "order"
    assert until_s - 0.02 <= ended.at_s <= until_s + 0.1


def test_secure_ends_a_release_at_once_and_nothing_feeds_it_again(agent, guard):
    agent.until(is_up)
    agent.link.release(now_s() + 9, hold=False, request_id="r1")
    agent.until_relay(on=True)
    agent.link.secure()
    assert agent.until_relay(on=False).why == "secure"
    with pytest.raises(queue.Empty):
        agent.until(lambda e: isinstance(e, RelayReported), within_s=0.6)


def test_an_answer_to_a_reflex_that_is_over_energises_nothing(agent, guard):
    agent.until(is_up)
    agent.link.release(now_s() + 9, hold=False, request_id="standing", echo=True)
    with pytest.raises(queue.Empty):
        agent.until(lambda e: isinstance(e, RelayReported), within_s=0.6)
    agent.link.release(now_s() + 9, hold=False, request_id="r1")
    assert agent.until_relay(on=True).why == "order"


def test_the_same_person_is_let_in_again_after_a_secure(agent, guard):
    """Ids on the wire are new for each release, also where the request's own name is not."""
    agent.until(is_up)
    for _ in range(3):
        agent.link.release(now_s() + 9, hold=False, request_id="standing")
        agent.until_relay(on=True)
        agent.link.secure()
        agent.until_relay(on=False)


def test_a_controller_that_hangs_loses_the_relay(agent, guard):
    agent.until(is_up)
    agent.link.release(now_s() + 9, hold=False, request_id="r1")
    agent.until_relay(on=True)
    agent.beating.clear()
    hung_s = now_s()
    lost = agent.until_relay(on=False)
    assert lost.why == "feed-lost"
    assert lost.at_s - hung_s <= 1.0 + LEASE_S + 0.1


def test_a_standing_release_is_taken_up_again_when_the_controller_lives_again(agent, magnet):
    agent.until(is_up)
    agent.link.release(inf, hold=True, request_id="standing")
    agent.until_relay(on=True)
    agent.beating.clear()
    agent.until_relay(on=False)
    agent.beating.set()
    assert agent.until_relay(on=True).why == "order"
    agent.link.secure()
    agent.until_relay(on=False)


@pytest.mark.parametrize("pressed", ["before", "after"])
def test_a_standing_release_is_taken_up_again_also_if_somebody_went_out_by_the_button(agent, magnet, pressed):
    """The button's own release hid that the feed had been lost: the door stayed locked to the end of its open hours."""
    agent.until(is_up)
    agent.link.release(inf, hold=True, request_id="standing")
    agent.until_relay(on=True)
    agent.beating.clear()
    if pressed == "after":
        assert agent.until_relay(on=False).why == "feed-lost"
    magnet.set("exit", active=True)
    over = agent.until_relay(on=False, within_s=10.0)
    assert over.why == "exit"
    agent.beating.set()
    assert agent.until_relay(on=True).why == "order"


def test_a_killed_guard_is_told_found_again_and_not_fed_the_old_release(agent, guard):
    agent.until(is_up)
    agent.link.release(now_s() + 9, hold=False, request_id="r1")
    agent.until_relay(on=True)
    guard.process.kill()
    guard.process.communicate()
    agent.until(is_down)
    guard.start()
    seen = agent.until(is_up)
    assert [e.energised for e in seen if isinstance(e, RelayReported)] == [False]
    with pytest.raises(queue.Empty):
        agent.until_relay(on=True, within_s=0.6)


def test_a_guard_that_stands_still_is_missed_within_four_seconds(agent, guard):
    agent.until(is_up)
    guard.process.send_signal(signal.SIGSTOP)
    gone = agent.until(is_down, within_s=4.5)[-1]
    assert "said nothing" in gone.detail
    guard.process.send_signal(signal.SIGCONT)
    guard.process.communicate(timeout=5)  # its own kernel timer ended it as soon as it could
    guard.start()
    agent.until(is_up)


def test_lines_faults_and_indications_pass(agent, guard):
    agent.until(is_up)
    guard.set("contact", active=True)
    opened = agent.until(lambda e: isinstance(e, LineChanged))[-1]
    assert opened == LineChanged(Input.CONTACT, active=True, at_s=opened.at_s)
    agent.link.indicate("locked-out")
    guard.expect(guard.bench, lambda m: m.get("line") == "led_red" and m["on"])


class FakeGuard:
    """Says what the test wants, as no honest guard would."""

    def __init__(self, folder: Any) -> None:
        self.listener = seqpacket.Listener(str(folder / "guard.sock"), allowed_uids=seqpacket.own_users())
        accepted = self.listener.accept(5.0)
        assert accepted is not None
        self.link = accepted

    def close(self) -> None:
        self.link.close()
        self.listener.close()


HELLO = {
    "type": "hello",
    "v": 1,
    "backend": "x",
    "lines": [],
    "relay": False,
    "why": "start",
    "inputs": {},
    "at_s": 1.0,
}


@pytest.mark.parametrize("hello", [{**HELLO, "v": 2}, {**HELLO, "type": "relay"}])
def test_a_guard_of_another_protocol_is_not_believed(agent, tmp_path, hello):
    guard = FakeGuard(tmp_path)
    guard.link.send_json(hello)
    with pytest.raises(seqpacket.PeerGoneError):
        guard.link.recv(2.0)
    assert not any(is_up(e) for e in list(agent.posts.queue))
    guard.close()


def test_strange_messages_are_passed_over_and_a_broken_one_is_told(agent, tmp_path):
    guard = FakeGuard(tmp_path)
    guard.link.send_json(HELLO)
    for message in (
        {"type": "input", "line": "window", "active": True, "at_s": 1.0},
        {"type": "input", "line": "fire", "active": "yes", "at_s": 1.0},
        {"type": "relay", "energised": 1, "why": "order", "at_s": 1.0},
        {"type": "new in version 2"},
        {"type": "fault", "detail": "the exit button is stuck"},
        {"type": "alive", "at_s": 1.0, "late_ms": 12},
        {"type": "input", "line": "fire", "active": True, "at_s": 2.0},
    ):
        guard.link.send_json(message)
    guard.link.send_picture(b"\xff\xd8\xff")
    seen = agent.until(lambda e: isinstance(e, LineChanged))
    told = [e for e in seen if not isinstance(e, GuardChanged)]
    assert told == [
        RelayReported(energised=False, why="start", at_s=1.0),
        GuardFault("the exit button is stuck"),
        LineChanged(Input.FIRE, active=True, at_s=2.0),
    ]
    assert agent.link.late_ms == 12
    guard.close()


def test_a_bug_in_the_reader_is_told_and_the_link_goes_on(agent, tmp_path):
    guard = FakeGuard(tmp_path)
    guard.link.send_json({**HELLO, "inputs": 5})
    failed = agent.until(lambda e: isinstance(e, CallbackFailed))[-1]
    assert failed.where == "guard-link"
    again = guard.listener.accept(3.0)
    assert again is not None
    again.close()
    guard.close()
