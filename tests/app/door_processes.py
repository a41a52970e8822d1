"""A door as processes: guard and agent on simulated lines, and the test as its eyes."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from agent.core.vision_messages import Alive, Finding, FindingKind, Hello, encode
from agent.residents import NewFace, Residents, consent_now
from agent.roster.store import RosterStore
from fixtures.plain_door import STRIKE, plain_door
from hardware.errors import SocketError
from hardware.seqpacket import connect

VECTOR = bytes(1024)

HELLO = Hello(v=1, engine="test", model_id="net", alignment_id="five", liveness=True, missing=None, pid=1)


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Door:
    """A folder, a guard, an agent, a hand on the wires."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "door.toml"
        inputs = {"contact": 22, "exit": 23, "fire": 24}
        self.config.write_text(plain_door(folder, f"{STRIKE}\nrelease_time_s = 2.0", inputs))
        (folder / "state").mkdir(exist_ok=True)
        store = RosterStore(folder / "state")
        residents = Residents(store)
        self.resident = residents.add("Li Mei", consent_now(0), [NewFace(VECTOR, 1.0)], "net", "five").id
        store.close()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)

    def start_guard(self) -> None:
        self.start("guard", "hardware.guard", "--config", str(self.config))
        self.bench = self.reach("bench.sock")

    def start_agent(self) -> None:
        self.start("agent", "agent.cli.main", "run", "--config", str(self.config))
        self.vision = self.reach("vision.sock")
        self.vision.send_json(encode(HELLO))
        self.vision.send_json(encode(Alive(frames=1, fps=10, camera_state="ok", at_s=now_s())))

    def reach(self, name: str):
        return self.until(lambda: self._try(name), f"{name} never listened")

    def _try(self, name: str):
        try:
            return connect(str(self.folder / name))
        except SocketError:
            return None

    def until(self, ask, complaint: str, timeout_s: float = 15.0):
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            found = ask()
            if found:
                return found
            time.sleep(0.01)
        logs = "\n".join(log.read_text() for log in self.folder.glob("*.log"))
        raise AssertionError(f"{complaint}\n{logs}\n{self.kinds()}")

    def relay(self, *, on: bool, within_s: float = 5.0) -> float:
        """Wait until the multimeter shows it; returns CLOCK_BOOTTIME of the edge."""

        def asked():
            message = self.bench.recv(0.2)
            if isinstance(message, dict) and message.get("line") == "relay" and message["on"] is on:
                return message["at_s"]
            return None

        return self.until(asked, f"relay never {'energised' if on else 'dropped'}", within_s)

    def set(self, line: str, *, active: bool) -> None:
        self.bench.send_json({"type": "set", "line": line, "active": active})

    def find(self, person_id: str | None, verdict: FindingKind = FindingKind.RECOGNISED) -> float:
        at_s = now_s()
        finding = Finding(
            track=1, verdict=verdict, person_id=person_id, needs_phone=False, reason="test", hint=None,
            first_frame_at_s=at_s - 0.2, decided_at_s=at_s, frames=3, receipt={"v": 1},
        )  # fmt: skip
        self.vision.send_json(encode(finding))
        return at_s

    def rows(self) -> list[tuple[str, dict]]:
        path = self.folder / "state" / "journal.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as db:
            return [(kind, json.loads(body)) for kind, body in db.execute("SELECT kind, body FROM rows ORDER BY id")]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.rows()]

    def wrote(self, kind: str, **body) -> None:
        self.until(
            lambda: any(k == kind and body.items() <= b.items() for k, b in self.rows()), f"no row {kind} {body}"
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        self.processes[name].send_signal(number)
        return self.processes[name].wait(10)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for connection in (getattr(self, "bench", None), getattr(self, "vision", None)):
            if connection is not None:
                connection.close()
