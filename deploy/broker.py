"""A private mosquitto: MQTT 5 over TLS 1.3, one client certificate per device, permissions by certificate name.

The demo and the tests run it as a child on a loopback port; the two texts it writes are the configuration to install
on a site's own broker too (`config_text`, `ACL_TEXT`).
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import LinkError
from deploy.pki import Authority, write_file
from deploy.site_pki import SiteAuthority

SERVER_NAME = "community"
DASHBOARD_NAME = "dashboard"  # certificate of an engine that only reads (deploy/community/engines)
HOME_NAME = "homeassistant"  # certificate of a Home Assistant, where there is one
_START_S = 10.0

# %u is the certificate's name, site/door. A device writes below its own up/, reads its own dn/, and nothing else.
_SERVER_RULES = """\
user {name}
topic read doors/+/+/up/#
topic write doors/+/+/dn/#
topic readwrite homeassistant/#

"""
_OTHER_RULES = f"""\
user {HOME_NAME}
topic read doors/+/+/up/state
topic read homeassistant/#
topic write homeassistant/status
topic write homeassistant/door-agent/+/+/set

user {DASHBOARD_NAME}
topic read doors/+/+/up/#

pattern write doors/%u/up/#
pattern read doors/%u/dn/#
"""


def acl_text(servers: Sequence[str] = (SERVER_NAME,)) -> str:
    """The access rules; `servers` are the certificate names of the server's processes, one name each."""
    return "".join(_SERVER_RULES.format(name=name) for name in servers) + _OTHER_RULES


ACL_TEXT = acl_text()


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """What a broker needs: PEM files of the site's authority and of the broker itself."""

    folder: Path
    ca: Path
    cert: Path
    key: Path
    crl: Path | None = None  # what was taken back: one list for each intermediate, or its doors are refused


def config_text(files: BrokerFiles, port: int, *, address: str = "127.0.0.1", persist: bool | None = True) -> str:
    """mosquitto.conf. `use_username_as_clientid` makes taking over another door's session impossible.

    `persist` None: for a folder that a distribution's own mosquitto.conf includes; that has said it, and mosquitto
    takes nothing twice.
    """
    kept = "" if persist is None else f"persistence {str(persist).lower()}\npersistence_location {files.folder}/\n"
    return f"""\
per_listener_settings false
listener {port} {address}
cafile {files.ca}
certfile {files.cert}
keyfile {files.key}
{f"crlfile {files.crl}" if files.crl else "# no revocation lists"}
tls_version tlsv1.3
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {files.folder / "acl"}
# devices start clean, so all that is kept is retained rosters and states
{kept}autosave_interval 30
max_packet_size 262144
max_keepalive 120
max_queued_messages 1000
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
"""


class Broker:
    """One mosquitto as a child process. It dies with `stop()`, and with this process (parent-death signal)."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        port: int = 0,
        persist: bool = True,
        servers: Sequence[str] = (SERVER_NAME,),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        pair = authority.server("broker", ("127.0.0.1", "localhost"))
        lists = authority.write_crl() if isinstance(authority, SiteAuthority) else None
        self._files = BrokerFiles(folder, authority.cert, pair.cert, pair.key, lists)
        self.port = port or free_port()
        self._persist, self._servers = persist, servers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the files, start mosquitto, return once it answers.

        Raises:
            LinkError: mosquitto is not installed or does not start; the message has its own words.
        """
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise LinkError("mosquitto is not installed; on Debian: apt-get install mosquitto")
        config = self._files.folder / "mosquitto.conf"
        # started as root it would change to a user that can't read this private folder
        text = f"user {getpass.getuser()}\n" + config_text(self._files, self.port, persist=self._persist)
        write_file(config, text.encode(), 0o600)
        write_file(self._files.folder / "acl", acl_text(self._servers).encode(), 0o600)
        # a killed parent must not leave its broker behind
        setpriv = shutil.which("setpriv")
        command = [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), program, "-c", str(config)]
        with (self._files.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603  fixed program, own arguments
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + _START_S
        while time.monotonic() < deadline_s:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        log = (self._files.folder / "broker.log").read_text(errors="replace").strip().splitlines()
        raise LinkError(f"mosquitto did not start on port {self.port}: {log[-1] if log else 'it said nothing'}")

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def kill(self) -> None:
        """SIGKILL: what a power cut does to it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End it in order, or by force after `timeout_s`. Idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
