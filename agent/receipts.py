"""The receipt of a withdrawal at a door without a server: signed by a key of the door's own, for the person to keep."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.journal import canonical
from agent.errors import StoreError
from agent.residents import Residents
from agent.roster.news import Withdrawn


class ReceiptKey:
    """Ed25519, in `receipt.key` beside the roster; made when it is first needed, for whoever owns the folder."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreError where the key cannot be read or made."""
        path = folder / "receipt.key"
        try:
            if not path.exists():
                _write_new(path, Ed25519PrivateKey.generate().private_bytes_raw())
            self._private = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        except OSError as e:
            raise StoreError(f"{path}: cannot be read or made ({e.strerror}); look at the card, its owner") from e
        except ValueError as e:
            raise StoreError(
                f"{path}: not this door's key for receipts ({e}); move it away, the next receipt makes a new one"
            ) from e

    @property
    def public(self) -> str:
        """Base64 of the public half, as receipts name it."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def of_withdrawal(self, door: str, person_id: str, templates: int, asked_utc_s: int, utc_s: int) -> dict[str, Any]:
        """The signed word that this door has no template of this person any more. Without the name."""
        said: dict[str, Any] = {"what": "face-purged", "door": door, "person_id": person_id, "purged": "withdrawn"}
        said |= {"templates": templates, "asked_utc_s": asked_utc_s, "utc_s": utc_s, "key": self.public}
        signature = self._private.sign(canonical(said).encode())
        return {**said, "signature": base64.b64encode(signature).decode()}

    def holds(self, receipt: Mapping[str, Any]) -> bool:
        """Whether this door wrote that, word for word."""
        said = {name: one for name, one in receipt.items() if name != "signature"}
        with contextlib.suppress(InvalidSignature, ValueError, TypeError, binascii.Error):
            raw = base64.b64decode(str(receipt.get("signature")), validate=True)
            self._private.public_key().verify(raw, canonical(said).encode())
            return True
        return False


def withdrawn(
    residents: Residents, folder: Path, person_id: str, sure_utc_s: float, utc_s: float, door: str | None
) -> Withdrawn:
    """Forget a face and write the receipt for `door`; None: its server collects receipts. Raises as Residents do."""
    person = residents.person(person_id)
    if not residents.withdraw(person_id, sure_utc_s):
        return Withdrawn(person_id, why_not=f"{person_id}: nobody of this id any more")
    count, at_utc_s = (
        len(person.faces) if person is not None else 0,
        residents.store.withdrawn_utc_s(person_id) or int(sure_utc_s),
    )
    receipt = None
    with contextlib.suppress(StoreError):  # without its key there is no receipt; the face is gone all the same
        if door is not None:
            receipt = ReceiptKey(folder).of_withdrawal(door, person_id, count, at_utc_s, int(utc_s))
    return Withdrawn(person_id, count, receipt)


def _write_new(path: Path, key: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(key)
        f.flush()
        os.fsync(f.fileno())
        if os.geteuid() == 0:  # a command run as root; the agent is not
            owner = path.parent.stat()
            os.fchown(f.fileno(), owner.st_uid, owner.st_gid)
