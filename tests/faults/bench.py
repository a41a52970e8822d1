"""A whole stream on one machine for the fault commands: authority, broker, server and door as real processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.core.events import Kind
from agent.core.journal import GENESIS, ClockQuality, Row, row_hash
from deploy.broker import SERVER_NAME, Broker
from deploy.pki import Authority, device_name
from deploy.site_pki import SiteAuthority

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A process of this project, started, killed and started again."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments, self._log = arguments, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()


class Bench:
    """Folder, certificates, broker and community server."""

    def __init__(
        self,
        folder: Path,
        *,
        site: str = "site",
        doors: tuple[str, ...] = ("door",),
        broker: Callable[[Path, Authority], Any] = Broker,
    ) -> None:
        self.folder, self.site, self.doors = folder, site, doors
        self.authority = SiteAuthority.create(folder / "ca", "faults")
        self.broker = broker(folder / "broker", self.authority)
        self.signing = self.authority.signing_key("server")
        pair = self.authority.device(SERVER_NAME)
        self.database = folder / "community.db"
        config = folder / "community.toml"
        config.write_text(
            f'broker_port = {self.broker.port}\nca_file = "{self.authority.cert}"\ncert_file = "{pair.cert}"\n'
            f'key_file = "{pair.key}"\nsigning_key_file = "{self.signing.key}"\ndatabase = "{self.database}"\n'
            "http_port = 0\n"
        )
        self.server = Child(["-m", "deploy.community", "--config", str(config)], folder / "server.log")

    def link_config(self, door: str, *, port: int | None = None) -> dict[str, object]:
        pair = self.authority.device(device_name(self.site, door))
        return {
            "host": "127.0.0.1",
            "port": port or self.broker.port,
            "ca": str(self.authority.cert),
            "cert": str(pair.cert),
            "key": str(pair.key),
            "server_key": str(self.signing.cert),
            "site": self.site,
            "door": door,
        }

    def door(self, door: str, *, events: int, per_s: float, port: int | None = None) -> Child:
        config = self.folder / f"{door}.json"
        config.write_text(json.dumps({
            "link": self.link_config(door, port=port), "path": str(self.folder / door / "journal.db"),
            "events": events, "per_s": per_s,
        }))  # fmt: skip
        return Child(["-m", "tests.faults.door", str(config)], self.folder / f"{door}.log")

    def stop(self) -> None:
        self.server.stop()
        self.broker.stop()

    def stored(self, door: str) -> Iterator[Row]:
        """The server's rows of a door in the order they were stored, with the previous row's hash put back."""
        db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        prev: dict[str, str] = {}
        device = device_name(self.site, door)
        try:
            for epoch, seq, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, digest in db.execute(
                "SELECT epoch, seq, boot_id, boottime_ms, wall_ms, clock, kind, priority, body, hash FROM events"
                " WHERE device = ? ORDER BY id", (device,),
            ):  # fmt: skip
                yield Row(device, epoch, seq, boot_id, boottime_ms, wall_ms, ClockQuality(clock), kind, priority,
                          json.loads(body), prev.get(epoch, GENESIS), digest)  # fmt: skip
                prev[epoch] = digest
        finally:
            db.close()

    def count(self, door: str) -> int:
        """How many of the door's own events the server has; 0 while it has no tables yet."""
        try:
            db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
            try:
                query = "SELECT count(*) FROM events WHERE device = ? AND kind = ?"
                values = (device_name(self.site, door), str(Kind.DOOR_PHYSICAL))
                return int(db.execute(query, values).fetchone()[0])
            finally:
                db.close()
        except sqlite3.OperationalError:
            return 0

    def has(self, door: str, kind: Kind) -> bool:
        """The server shows an event of this kind, in its place or ahead of the rows before it."""
        db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            tables = (f"SELECT 1 FROM {table} WHERE device = ? AND kind = ?" for table in ("previews", "events"))  # noqa: S608
            values = (device_name(self.site, door), str(kind))
            return any(db.execute(query, values).fetchone() for query in tables)
        finally:
            db.close()


def judged(rows: Iterator[Row], events: int) -> dict[str, int]:
    """Count what went wrong: the door numbers its own events from 1 to `events` in their bodies."""
    seen: set[int] = set()
    doubled = reordered = breaks = newest = 0
    for row in rows:
        breaks += row_hash(row) != row.hash
        n = row.body.get("n")
        if not isinstance(n, int):
            continue
        doubled += n in seen
        reordered += n < newest
        seen.add(n)
        newest = max(n, newest)
    lost = len(set(range(1, events + 1)) - seen)
    return {"lost": lost, "doubled": doubled, "reordered": reordered, "chain_breaks": breaks}


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for a condition, bounded; says what did not happen."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} did not happen within {timeout_s} s")
        time.sleep(0.02)
