"""How long does the one loop that holds the relay stand still while a large roster is read, changed and sent?

python -m tests.faults.pause --people 19990
A real agent in this process, its vision process played by a thread that reads what it is sent, changes by processes of
their own. The last line printed is one JSON object: people, templates, start_s, stages [name, longest_turn_ms (without
waiting for events), longest_turn_cpu_ms, known_after_s (until the vision process knows)], longest_turn_ms,
longest_turn_cpu_ms.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import queue
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agent.app import DoorAgent
from agent.command_line import as_program, count
from agent.config import parse
from agent.core.roster import FaceTemplate, Person, PhoneKey, person_json
from agent.core.vision_messages import Alive, EnrolledTemplate, Enrolment, EnrolmentState, Hello, encode
from agent.enrolment import ConsoleAsked
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore, StoredTemplate
from fixtures.plain_door import plain_door
from hardware.errors import PeerGoneError
from hardware.seqpacket import connect

NETWORK = ("net", "five")


def vector() -> bytes:
    """A template of nobody."""
    found = np.frombuffer(secrets.token_bytes(256), np.uint8).astype("<f4") - 127.5
    return bytes((found / np.linalg.norm(found)).astype("<f4").tobytes())


def people(folder: Path, count: int) -> None:
    """Residents with three templates and a phone each, as the store keeps them."""
    with contextlib.closing(RosterStore(folder)) as store:
        db: Any = store._db
        db.execute("BEGIN")
        for n in range(count):
            faces = tuple(FaceTemplate(f"t-{n}-{m}", *NETWORK) for m in range(3))
            phone = PhoneKey(f"k-{n}", n.to_bytes(4) * 23, enabled=True)
            one = Person(id=f"p-{n:06}", name=f"Person {n}", consent=consent_now(5), faces=faces, phones=(phone,))
            body = json.dumps(person_json(one))
            db.execute("INSERT INTO persons VALUES (?, ?)", (one.id, store._seal.sealed("person", one.id, body)))
            rows = [StoredTemplate(one.id, face.template_id, *NETWORK, 0.9, vector()) for face in faces]
            db.executemany("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", map(store._sealed, rows))
        db.execute("UPDATE meta SET epoch = epoch + 1")
        db.execute("COMMIT")


class Vision(threading.Thread):
    """Reads as a vision process does between two frames, and keeps whom it was told of."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.connection = connect(str(path))
        self.people: dict[str, int] = {}
        self.epoch = -1
        self.over = False

    def run(self) -> None:
        """Until it is over; a sign of life once a second."""
        due_s = 0.0
        with contextlib.suppress(PeerGoneError):
            while not self.over:
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + 1.0
                    at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                    self.connection.send_json(encode(Alive(1, 10.0, "ok", at_s)))
                message = self.connection.recv(0.2)
                if isinstance(message, dict):
                    self._take(message)
        self.connection.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "gallery_add":
            for row in message["templates"]:
                self.people[row["person_id"]] = self.people.get(row["person_id"], 0) + 1
        elif message["type"] == "gallery_remove":
            for person_id in message["person_ids"]:
                self.people.pop(person_id, None)
        elif message["type"] == "gallery_commit":
            self.epoch = message["epoch"]
        elif message["type"] == "enrol":
            templates = tuple(EnrolledTemplate(vector(), 0.9) for _ in range(3))
            self.connection.send_json(encode(Enrolment(message["id"], EnrolmentState.DONE, None, 3, templates)))


class Turns:
    """Turns the agent's loop on this thread and measures what a turn takes beside waiting for the next event."""

    def __init__(self, agent: DoorAgent) -> None:
        self._agent: Any = agent
        self._waited_s = 0.0
        take = agent.mailbox.take

        def timed(timeout_s: float) -> object | None:
            began_s = time.perf_counter()
            event = take(min(timeout_s, 0.02))
            self._waited_s += time.perf_counter() - began_s
            return event

        self._agent.mailbox.take = timed

    def until(self, done: Callable[[], bool], timeout_s: float = 900.0) -> tuple[float, float, float]:
        """Longest turn, longest turn in processor time, both ms, and seconds until `done`."""
        longest_ms = cpu_ms = 0.0
        began_s = time.monotonic()
        while not done():
            if time.monotonic() - began_s > timeout_s:
                raise TimeoutError(f"not done after {timeout_s} s")
            self._waited_s, at_s, at_cpu_s = 0.0, time.perf_counter(), time.thread_time()
            self._agent._controller.turn()
            longest_ms = max(longest_ms, (time.perf_counter() - at_s - self._waited_s) * 1000)
            cpu_ms = max(cpu_ms, (time.thread_time() - at_cpu_s) * 1000)
        return longest_ms, cpu_ms, time.monotonic() - began_s


def run(count: int, folder: Path, held_up_s: float = 3.0, *, apart: bool = True) -> dict[str, Any]:
    """The whole campaign. `apart`: changes are made by processes of their own, else by threads."""
    state = folder / "state"
    state.mkdir()
    people(state, count)
    began_s = time.monotonic()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        DoorAgent(parse(plain_door(folder).encode()), "x") as agent,
    ):
        start_s = time.monotonic() - began_s
        vision = Vision(folder / "vision.sock")
        stages = list(_stages(agent, Turns(agent), vision, _Others(state, apart=apart), held_up_s))
        vision.over = True
        vision.join()
    longest = {name: max(stage[name] for stage in stages) for name in ("longest_turn_ms", "longest_turn_cpu_ms")}
    return {"people": count, "templates": 3 * count, "start_s": round(start_s, 2), "stages": stages, **longest}


def _stages(
    agent: DoorAgent, turns: Turns, vision: Vision, others: _Others, held_up_s: float
) -> Iterator[dict[str, Any]]:
    count = len(agent._controller._others._residents.roster.persons)  # type: ignore[attr-defined]

    def stage(name: str, done: Callable[[], bool]) -> dict[str, Any]:
        longest_ms, cpu_ms, seconds = turns.until(done)
        return {
            "name": name, "longest_turn_ms": round(longest_ms, 1), "longest_turn_cpu_ms": round(cpu_ms, 1),
            "known_after_s": round(seconds, 2),
        }  # fmt: skip

    vision.start()
    vision.connection.send_json(encode(Hello(1, "test", *NETWORK, liveness=True, missing=None, pid=1)))
    yield stage("everybody is sent", lambda: len(vision.people) == count and vision.epoch >= 0)
    for name, size in (("one is added", count + 1), ("one is removed", count), ("one withdraws", count - 1)):
        others.begin(name)
        yield stage(name, lambda size=size: len(vision.people) == size)  # type: ignore[misc]
        others.end()
    agent.mailbox.post(ConsoleAsked("enrol_start", {"name": "Li Mei", "consent": True}))
    yield stage("one is enrolled at the door", lambda: len(vision.people) == count)
    others.begin(f"it is held up {held_up_s}")
    others.wait_for_a_word()
    agent.mailbox.post(ConsoleAsked("enrol_start", {"name": "Bo", "consent": True}))
    yield stage(f"another process writes for {held_up_s:g} s meanwhile", lambda: len(vision.people) == count + 1)
    others.end()


class _Others:
    """Somebody beside the agent who has read the roster, and changes it when told to."""

    def __init__(self, state: Path, *, apart: bool) -> None:
        self._state, self._apart = state, apart
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._said: queue.Queue[str] = queue.Queue()

    def begin(self, what: str) -> None:
        """Its own start is not what is measured."""
        if not self._apart:
            self._thread = threading.Thread(target=child, args=(what, self._state, self._said.put, lambda: None))
            self._thread.start()
            self._said.get(timeout=60)
            return
        command = [sys.executable, "-m", "tests.faults.pause", "--child", what, "--folder", str(self._state)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait_for_a_word()
        print("go", file=self._process.stdin, flush=True)

    def wait_for_a_word(self) -> None:
        """Until it says the next thing."""
        if self._process is None:
            self._said.get(timeout=60)
        else:
            self._process.stdout.readline()  # type: ignore[union-attr]

    def end(self) -> None:
        """Until it is over."""
        if self._thread is not None:
            self._thread.join(60)
        if self._process is not None:
            self._process.communicate(timeout=60)
            if self._process.returncode:
                raise RuntimeError("the other process failed; its words are above")


def child(what: str, state: Path, say: Callable[[str], None], wait: Callable[[], object]) -> None:
    """What a command line beside the agent does, between "ready" and its end."""
    if what.startswith("it is held up"):
        with contextlib.closing(sqlite3.connect(state / "roster.db", isolation_level=None)) as db:
            say("ready")
            wait()
            db.execute("BEGIN IMMEDIATE")
            say("held")
            time.sleep(float(what.rsplit(maxsplit=1)[-1]))
            db.execute("ROLLBACK")
        return
    with contextlib.closing(RosterStore(state)) as store:
        residents = Residents(store)
        say("ready")
        wait()
        if what == "one is added":
            residents.add("New", consent_now(5), [NewFace(vector(), 0.9)] * 3, *NETWORK)
        elif what == "one is removed":
            residents.remove("p-000001")
        else:
            residents.withdraw("p-000002", 9)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=count, default=19_990)
    parser.add_argument("--folder", type=Path, help="where the roster lies; default: the folder for temporary files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        child(a.child, a.folder, lambda word: print(word, flush=True), sys.stdin.readline)  # noqa: T201
        return 0
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        print(json.dumps(run(a.people, Path(folder))))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(as_program("pause", main))
