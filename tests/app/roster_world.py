"""A real broker, a real server and real doors as processes, for what travels on dn/roster."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyseto

from agent.core.vision_messages import Alive, Hello, encode
from deploy.broker import SERVER_NAME, Broker
from deploy.community import publisher
from deploy.community.commander import Commander
from deploy.community.consumer import Consumer, ConsumerSettings
from deploy.community.database import SqliteConnection
from deploy.community.feed import Feed
from deploy.community.key_news import KeyNews
from deploy.community.ledger import Ledger
from deploy.community.news import News
from deploy.community.people import People
from deploy.community.publisher import Publisher
from deploy.site_pki import SiteAuthority
from hardware.errors import PeerGoneError, SocketError
from hardware.seqpacket import connect

HELLO = Hello(v=1, engine="test", model_id="net", alignment_id="five", liveness=True, missing=None, pid=1)
_GOOD_CLOCK = """\
import sys
from agent.clock import SystemClock
from agent.core.journal import ClockQuality
SystemClock.quality = lambda self: ClockQuality.NTP
from agent.cli.main import main
sys.exit(main(sys.argv[1:]))
"""  # a machine in a build farm may have an undisciplined clock
_CONFIG = """\
[door]
site = "garden"
id = "{id}"
lock_type = "fail-secure"
lock_duty = "continuous"
release_time_s = 1.0
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[hardware.inputs.contact]
pin = 22
[camera]
source = "none"
[server]
host = "127.0.0.1"
first_connect_spread_s = 0.0
port = {port}
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
server_key_file = "{server_key}"
command_keys_dir = "{keys}"
[passes]
keys_dir = "{passes}"
[store]
state_dir = "{folder}/state"
[runtime]
agent_dir = "{folder}"
guard_dir = "{folder}"
{more}
"""


def unit_vector() -> bytes:
    """A template of nobody: float32[256], length 1."""
    found = np.random.default_rng().normal(size=256)
    return bytes((found / np.linalg.norm(found)).astype("<f4").tobytes())


class NoVision:
    """A vision link with nobody at its other end."""

    peer = None

    def offer(self, message: object, peer: object) -> bool:
        raise PeerGoneError("nobody")


def until(ask, complaint: str, timeout_s: float = 50.0) -> Any:
    """The first true answer, looked for until the bound."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = ask()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{complaint() if callable(complaint) else complaint} within {timeout_s} s")


class Site:
    """Broker, authority, server and its people."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = SiteAuthority.create(folder / "ca", "garden")
        self.broker = Broker(folder / "broker", self.authority)
        self.broker.start()
        self.signing = self.authority.signing_key("server")
        manager = self.authority.signing_key("manager")
        self.keys, self.pass_keys = folder / "command-keys", folder / "pass-keys"
        for one in (self.keys, self.pass_keys):
            one.mkdir()
        (self.keys / "manager.pem").write_bytes(manager.cert.read_bytes())
        self.server_key = folder / "server.pub.pem"  # as the doors were provisioned with it
        self.server_key.write_bytes(self.signing.cert.read_bytes())
        self.people = People(folder / "people")
        self.news: list[News] = []
        self.more: list[Callable[[News], None]] = []  # who else hears the doors
        self.commander = Commander(manager.key.read_bytes(), "manager")
        self.doors: list[Door] = []
        self.up = False

    @property
    def key(self) -> Any:
        return pyseto.Key.new(version=4, purpose="public", key=self.signing.key.read_bytes())

    def _alarm(self, device: str, word: str, detail: str) -> None:
        self.consumer.alarm(device, word, detail)

    def serve(self) -> None:
        """The parts that `python -m deploy.community` puts together, in this process."""
        ledger = Ledger(SqliteConnection(self.folder / "community.db"))
        self.feed = Feed(ledger.newest(10), ledger.doors())
        pair = self.authority.device(SERVER_NAME)
        settings = ConsumerSettings(
            "127.0.0.1", self.broker.port, self.authority.cert, pair.cert, pair.key, self.signing.key
        )
        publisher._LOOK_EVERY_S = 0.1  # the server's second is this test's tenth
        self.publisher = Publisher(self.people, self.key, self.authority.cert.read_bytes(), self._alarm)

        def tell(news: News) -> None:
            self.news.append(news)
            self.commander.hear(news)
            self.publisher.hear(news)
            keys.hear(news)
            for more in self.more:
                more(news)

        self.consumer = Consumer(settings, ledger, tell)
        keys = KeyNews(self.authority.folder / "site.keys", self.consumer.send_command, self._alarm)
        self.commander.connect(self.consumer.send_command)
        self.publisher.connect(self.consumer.send_roster, self.consumer.send_command)
        self.consumer.start()
        self.publisher.start()
        self.up = True

    def stop_serving(self) -> None:
        if self.up:
            self.publisher.stop()
            self.consumer.stop()
        self.up = False

    def door(self, door_id: str = "gate-1", more: str = "") -> "Door":
        self.doors.append(Door(self, door_id, more))
        return self.doors[-1]

    def close(self) -> None:
        for door in self.doors:
            door.close()
        self.stop_serving()
        self.broker.stop()


class Door:
    """One door: a guard on simulated lines, an agent, and this test as its eyes."""

    def __init__(self, site: Site, door_id: str, more: str) -> None:
        self.site, self.name = site, f"garden/{door_id}"
        self.folder = site.folder / door_id
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        pair = site.authority.device(self.name)
        self.config = self.folder / "door.toml"
        self.config.write_text(_CONFIG.format(
            id=door_id, port=site.broker.port, ca=site.authority.cert, cert=pair.cert, key=pair.key,
            server_key=site.server_key, keys=site.keys, passes=site.pass_keys, folder=self.folder, more=more,
        ))  # fmt: skip
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.vision = self.bench = None

    def start(self, *, guard: bool = False, good_clock: bool = False) -> "Door":
        if guard and "guard" not in self.processes:
            self._process("guard", "-m", "hardware.guard", "--config", str(self.config))
            self.bench = until(lambda: self._reach("bench.sock"), "no guard")
        main = ("-c", _GOOD_CLOCK) if good_clock else ("-m", "agent.cli.main")
        self._process("agent", *main, "run", "--config", str(self.config))
        until(self.rows, self._words)
        return self

    def look(self) -> Any:
        """This test as the vision process."""
        self.vision = until(lambda: self._reach("vision.sock"), "no agent")
        self.vision.send_json(encode(HELLO))
        return self.vision

    def alive(self) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.vision.send_json(encode(Alive(frames=1, fps=10, camera_state="ok", at_s=at_s)))

    def _reach(self, name: str) -> Any:
        try:
            return connect(str(self.folder / name))
        except SocketError:
            return None

    def _process(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agent.cli.main", *words, "--config", str(self.config)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def kill(self, name: str = "agent", *, hard: bool = True) -> None:
        process = self.processes.pop(name)
        process.kill() if hard else process.terminate()
        process.wait(10)

    def rows(self, kind: str | None = None) -> list[dict[str, Any]]:
        path = self.state / "journal.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as db:
            try:
                found = db.execute("SELECT kind, body FROM rows ORDER BY id").fetchall()
            except sqlite3.OperationalError:  # it is being made
                return []
        return [{"kind": k, **json.loads(b)} for k, b in found if kind in (None, k)]

    def wrote(self, timeout_s: float = 50.0, **body: Any) -> dict[str, Any]:
        """The first row with these values, waited for."""
        found = until(
            lambda: [r for r in self.rows() if body.items() <= r.items()], lambda: f"no row {body}: {self._words()}",
            timeout_s,
        )  # fmt: skip
        return found[0]

    def _words(self) -> str:
        logs = "\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
        return f"{self.name}\n{logs}\n{[(r['kind'], r.get('state'), r.get('reason')) for r in self.rows()]}"

    def bytes_on_disk(self) -> bytes:
        """Every byte of every file of this door."""
        return b"".join(p.read_bytes() for p in sorted(self.state.rglob("*")) if p.is_file())

    def close(self) -> None:
        for connection in (self.bench, self.vision):
            if connection is not None:
                connection.close()
        for process in self.processes.values():
            process.kill()
            process.wait(10)
