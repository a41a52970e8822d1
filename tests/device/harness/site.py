"""The site around the door, on this machine: authority, broker, server, and somebody who opens the door from afar."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from agent.core.commands import Action
from deploy.broker import SERVER_NAME, Broker, free_port
from deploy.community.commander import Commander
from deploy.community.consumer import Consumer, ConsumerSettings
from deploy.community.database import SqliteConnection
from deploy.community.ledger import Ledger
from deploy.community.news import News
from deploy.pki import device_name
from deploy.site_pki import SiteAuthority
from tests.device.harness.door import Door

DEVICE = device_name("rig", "door-1")
BROKER_PORT, OPENER_PORT = 8883, 9999  # as the guest sees them, on 10.0.2.100
FILES = "/etc/door-agent/keys"

SERVER_CONFIG = f"""
[server]
host = "10.0.2.100"
first_connect_spread_s = 0.0
port = {BROKER_PORT}
ca_file = "{FILES}/ca.pem"
cert_file = "{FILES}/device.pem"
key_file = "{FILES}/device.key"
server_key_file = "{FILES}/server.pub.pem"
command_keys_dir = "{FILES}/command-keys"
"""


class Site:
    """Use as a context manager; `ports` are what the guest is booted with."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="door-rig-"))
        self.authority = SiteAuthority.create(self.folder / "ca", "rig")
        self.authority.server("broker", ("127.0.0.1", "localhost", "10.0.2.100"))
        self.broker = Broker(self.folder / "broker", self.authority, port=free_port())
        self.ports = {BROKER_PORT: self.broker.port, OPENER_PORT: free_port()}
        self.command = self.authority.signing_key("manager")
        self.commander = Commander(self.command.key.read_bytes(), "manager")
        self.news: list[News] = []
        pair, signing = self.authority.device(SERVER_NAME), self.authority.signing_key("server")
        settings = ConsumerSettings(
            "127.0.0.1", self.broker.port, self.authority.cert, pair.cert, pair.key, signing.key
        )
        self.consumer = Consumer(settings, Ledger(SqliteConnection(self.folder / "community.db")), self._tell)
        self.sent: list[bytes] = []  # every order as it went over the line: what an eavesdropper has
        self.commander.connect(self._send)

    def __enter__(self) -> Self:
        """Start broker, server and opener."""
        self.broker.start()
        self.consumer.start()
        threading.Thread(target=self._serve_opener, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop them."""
        self.consumer.stop()
        self.broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def introduce(self, door: Door) -> None:
        """Give the door its identity and the keys that it obeys, and the address of the broker."""
        pair = self.authority.device(DEVICE)
        keys = {
            "ca.pem": self.authority.cert,
            "device.pem": pair.cert,
            "device.key": pair.key,
            "server.pub.pem": self.authority.signing_key("server").cert,
            "command-keys/manager.pem": self.command.cert,
        }
        door.guest.run(f"mkdir -p {FILES}/command-keys")
        for name, path in keys.items():
            door.guest.push(path, to="/home/pi/key.new")
            door.guest.run(f"install -m 600 -o door-agent -g door /home/pi/key.new {FILES}/{name}; rm /home/pi/key.new")
        door.guest.run(f"chown door-agent:door {FILES}/command-keys")
        door.extra = SERVER_CONFIG
        door.write_config()

    device = DEVICE

    def open_door(self) -> dict[str, Any]:
        """One order, as the manager's page gives it; its newest stage."""
        return self.order(Action.OPEN.value)

    def order(self, words: str) -> dict[str, Any]:
        """An action, and for how many seconds where that matters."""
        action, *for_s = words.split()
        more = {"for_s": float(for_s[0])} if for_s else {}
        return self.commander.order(DEVICE, Action(action), "manager", **more)

    def wait_online(self, within_s: float = 60.0) -> None:
        """Until the door hears orders."""
        end_s = time.monotonic() + within_s
        while self.commander.order(DEVICE, Action.IDENTIFY, "manager")["stage"] in ("not-sent", "no-answer"):
            if time.monotonic() > end_s:
                raise TimeoutError(f"the door did not come online within {within_s} s")

    @contextlib.contextmanager
    def broker_down(self) -> Iterator[None]:
        """A killed broker, started again afterwards."""
        self.broker.kill()
        try:
            yield
        finally:
            self.broker.start()

    def _send(self, device: str, token: bytes, correlation: bytes) -> None:
        self.sent.append(token)
        self.consumer.send_command(device, token, correlation)

    def _tell(self, news: News) -> None:
        self.news.append(news)
        self.commander.hear(news)

    def _serve_opener(self) -> None:
        """A drill on the device connects and says what it orders; the answer is the stage."""
        with socket.create_server(("127.0.0.1", self.ports[OPENER_PORT])) as server:
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(str(self.order(connection.recv(64).decode()).get("stage")).encode())
