"""From a bare Pi to a tested door: what `door-agent provision` does, in order."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config import Config
from agent.errors import DoorAgentError
from deploy.device.setup import NEEDED_FACTOR
from deploy.pki import device_name
from deploy.provision import bundles, hostkey, preflight
from deploy.provision.conversation import FOLDER, Outcome, converse, push_bundle, push_runner, quote
from deploy.provision.hostkey import HostKeyError, KnownDoors
from deploy.provision.sitefile import SiteFile, door_config, load
from deploy.provision.ssh import KEY_NAME, Address, Session
from deploy.site_pki import SiteAuthority

Show = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Wish:
    """What the installer typed."""

    host: str
    site_file: Path
    door: str
    port: int = 22
    bundle: Path | None = None
    identity: Path | None = None
    password_file: Path | None = None
    host_key: str | None = None
    forget_host_key: bool = False
    dry_run: bool = False
    undo: bool = False
    open_door: bool = True
    open_now: bool = False  # somebody watches the lock, or nobody has to
    now: bool = False  # somebody at the door is no reason to wait
    wires: bool = False
    ways: tuple[str, ...] = ()
    test_again: bool = False
    enrol: tuple[str, tuple[Path, ...]] | None = None


@dataclass
class Done:
    """What came of it; `facts` is the report's content."""

    outcome: Outcome
    facts: dict[str, Any] = field(default_factory=dict)


class Provision:
    """One run. `show` gets everything that happens; `confirm` asks a person yes or no (None: nobody is there)."""

    def __init__(self, wish: Wish, show: Show, confirm: Callable[[str], bool] | None) -> None:
        self.wish, self.show, self.confirm = wish, show, confirm
        self.site: SiteFile = load(wish.site_file)
        self.config_text, self.config = door_config(self.site, wish.door, wish.site_file)
        self.folder = wish.site_file.resolve().parent
        self.authority = SiteAuthority(self.folder / self.site.site.authority)
        self.known = KnownDoors(self.folder / "known_hosts")
        self.name = device_name(self.site.site.name, wish.door)

    def run(self) -> Done:
        """Do it.

        Raises:
            DoorAgentError: one of its kinds; the message says whose fault it is and what to do.
        """
        with tempfile.TemporaryDirectory() as scratch:
            if self.wish.dry_run:  # what is believed for this run is written nowhere
                self.known = self.known.copied(Path(scratch) / "known_hosts")
            return self._run(Path(scratch))

    def _run(self, scratch: Path) -> Done:
        began_s = time.monotonic()
        address = Address.parse(self.wish.host, self.name, self.wish.port)
        key = self._pin(address)
        with self._session(address) as session:
            if session.connect(leave_key=not self.wish.dry_run):
                self.show({"t": "note", "words": "this laptop's key is on the device now; no password from here on"})
            device = preflight.look(session)
            self.show({"t": "device", "board": device.board, "system": device.system, "for": str(device.target)})
            runner = push_runner(session, scratch)
            if self.wish.undo:
                return Done(converse(session, f"{runner} undo", {}, {}, self.show))
            bundle = bundles.choose(self.wish.bundle, self.folder, device.target)
            if device.current != bundle.release:
                preflight.room(device, bundle.mib, NEEDED_FACTOR)
            if self.config.hardware.backend == "lgpio":
                preflight.pins(device, bundle)
            plan = self._plan(bundle.release, address)
            self._page(session)
            outcome = converse(session, f"{runner} setup", plan, self._answers(session, bundle.path), self.show)
            session.run(f"rm -rf {FOLDER}")
        facts = {
            "site": self.site.site.name,
            "door": self.wish.door,
            "release": bundle.release,
            "board": device.board,
            "system": device.system,
            "host_key": hostkey.fingerprint(key),
            "host_key_words": hostkey.words(key),
            "minutes": round((time.monotonic() - began_s) / 60, 1),
        }
        return Done(outcome, facts)

    def update(self, *, older: bool) -> Done:
        """Another release on a door that was provisioned before. Raises DoorAgentError: refused, or led back."""
        address = Address.parse(self.wish.host, self.name, self.wish.port)
        self._pin(address)
        with self._session(address) as session, tempfile.TemporaryDirectory() as scratch:
            session.connect()
            device = preflight.look(session)
            bundle = bundles.choose(self.wish.bundle, self.folder, device.target)
            preflight.room(device, bundle.mib, NEEDED_FACTOR)
            preflight.pins(device, bundle)
            runner = push_runner(session, Path(scratch))
            target = push_bundle(session, bundle.path, self.show)
            words = f"{runner} update {quote(target)}" + " --allow-older" * older + " --now" * self.wish.now
            outcome = converse(session, words, {}, {}, self.show)
            session.run(f"rm -rf {FOLDER}")
        return Done(outcome)

    def _session(self, address: Address) -> Session:
        identity = self.wish.identity or self.folder / (self.site.ssh.identity or KEY_NAME)
        return Session(address, self.known, identity, self.wish.password_file)

    def _page(self, session: Session) -> None:
        """The door's own page (picture with boxes) on this laptop, while the command runs; its link comes later."""
        if self.wish.dry_run:
            return
        if self.config.console is None:
            if self.config.camera.source != "none":
                words = f"to see the camera's picture with boxes: [doors.{self.wish.door}.console] in the site file"
                self.show({"t": "note", "words": f"{words}, with port = 8480; then run this again"})
            return
        port = self.config.console.port
        if not session.forward(port):
            words = f"the door's page can't be shown: something on this laptop has port {port}"
            self.show({"t": "note", "words": words})

    def _pin(self, address: Address) -> str:
        key = hostkey.scan(address.host, address.port)
        # to be forgotten: what is pinned stays all the same until somebody has vouched for this one
        if not self.wish.forget_host_key and self.known.check(self.name, key):
            return key
        said, words, print_ = self.wish.host_key, hostkey.words(key), hostkey.fingerprint(key)
        self.show({"t": "host-key", "words": words, "fingerprint": print_})
        if said is not None:
            if said.strip().lower() not in {words, print_.lower()}:
                raise HostKeyError(f"the device shows {words}\n({print_}), not what --host-key says. Nothing was sent")
        elif self.confirm is None:
            raise HostKeyError(f"first contact: say --host-key '{words}' to provision when compared, see the guide")
        elif not self.confirm("Are these the words of this device?"):
            raise HostKeyError("not pinned, nothing was sent to the device")
        self.known.pin(self.name, key)
        return key

    def _plan(self, release: str, address: Address) -> dict[str, Any]:
        relay = self.config.hardware.relay
        wish = self.wish
        return {
            "site": self.site.site.name,
            "door": wish.door,
            "release": release,
            "utc": time.time(),
            "config": self.config_text,
            "keys": believed(self.authority),
            "crl": self.authority.crl().decode(),
            "release_key": (self.authority.folder / "release.pub.pem").read_text(),
            "relay_pin": relay.pin,
            "relay_active_high": relay.active_high,
            "ntp": self.site.time.servers,
            "user": address.user,
            "ssh_listen": self.site.ssh.listen,
            "page_port": self.config.console.port if self.config.console else None,
            "keep_mdns": address.host.endswith(".local"),
            "enrol": {"name": wish.enrol[0]} if wish.enrol else None,
            "dry_run": wish.dry_run,
            "open": "no" if not wish.open_door else "now" if wish.open_now else "ask" if self.confirm else "no",
            "now": wish.now,
            "wires": wish.wires,
            "ways": list(wish.ways),
            "test_again": wish.test_again or wish.wires or bool(wish.ways),
        }

    def _answers(self, session: Session, bundle: Path) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        def send_bundle(_: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"path": push_bundle(session, bundle, self.show)}

        def certificate(said: Mapping[str, Any]) -> Mapping[str, Any]:
            try:
                return {"certificate": self.authority.sign_request(str(said["request"]).encode(), self.name).decode()}
            except DoorAgentError as error:
                return {"refused": str(error)}

        def pictures(said: Mapping[str, Any]) -> Mapping[str, Any]:
            target = quote(str(said["folder"]))
            session.run(f"sudo -n install -d -m 700 -o {session.address.user} {target}")
            for number, path in enumerate(self.wish.enrol[1] if self.wish.enrol else ()):
                session.send(path, f"{said['folder']}/{number}{path.suffix}")
            return {}

        def person(said: Mapping[str, Any]) -> Mapping[str, Any]:
            words = str(said["words"])
            return {"yes": bool(self.confirm and self.confirm(f"{words[0].upper()}{words[1:]}?"))}

        def try_ssh(_: Mapping[str, Any]) -> Mapping[str, Any]:
            why = session.fresh()
            return {"refused": why} if why else {}

        return {
            "bundle": send_bundle,
            "certificate": certificate,
            "pictures": pictures,
            "eyes": person,
            "saw": person,
            "try-ssh": try_ssh,
        }


def believed(authority: SiteAuthority) -> dict[str, str]:
    """The public keys that a door of this site believes: name below its folder of keys -> PEM."""
    folder = authority.folder
    paths = {
        "ca.pem": authority.cert,
        "server.pub.pem": folder / "server.pub.pem",
        "command-keys/manager.pem": folder / "manager.pub.pem",
        "pass-keys/site.pem": folder / "pass.pub.pem",
    }
    return {name: path.read_text() for name, path in paths.items()}


def settings_of(config: Config) -> dict[str, Any]:
    """What the report says of the wiring."""
    inputs = {name: line.pin for name, line in config.hardware.inputs if line is not None}
    return {"lock_type": config.door.lock_type, "relay": config.hardware.relay.pin, **inputs}
