"""A site as `door-agent site` makes it, from its verbs to an opening: broker, server, door on its files alone."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import zxingcpp
from roster_world import Door, unit_vector, until

from agent.cli.demo_manager import DemoManager
from agent.cli.main import main
from agent.core.roster import SITE_PURPOSE
from agent.core.vision_messages import Pass, encode
from agent.residents import NewFace
from agent.roster.store import RosterStore
from deploy.broker import free_port
from deploy.community.people import People
from deploy.device import identity
from deploy.provision.provision import believed
from deploy.provision.sitefile import KEYS, door_config, load
from deploy.site_files import BROKER_HOME
from deploy.site_pki import SiteAuthority

pytestmark = pytest.mark.slow

SITE = """
[all.server]
host = "127.0.0.1"
port = {port}
[doors.gate-1.door]
lock_type = "fail-secure"
lock_duty = "continuous"
release_time_s = 1.0
[doors.gate-1.hardware]
backend = "simulated"
[doors.gate-1.hardware.relay]
pin = 17
[doors.gate-1.hardware.inputs.contact]
pin = 22
[doors.gate-1.store]
state_dir = "{folder}/gate-1/state"
[doors.gate-1.runtime]
agent_dir = "{folder}/gate-1"
guard_dir = "{folder}/gate-1"
"""
CONSENT = {"purpose": SITE_PURPOSE, "given_utc_s": 1_790_000_000, "under_14": False, "guardian": None,
           "withdrawn_utc_s": None}  # fmt: skip
MANAGE = (sys.executable, "-m", "deploy.community.manage", "--config")


class ProvisionedSite:
    """Its folder; mosquitto and server run on what the verbs wrote, as an operator copies it to their machines."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "site.toml"
        self.port, self.page = free_port(), free_port()
        self.verb("init", str(folder), "--name", "garden")
        head = '[site]\nname = "garden"\n[all.camera]\nsource = "none"\n'
        self.file.write_text(head + SITE.format(port=self.port, folder=folder))
        self.verb("broker", "--host", "127.0.0.1", "--port", str(self.port))
        self.verb("server")
        config = folder / "server" / "community.toml"
        config.write_text(config.read_text() + f"http_port = {self.page}\n")
        self.config = config
        self.processes: list[subprocess.Popen[bytes]] = []
        self.manager = DemoManager(config, f"http://127.0.0.1:{self.page}")

    @property
    def authority(self) -> SiteAuthority:
        return SiteAuthority(self.folder / "pki")

    @property
    def people(self) -> People:
        return People(self.folder / "server" / "people")

    def verb(self, name: str, *words: str) -> None:
        at = [] if name == "init" else ["--site", str(self.file)]
        assert main(["site", name, *at, *words]) == 0

    def serve(self) -> None:
        """As Debian's mosquitto reads a folder of its conf.d; the paths of another machine are this one's."""
        home, conf_d = self.folder / "etc", self.folder / "conf.d"
        shutil.copytree(self.folder / "broker", home)
        conf_d.mkdir()
        text = (home / "door.conf").read_text().replace(str(BROKER_HOME), str(home))
        (conf_d / "door.conf").write_text(text.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104  the other way round
        own = self.folder / "mosquitto.conf"
        own.write_text(f"user root\npersistence true\npersistence_location {home}/\ninclude_dir {conf_d}\n")
        self._start(shutil.which("mosquitto", path="/usr/bin:/usr/sbin") or "mosquitto", "-c", str(own))
        until(lambda: _answers(self.port), self.words)
        self._start(sys.executable, "-m", "deploy.community", "--config", str(self.config))
        until(lambda: _answers(self.page), self.words)

    def manage(self, *words: str) -> None:
        subprocess.run([*MANAGE, str(self.config), *words], check=True, capture_output=True, timeout=60)

    def words(self) -> str:
        return "\n".join(log.read_text()[-3000:] for log in self.folder.glob("*.log"))

    def _start(self, *command: str) -> None:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class ProvisionedDoor(Door):
    """A door with the files that the runner puts on a device, and its configuration from the site file."""

    def __init__(self, site: ProvisionedSite) -> None:
        self.site, self.name, self.folder = site, "garden/gate-1", site.folder / "gate-1"
        self.state, self.keys = self.folder / "state", self.folder / "keys"
        self.state.mkdir(parents=True)
        for name, text in believed(site.authority).items():
            (self.keys / name).parent.mkdir(parents=True, exist_ok=True)
            (self.keys / name).write_text(text)
        request = identity.request(self.keys, self.name)
        (self.keys / "device.pem").write_bytes(site.authority.sign_request(request, self.name))
        text, _ = door_config(load(site.file), "gate-1", site.file)
        self.config = self.folder / "door.toml"
        self.config.write_text(text.replace(KEYS, str(self.keys)))
        self.processes, self.vision, self.bench = {}, None, None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ProvisionedSite]:
    site = ProvisionedSite(tmp_path)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture
def door(site: ProvisionedSite) -> Iterator[Door]:
    door = ProvisionedDoor(site)
    try:
        yield door
    finally:
        door.close()


def code_of(picture: Path) -> bytes:
    return zxingcpp.read_barcodes(cv2.imread(str(picture)))[0].text.encode()


def stored_faces(door: Door) -> int:
    with contextlib.closing(RosterStore(door.state)) as store:
        return store.template_count()


def test_a_provisioned_door_hears_orders_gets_faces_takes_passes_and_confirms_a_withdrawal(
    site: ProvisionedSite, door: Door
):
    """By the site's own files alone: its intermediate, its revocation lists, its key names."""
    site.people.put({"id": "p-li", "name": "Li Mei", "consent": CONSENT})
    site.people.add_faces("p-li", [NewFace(unit_vector(), 0.9)], "net", "five")
    site.people.set_door(door.name, ["*"])
    site.serve()
    door.start(guard=True, good_clock=True)
    until(lambda: stored_faces(door) == 1, lambda: f"no face at the door\n{site.words()}\n{door._words()}")
    door.wrote(kind="Door/State/DoorPhysicalState")

    order = {"action": "open", "reason": "the plumber"}
    opened = until(
        lambda: (said := site.manager.ask(f"/api/doors/{door.name}/orders", order)).get("stage") and said,
        lambda: f"no answer to an order\n{site.words()}\n{door._words()}",
    )
    assert opened["stage"] in ("accepted", "energised"), opened
    door.wrote(kind="AccessControl/AccessGranted/Credential", credential="remote")

    soon = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 3600))
    site.manage("pass", "--door", door.name, "--until", soon, "--picture", str(site.folder / "pass.png"))
    door.look()
    door.vision.send_json(encode(Pass(code_of(site.folder / "pass.png"), time.clock_gettime(time.CLOCK_BOOTTIME))))
    door.wrote(kind="AccessControl/AccessGranted/Credential", credential="visitor-pass")

    site.people.withdraw("p-li")
    until(lambda: site.people.withdrawals()[0]["receipts"], lambda: f"no receipt\n{site.words()}\n{door._words()}")
    assert stored_faces(door) == 0
