"""What else the demo acts: the phone again and under duress, the server's list of people, hours, an edited journal."""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent.core.passes import base45_encode, phone_message, reference
from deploy.community.database import SqliteConnection
from deploy.community.people import People

if TYPE_CHECKING:
    from agent.cli.demo_world import DemoWorld

Said = Mapping[str, Any]  # {"ok": bool, "why" or "told": [zh-CN, en]}
HOLD_S: Final = 60
_SAID: Final = 300  # characters
_DAYS: Final = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]
_ALL_DAY: Final = {"id": "demo", "windows": [{"days": _DAYS, "start_min": 0, "end_min": 1440}]}
_NO_CODE: Final = ["还没有出示过通行码", "no code has been shown so far"]
_NOBODY: Final = ["先把新住户加到名单", "add the newcomer to the list first"]


class Phone:
    """A resident's phone: makes the codes that the page would."""

    def __init__(self, door: str) -> None:
        self._door, self._key = door, ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> bytes:
        """DER."""
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return self._key.public_key().public_bytes(*form)

    @property
    def registration(self) -> str:
        """What its owner sends the manager."""
        return base64.urlsafe_b64encode(self.public).decode()

    def code(self, *, duress: bool = False) -> str:
        """The code of this moment."""
        message = phone_message(self.public, self._door, time.time(), secrets.token_bytes(8), duress=duress)
        return signed_code(self._key, message)

    def asked(self, action: str) -> dict[str, Any]:
        """What the page's button sends the server now, signed."""
        from deploy.community.phone_open import signed_text

        asked: dict[str, Any] = {"key": reference(self.public).hex(), "door": self._door, "at_utc_s": int(time.time())}
        asked |= {"nonce": secrets.token_hex(16), "duress": False}
        return {**asked, "signature": _signature(self._key, signed_text(action, asked)).hex()}


def signed_code(key: ec.EllipticCurvePrivateKey, message: bytes) -> str:
    """A pass as the QR code says it."""
    return base45_encode(message + _signature(key, message)).decode()


def _signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class DemoActs:
    """Acts with a result of their own. Called from the page's threads."""

    def __init__(self, world: DemoWorld, door: str) -> None:
        self._world, self._door = world, door
        self._people = People(world.folder / "people")
        self._newcomer: tuple[str, Phone] | None = None

    def acts(self) -> dict[str, Callable[[], object]]:
        """Name of a button -> what it does."""
        world, hand = self._world, self._world.hand
        return {
            "phone_duress": lambda: world.show_phone(duress=True),
            "phone_again": self._phone_again,
            "hold_open": lambda: world.order("hold-open", for_s=HOLD_S),
            "end_hold_open": lambda: world.order("end-hold-open"),
            "block": lambda: world.order("block"),
            "unblock": lambda: world.order("unblock"),
            "hours_on": lambda: self._hours(on=True),
            "hours_off": lambda: self._hours(on=False),
            "doorbell": lambda: hand.press("doorbell"),
            "power_lost": lambda: hand.set("lock_power", active=False),
            "power_back": lambda: hand.set("lock_power", active=True),
            "dark": lambda: world.play("dark"),
            "list_add": self._list_add,
            "list_phone": self._list_phone,
            "list_remove": self._list_remove,
            "withdraw": self._withdraw,
            "enrol_again": world.enrol_again,
            "edit_journal": self._edit_journal,
        }

    def _phone_again(self) -> Said:
        if self._world.last_code is None:
            return {"ok": False, "why": _NO_CODE}
        self._world.show_code(self._world.last_code)
        return {"ok": True}

    def _hours(self, *, on: bool) -> None:
        unlock = [{"schedule": "demo", "first_person_in": False}] if on else []
        self._people.set_hours({"schedules": [_ALL_DAY], "unlock_hours": unlock})

    def _list_add(self) -> Said:
        phone = Phone(self._door)
        made = self._world.manager.ask("/api/people", {"name": "Demo newcomer", "phone_code": phone.registration})
        if "id" not in made:
            return {"ok": False, "why": made.get("error")}
        self._newcomer = (made["id"], phone)
        return {"ok": True}

    def _list_phone(self) -> Said:
        if self._newcomer is None:
            return {"ok": False, "why": _NOBODY}
        self._world.show_code(self._newcomer[1].code())
        return {"ok": True}

    def _list_remove(self) -> Said:
        if self._newcomer is None:
            return {"ok": False, "why": _NOBODY}
        self._people.remove(self._newcomer[0])  # the phone stays in the newcomer's hand; the door refuses it
        return {"ok": True}

    def _withdraw(self) -> None:
        self._people.withdraw(self._world.resident_id)

    def _edit_journal(self) -> Said:
        """Somebody with a root shell changes one row, in a copy; `events verify` reads it."""
        copy = self._world.folder / "run" / "edited-journal.db"
        for path in copy.parent.glob(f"{copy.name}*"):
            path.unlink()
        journal = self._world.folder / "state" / "journal.db"
        for path in journal.parent.glob(f"{journal.name}*"):
            shutil.copy(path, copy.with_name(copy.name + path.name.removeprefix(journal.name)))
        db = SqliteConnection(copy)
        db.execute("DROP TRIGGER rows_never_change")
        db.execute("UPDATE rows SET wall_ms = wall_ms - 3600000 WHERE id = (SELECT MAX(id) - 2 FROM rows)")
        db.close()
        command = ["events", "--config", str(self._world.config), "--journal", str(copy), "verify"]
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "agent.cli.main", *command], capture_output=True, text=True, check=False
        )
        said = " ".join(f"{done.stdout} {done.stderr}".split())[:_SAID]
        if not done.returncode:
            return {"ok": False, "why": said}
        return {
            "ok": True,
            "told": [f"已被发现（退出码 {done.returncode}）：{said}", f"noticed (exit code {done.returncode}): {said}"],
        }
