"""An outbox with a clock that a test sets, and the means to wait for its answers."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from agent.core.events import Kind, Priority, Record
from agent.core.journal import ClockQuality
from agent.link.settings import Backoff, LinkSettings, tls_context
from agent.mqtt_link import MqttLink
from agent.outbox import Outbox, OutboxSettings
from deploy.broker import SERVER_NAME, Broker, free_port
from deploy.community.consumer import Consumer, ConsumerSettings
from deploy.community.database import Connection, SqliteConnection
from deploy.community.ledger import Ledger
from deploy.site_pki import SiteAuthority
from tests.programs import needed

WAIT_S = 10.0


class SetClock:
    """Time since boot is real, so that waiting works; wall time, its quality and the boot are what a test says."""

    def __init__(self):
        self.wall_ms = 1_790_000_000_000
        self.good = ClockQuality.NTP
        self.boot = "boot-1"

    def now_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def utc_ms(self) -> int:
        return self.wall_ms

    def quality(self) -> ClockQuality:
        return self.good

    def boot_id(self) -> str:
        return self.boot


class Posts:
    """What was posted, in order; safe to post to from any thread."""

    def __init__(self):
        self._changed = threading.Condition()
        self.all: list[object] = []
        self._others: list[Callable[[object], None]] = []

    def also(self, other: Callable[[object], None]) -> None:
        """Hand everything on to `other` too."""
        self._others.append(other)

    def __call__(self, event: object) -> None:
        for other in self._others:
            other(event)
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def of(self, *types: type) -> list:
        with self._changed:
            return [e for e in self.all if isinstance(e, types)]

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), f"{what}; posted: {self.all[-5:]}"

    def wait_for(self, kind: type, count: int = 1, timeout_s: float = WAIT_S) -> list:
        self.wait(lambda: len(self.of(kind)) >= count, f"{count} x {kind.__name__} within {timeout_s} s", timeout_s)
        return self.of(kind)


def record(n: int, *, kind: Kind = Kind.DOOR_PHYSICAL, priority: Priority = Priority.NORMAL, **facts) -> Record:
    return Record(kind, {"n": n}, priority, facts or None)


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def make(tmp_path: Path, clock: SetClock):
    """Build outboxes, each with its posts; started unless told otherwise, stopped at the end."""
    made = []

    def build(*, start: bool = True, **settings):
        posts = Posts()
        given = {"path": tmp_path / "journal.db", "site": "s1", "door": "d1", "ballast_bytes": 65536, **settings}
        outbox = Outbox(OutboxSettings(**given), posts, clock)
        made.append(outbox)
        if start:
            outbox.start()
        return outbox, posts

    yield build
    for outbox in made:
        outbox.stop()


def until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait for a condition, bounded."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} within {timeout_s} s"
        time.sleep(0.002)


class Site:
    """A broker with certificates for some doors, and a community server when it is asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.authority = SiteAuthority.create(folder / "ca", "s1")
        self.broker = Broker(folder / "broker", self.authority)
        self.signing = self.authority.signing_key("server")
        self.news = Posts()
        self._consumers: list[Consumer] = []
        self._ledgers: list[Ledger] = []

    def serve(self, database: Connection | None = None, **more) -> Consumer:
        ledger = Ledger(database or SqliteConnection(self.folder / "community.db"))
        pair = self.authority.device(SERVER_NAME)
        settings = ConsumerSettings(
            "127.0.0.1", self.broker.port, self.authority.cert, pair.cert, pair.key, self.signing.key, **more
        )
        consumer = Consumer(settings, ledger, self.news)
        consumer.start()
        self._consumers.append(consumer)
        return consumer

    def ledger(self) -> Ledger:
        """The server's tables, on a connection of the test's own."""
        ledger = Ledger(SqliteConnection(self.folder / "community.db"))
        self._ledgers.append(ledger)
        return ledger

    def link_settings(self, door: str = "d1", *, certificate: str | None = None, **more) -> LinkSettings:
        pair = self.authority.device(certificate or f"s1/{door}")
        given = {
            "host": "127.0.0.1", "port": self.broker.port, "ca": self.authority.cert, "cert": pair.cert,
            "key": pair.key, "server_key": self.signing.cert, "site": "s1", "door": door,
            "backoff": Backoff(first_s=0.05, cap_s=0.3, refused_first_s=0.05, refused_cap_s=0.3, good_after_s=0.5),
        }  # fmt: skip
        return LinkSettings(**{**given, **more})

    def raw(self, name: str, *, client_id: str | None = None, on_message=None) -> mqtt.Client:
        """A plain client with the certificate of `name`; already connected."""
        pair = self.authority.device(name)
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or name, protocol=mqtt.MQTTv5)
        client.tls_set_context(tls_context(self.authority.cert, pair.cert, pair.key))
        up = threading.Event()
        client.on_connect = lambda *_: up.set()
        client.on_message = on_message
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        assert up.wait(WAIT_S)
        return client

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.stop()
        for ledger in self._ledgers:
            ledger.close()
        self.broker.stop()


@pytest.fixture
def site(tmp_path: Path):
    """A private broker, started."""
    site = Site(tmp_path / "site")
    site.broker.start()
    yield site
    site.close()


@pytest.fixture
def linked(make, site: Site):
    """Build a started outbox and link of one door."""
    links = []

    def build(door: str = "d1", *, settings: LinkSettings | None = None, **more):
        outbox, posts = make(door=door, path=site.folder / door / "journal.db")
        link = MqttLink(settings or site.link_settings(door, **more), posts, outbox)
        links.append(link)
        link.start()
        return link, outbox, posts

    yield build
    for link in links:
        link.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A private PostgreSQL; yields a function that makes a URL of an empty database."""
    pytest.importorskip("pg8000", reason="the PostgreSQL driver is not installed (extra: postgres)")
    programs = Path(needed("initdb")).parent
    folder = Path(shutil.copytree(tmp_path_factory.mktemp("pg"), f"/var/tmp/door-agent-pg-{free_port()}"))  # noqa: S108
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        shutil.chown(folder, user.pw_uid, user.pw_gid)
        as_user = [needed("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user, str(programs / program), *arguments],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "community", "-A", "trust", "-E", "UTF8", "--no-sync")
    run("pg_ctl", "-D", data, "-w", "-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", "start")
    number = iter(range(1000))

    def fresh() -> str:
        name = f"c{next(number)}"
        run("createdb", "-h", str(folder), "-p", str(port), "-U", "community", name)
        return f"postgresql://community@127.0.0.1:{port}/{name}"

    fresh.restart = lambda: run("pg_ctl", "-D", data, "-w", "-m", "immediate", "restart")
    yield fresh
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)
