"""A day at the door with the cable tapped: no picture, template, name or key in the bytes, sealed or opened.

python -m tests.faults.wire --rounds 4
The demo's door lives a day (residents, strangers, a phone, an enrolment at the door, exits, orders from afar, a cut
cable) with real pictures and networks. Its cable passes a tap that keeps every byte twice: as it goes over the network
(TLS 1.3), and opened, by a terminator that has the site's own authority. Both are searched for what must not be there;
that events and person ids ARE in the opened bytes, and not in the sealed ones, shows that the search finds what is. The
last line printed is one JSON object: rounds, openings, wire_bytes, payload_bytes, searched, found.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import socket
import sqlite3
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from agent.cli import demo_world
from agent.cli.demo_processes import Uplink
from agent.cli.demo_world import DemoWorld
from agent.command_line import as_program, count
from agent.core.events import Kind
from agent.errors import DoorAgentError
from agent.journal.report import listed
from agent.roster.store import RosterStore
from deploy.pki import Authority, device_name
from deploy.site_pki import SiteAuthority

_GUEST = "张丽华 Lihua"  # enrolled at the door while the tap listens
_WINDOW = 24  # bytes of a secret that are enough to call it found
_MAGIC = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\x89PNG\r\n\x1a\n", b"/9j/4AAQ", b"iVBORw0KGgo", b"data:image")
_NUMBERS = re.compile(rb"\[(?:-?\d+(?:\.\d+)?(?:e-?\d+)?,\s*){31,}")  # a row of 32 numbers is a vector or a picture
_SCENES = ("resident_walks_up", "stranger_walks_up")


class Tap(Uplink):
    """The door's cable: a wire that keeps what passes, and behind it an end of TLS that keeps what was inside."""

    def __init__(self, to_port: int, authority: Authority) -> None:
        self.sealed, self.opened = bytearray(), bytearray()
        self._broker_port, self._authority = to_port, authority
        self._inner = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._terminate, name="tap", daemon=True).start()
        super().__init__(int(self._inner.getsockname()[1]))

    def close(self) -> None:
        super().close()
        self._inner.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.sealed += data
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()

    def _terminate(self) -> None:
        own = self._authority.server("broker", ("127.0.0.1", "localhost"))
        door = self._authority.device(device_name(demo_world.SITE, demo_world.DOOR))
        near, far = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context, pair in ((near, own), (far, door)):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(pair.cert, pair.key)
            context.load_verify_locations(self._authority.cert)
            context.verify_mode = ssl.CERT_REQUIRED
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._inner.accept()
                threading.Thread(target=self._serve, args=(sock, near, far), daemon=True).start()

    def _serve(self, sock: socket.socket, near: ssl.SSLContext, far: ssl.SSLContext) -> None:
        """Both directions in one thread: a TLS object is not for two."""
        with contextlib.suppress(OSError), sock, near.wrap_socket(sock, server_side=True) as door:
            plain = socket.create_connection(("127.0.0.1", self._broker_port), 5)
            with plain, far.wrap_socket(plain, server_hostname="127.0.0.1") as broker:
                ends = {door: broker, broker: door}
                for end in ends:
                    end.settimeout(0.02)
                while True:
                    for source, target in ends.items():
                        with contextlib.suppress(TimeoutError):
                            data = source.recv(65536)
                            if not data:
                                return
                            self.opened += data
                            target.settimeout(10)
                            target.sendall(data)
                            target.settimeout(0.02)


@contextlib.contextmanager
def tapped() -> Iterator[DemoWorld]:
    """The demo's world with the tap in place of its cable (`world.uplink` is the Tap)."""
    world = DemoWorld(None, lambda _: None)
    plain_uplink = demo_world.Uplink
    demo_world.Uplink = lambda port: Tap(port, SiteAuthority(world.folder / "pki"))  # type: ignore[assignment,misc]
    try:
        with world:
            yield world
    finally:
        demo_world.Uplink = plain_uplink  # type: ignore[misc]


def secrets_of(world: DemoWorld) -> dict[str, list[bytes]]:
    """What must not be found, by what it is; each in its usual spellings."""
    roster = world.folder / "state" / "roster.db"
    store = RosterStore(roster.parent)
    with contextlib.closing(sqlite3.connect(f"file:{roster}?mode=ro", uri=True)) as db:
        networks = db.execute("SELECT DISTINCT model_id, alignment_id FROM templates").fetchall()
    names = [person["name"] for person in store.snapshot()["persons"]]
    vectors = [t.vector for network in networks for t in store.templates(*network)]
    store.close()
    keys = [base64.b64decode(b"".join(p.read_bytes().splitlines()[1:-1])) for p in (world.folder / "pki").glob("*.key")]
    keys.append((roster.parent / "roster.key").read_bytes())
    words = [*names, *_GUEST.split()]
    return {
        "name": [w for n in words for w in (n.encode(), n.encode("utf-16-le"), json.dumps(n)[1:-1].encode())],
        "template": [w for v in vectors for w in _spellings(v)],
        "key": [w for k in keys for w in _spellings(k)],
        "picture": [*_MAGIC],
    }


def _spellings(secret: bytes) -> list[bytes]:
    """Windows of the secret itself, of its hex and of its base64 in each of the three phases."""
    texts = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        texts += [encode(secret[phase:]) for phase in range(3)]
    starts = [len(secret) // 4, len(secret) // 2]
    return [t[at : at + _WINDOW] for t in texts for at in (*starts, 0) if len(t[at : at + _WINDOW]) == _WINDOW]


def search(tap: Tap, secrets: dict[str, list[bytes]]) -> list[str]:
    """What was found where; empty is well."""
    streams = {"sealed": bytes(tap.sealed), "opened": bytes(tap.opened)}
    found = [f"{what} in the {name} bytes" for name, data in streams.items()
             for what, words in secrets.items() if any(word in data for word in words)]  # fmt: skip
    if _NUMBERS.search(streams["opened"]):
        found.append("a row of numbers in the opened bytes")
    if device_name(demo_world.SITE, demo_world.DOOR).encode() in streams["sealed"]:
        found.append("the door's topics in the sealed bytes")
    return found


def _day(world: DemoWorld, rounds: int) -> None:
    journal = world.folder / "state" / "journal.db"
    _enrol_guest(world)
    for number in range(rounds):
        for scene in _SCENES:
            _act(journal, lambda s=scene: world.play(s), "AccessControl/")
            _wait(lambda: world.player.on == "empty", 20)
        _act(journal, lambda: world.hand.press("exit"), str(Kind.REQUEST_TO_EXIT))
        _act(journal, lambda: world.order("open"), str(Kind.COMMAND))
        if number == 0:
            _act(journal, world.show_phone, str(Kind.ACCESS_GRANTED))
            _act(journal, world.show_visitor, str(Kind.ACCESS_GRANTED))
            world.uplink.cut()
            _act(journal, lambda: world.play("resident_walks_up"), "AccessControl/")
            world.uplink.restore()
    rows = _newest(journal, "")
    _wait(lambda: max((e.get("seq", 0) for e in world.server_entries()), default=0) >= rows, 60)


def _act(journal: Path, deed: Callable[[], object], kind: str) -> None:
    """Do it, and wait for a row of this kind; a machine that is too busy misses a scene, and the counts show it."""
    before = _newest(journal, kind)
    deed()
    _wait(lambda: _newest(journal, kind) > before, 40)


def _enrol_guest(world: DemoWorld) -> None:
    """As the installer would on the page at the door."""
    page = f"http://127.0.0.1:{world.console_port}/api"
    token = json.load(urlopen(Request(f"{page}/token", headers=world.console_headers()), timeout=5))["token"]  # noqa: S310  ours
    asked = json.dumps({"name": "enrol_start", "args": {"name": _GUEST, "consent": True}}).encode()
    headers = {**world.console_headers(), "X-Door-Console": token, "Content-Type": "application/json"}
    urlopen(Request(f"{page}/act", asked, headers), timeout=5).close()  # noqa: S310  the same


def _newest(journal: Path, kind: str) -> int:
    return max((row["seq"] for row in listed(journal, newest=1, kind=kind)), default=0)


def _count(journal: Path, kind: Kind | None = None) -> int:
    return sum(1 for _ in listed(journal, kind=None if kind is None else str(kind)))


def _wait(condition: Any, timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.1)


def run(rounds: int) -> tuple[dict[str, Any], list[str]]:
    with tapped() as world:
        stop = threading.Event()
        if not world.wait_ready(90, stop):
            raise DoorAgentError("the demo's door did not get ready")
        _day(world, rounds)
        journal = world.folder / "state" / "journal.db"
        secrets, tap = secrets_of(world), world.uplink
        assert isinstance(tap, Tap)
        found = search(tap, secrets)
        granted = str(Kind.ACCESS_GRANTED).encode()
        if granted not in tap.opened or granted in tap.sealed:
            found.append("nothing at all: the tap does not see the events")
        counts = {
            "rounds": rounds,
            "openings": _count(journal, Kind.ACCESS_GRANTED),
            "rows": _count(journal),
            "wire_bytes": len(tap.sealed),
            "payload_bytes": len(tap.opened),
            "searched": sum(len(words) for words in secrets.values()),
            "found": len(found),
        }
    return counts, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=count, default=4)
    try:
        counts, found = run(parser.parse_args().rounds)
    except DoorAgentError as e:
        sys.stderr.write(f"{e}\n")
        return e.exit_code
    for one in found:
        print(one)  # noqa: T201
    print(json.dumps(counts))  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(as_program("wire", main))
