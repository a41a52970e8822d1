"""A door as the product puts it together, with its four ends in the attacker's hands: clock, guard, vision and broker.

Everything that decides and remembers is the product's own and put together by agent/app.py: mailbox, controller,
reception, desks, outbox and roster store on a real disk. What is replaced is where bytes come from and where the relay
would be. The only way in is the mailbox; an opening is the guard being told to release.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent import app
from agent.config import parse
from agent.core.events import GuardChanged, Input, LineChanged
from agent.core.passes import base45_encode
from agent.core.roster import PhoneKey
from agent.core.stream import CommandArrived, LinkUp
from agent.core.vision_messages import Pass
from agent.pass_desk import PassDesk, reference
from agent.residents import Residents
from agent.roster.store import RosterStore
from deploy.pki import device_name
from deploy.site_pki import SiteAuthority
from tests.attack.door_ends import AttackerClock, Guard, Link, Nowhere, Vision

SITE, DOOR = "garden", "gate-1"
NAME = f"{SITE}/{DOOR}"
_TURNS = 400
_CONFIG = """
[door]
site = "{site}"
id = "{door}"
lock_type = "fail-safe"
lock_duty = "continuous"
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
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
server_key_file = "{server_key}"
command_keys_dir = "{folder}/command-keys"
[passes]
keys_dir = "{folder}/pass-keys"
[store]
state_dir = "{folder}/state"
[runtime]
agent_dir = "{folder}/run"
guard_dir = "{folder}/run"
"""
_PEM = serialization.Encoding.PEM
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, _PUBLIC)


def signed_code(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """A pass as it stands in the picture."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return base45_encode(message + r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@dataclass
class Keys:
    """Everybody's private keys: the campaign plays owners and thieves alike."""

    def __post_init__(self) -> None:
        self.manager, self.fired, self.stranger = (Ed25519PrivateKey.generate() for _ in range(3))
        self.phone, self.lost_phone, self.gone_phone, self.site, self.other_site = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(5)
        )

    def install(self, folder: Path) -> None:
        """The public halves where a door looks for them. The fired manager's, the stranger's are not there."""
        for name, key in (("command-keys/manager1", self.manager), ("pass-keys/site", self.site)):
            path = folder / f"{name}.pem"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.public_key().public_bytes(_PEM, _PUBLIC))

    def register(self, state_dir: Path) -> None:
        """Residents: Li with her phone, Bai whose phone is disabled; the third phone's owner moved away."""
        store = RosterStore(state_dir)
        residents = Residents(store)
        for name, key, enabled in (("Li", self.phone, True), ("Bai", self.lost_phone, False)):
            public = public_der(key)
            phone = PhoneKey(reference(public).hex(), public, enabled)
            residents.add(name, None, (), "", "", phones=(phone,))
        public = public_der(self.gone_phone)
        gone = residents.add("Wu", None, (), "", "", phones=(PhoneKey(reference(public).hex(), public, enabled=True),))
        residents.remove(gone.id)
        store.close()


class Door:
    """See the module. `command` and `code` return the reason of the refusal, "" where the door opened."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keys, self.clock = folder, Keys(), AttackerClock()
        (folder / "state").mkdir(parents=True)
        self.keys.install(folder)
        self.keys.register(folder / "state")
        authority = SiteAuthority.create(folder / "pki", SITE)
        device = authority.device(device_name(SITE, DOOR))
        self._config = _CONFIG.format(
            site=SITE, door=DOOR, folder=folder, ca=authority.cert, cert=device.cert, key=device.key,
            server_key=authority.signing_key("server").cert,
        )  # fmt: skip
        self.openings = 0
        self._reasons: list[str] = []
        self._boots = 1
        self.start()

    def start(self) -> None:
        """Start the agent on what lies in its folders."""
        ends = {"GuardLink": Guard, "VisionLink": Vision, "MqttLink": Link, "SystemClock": lambda _keep: self.clock}
        with mock.patch.multiple(app, **ends), contextlib.redirect_stdout(Nowhere()):
            self._agent = app.DoorAgent(parse(self._config.encode()), "attacked")
            self._agent.__enter__()
        self.guard: Guard = self._agent._guard  # type: ignore[assignment]
        self.guard.clock = self.clock
        reception: Any = self._agent._controller._others
        self.remote, self._passes = reception._remote, reception._passes
        self.link: Link = self.remote._link
        self._listen(self._passes)
        self.post(LineChanged(Input.CONTACT, active=False, at_s=self.clock.now_s()), GuardChanged(up=True), LinkUp())

    def _listen(self, desk: PassDesk) -> None:
        """Hear each reason before the desk decides whether it writes it down once more."""
        refuse = desk._refuse

        def heard(reason: str, *more: Any) -> None:
            self._reasons.append(reason)
            refuse(reason, *more)

        desk._refuse = heard  # type: ignore[method-assign]

    def stop(self) -> None:
        """Stop the agent; its journal is complete then."""
        self._agent.__exit__(None, None, None)

    def reboot(self, down_s: float = 20.0) -> None:
        """Power off and on: CLOCK_BOOTTIME begins anew, wall time went on."""
        self.stop()
        self._boots += 1
        self.clock.boot, self.clock.boottime_s = f"boot-{self._boots}", 5.0
        self.clock.true_utc_s += down_s
        self.start()

    def back_up(self, name: str) -> None:
        """A copy of the whole state folder, as an administrator makes it."""
        self.stop()
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "state", self.folder / name)
        self.start()

    def restore(self, name: str, down_s: float = 8.0) -> None:
        """Power off, put the old state folder back, power on."""
        self.stop()
        shutil.rmtree(self.folder / "state")
        shutil.copytree(self.folder / name, self.folder / "state")
        self._boots += 1
        self.clock.boot, self.clock.boottime_s = f"boot-{self._boots}", 5.0
        self.clock.true_utc_s += down_s
        self.start()

    # ------------------------------------------------------------ what reaches the mailbox

    def command(self, payload: bytes, *, retained: bool = False) -> str:
        """One message on dn/command. An order that is obeyed without a release is no refusal either."""
        self.link.replies.clear()
        opened = self._deliver(CommandArrived(payload, retained, b"c"))
        refused = [reply["reason"] for reply in self.link.replies if reply["stage"] == "refused"]
        obeyed = [reply for reply in self.link.replies if reply["stage"] in ("accepted", "done")]
        return "" if opened or obeyed else str(refused[0]) if refused else "no answer"

    def code(self, payload: bytes) -> str:
        """One code before the camera."""
        known = payload in self._passes._showings
        self._reasons.clear()
        if self._deliver(Pass(payload, self.clock.now_s())):
            return ""
        return self._reasons[0] if self._reasons else "AlreadyDecided" if known else "no answer"

    def challenge(self) -> str:
        """A fresh one, as a server asks for it."""
        self.clock.advance(1.0)
        self._deliver(CommandArrived(b'{"want":"challenge"}', retained=False, correlation=b"w"))
        return str(self.remote.challenge())

    def wait(self, for_s: float) -> None:
        """Time passes and every deadline in it is settled."""
        end_s = self.clock.boottime_s + for_s
        while self.clock.boottime_s < end_s:
            self.clock.advance(min(0.5, end_s - self.clock.boottime_s))
            self.post()

    def post(self, *events: object) -> None:
        """Hand over and let the controller take all of it, and what follows from it."""
        for event in (*events, None):
            self._agent.mailbox.post(event)
        self._drain()

    def _deliver(self, event: object) -> bool:
        releases = self.guard.releases
        self.post(event)
        self._settle_intents()
        opened = self.guard.releases > releases
        self.openings += opened
        return opened

    def _settle_intents(self) -> None:
        """An opening waits for its row's commit, which is the disk's time and not the attacker's."""
        for _ in range(_TURNS):
            if not self._agent._controller._intents:
                return
            self._agent._controller.turn()
            self._drain()
        raise AssertionError("the journal did not commit")

    def _drain(self) -> None:
        while self._agent.mailbox._items.qsize():
            self._agent._controller.turn()


def new_id() -> str:
    return f"c-{secrets.token_hex(8)}"
