"""Visitor passes: signed by the site's pass key, shared as a picture or a link, revoked through the doors' rosters.

What a door that is offline can't know, it can't enforce: a revocation reaches it with the next roster, and a pass for
one use opens once at EACH of its doors, because doors that can't talk can't count together. `HONEST` says so in both
languages and goes wherever a pass goes.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent.core.passes import MAX_DOORS, base45_encode, visitor_message
from agent.errors import ConfigError
from deploy.community.people import People

MAX_DAYS: Final = 31
MAX_USES: Final = 255
_ID_BYTES: Final = 8
_MODULE_PX: Final = 10
HONEST: Final = {
    "zh-CN": "次数按每扇门分别计算：一次的通行码在每扇写明的门各可用一次。谁先出示，谁先用掉：请只发给访客本人。"
    "作废后，联网的门几秒内生效；断网的门要等恢复联网，最迟到有效期结束。",
    "en": "Uses are counted at each door by itself: a pass for one use opens once at each of its doors. Whoever shows "
    "it first uses it up: send it to the visitor only. A revoked pass is refused within seconds by doors that are "
    "connected, by others once they are connected again, at the latest when it expires.",
}


@dataclass(frozen=True, slots=True)
class VisitorPass:
    """A pass as it was issued. `text` is what the picture says, base45; `doors` empty: any door of the site."""

    pass_id: str
    doors: tuple[str, ...]
    from_utc_s: int
    until_utc_s: int
    uses: int
    note: str
    actor: str
    text: str
    revoked_utc_s: int | None = None

    def svg(self) -> str:
        """The picture, with its white rim."""
        import zxingcpp

        return str(zxingcpp.write_barcode_to_svg(self._picture(), scale=_MODULE_PX))

    def png(self) -> bytes:
        """The picture, with its white rim."""
        import cv2
        import numpy as np
        import zxingcpp

        done, data = cv2.imencode(
            ".png", np.asarray(zxingcpp.write_barcode_to_image(self._picture(), scale=_MODULE_PX))
        )
        if not done:
            raise ConfigError("the picture of the pass could not be drawn")
        return data.tobytes()

    def link(self, address: str) -> str:
        """A page that draws the picture. The pass stands after #, which browsers never send to a server."""
        from urllib.parse import quote

        return f"{address.rstrip('/')}/phone/visitor.html#{quote(self.text, safe='')}"

    def shown(self) -> dict[str, Any]:
        """JSON-shaped, without the pass itself: for lists."""
        return {name: value for name, value in asdict(self).items() if name != "text"}

    def _picture(self) -> Any:  # noqa: ANN401  the library has no types
        import zxingcpp

        return zxingcpp.create_barcode(self.text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")


class PassDesk:
    """Issues and revokes; safe for any thread. `key_file`: the site's private pass key (P-256, PEM)."""

    def __init__(self, people: People, key_file: Path) -> None:
        self._people = people
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as e:
            raise ConfigError(f"pass_key_file {key_file}: is not a private P-256 key in PEM form ({e})") from e
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigError(f"pass_key_file {key_file}: is another kind of key, a pass key is P-256")
        self._key = key
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._public = key.public_key().public_bytes(*form)

    def issue(
        self, doors: Sequence[str], from_utc_s: int, until_utc_s: int, uses: int, *, note: str = "", actor: str = ""
    ) -> VisitorPass:
        """Sign a pass and keep it. `uses` 0: without limit within the validity; `note` stays on this server.

        Raises:
            ConfigError: no validity or one over 31 days, over already, more than 16 doors, or uses out of bounds.
        """
        if not 0 <= from_utc_s < until_utc_s <= from_utc_s + MAX_DAYS * 86_400:
            raise ConfigError(f"a pass is valid from a time to a later one, {MAX_DAYS} days at most")
        if until_utc_s <= time.time():
            raise ConfigError("this pass would be over already")
        if not 0 <= uses <= MAX_USES or len(doors) > MAX_DOORS or not all(door.count("/") == 1 for door in doors):
            raise ConfigError(f"0 to {MAX_USES} uses, at most {MAX_DOORS} doors, each as site/door")
        pass_id = secrets.token_bytes(_ID_BYTES)
        message = visitor_message(self._public, tuple(doors), from_utc_s, until_utc_s, uses, pass_id)
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        text = base45_encode(message + r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
        made = VisitorPass(pass_id.hex(), tuple(doors), from_utc_s, until_utc_s, uses, note[:200], actor[:80], text)
        with self._people.site() as db:
            db.execute("INSERT INTO passes VALUES (?, ?, ?, NULL)", (made.pass_id, _body(made), until_utc_s))
        return made

    def passes(self) -> list[VisitorPass]:
        """Every pass that is not over yet, the newest validity first."""
        with self._people.site() as db:
            found = db.execute(
                "SELECT body, revoked_utc_s FROM passes WHERE until_utc_s > ? ORDER BY until_utc_s DESC",
                (int(time.time()),),
            ).fetchall()
        return [_read(body, revoked) for body, revoked in found]

    def revoke(self, pass_id: str) -> bool:
        """Refuse it from now on, at each door as soon as its roster says so. False: no such pass, or over already."""
        now_s = int(time.time())
        with self._people.changing() as db:
            found = db.execute(
                "UPDATE passes SET revoked_utc_s = coalesce(revoked_utc_s, ?) WHERE pass_id = ? AND until_utc_s > ?",
                (now_s, pass_id, now_s),
            ).rowcount
        return found > 0


def _body(made: VisitorPass) -> str:
    return json.dumps(asdict(made), ensure_ascii=False)


def _read(body: str, revoked_utc_s: int | None) -> VisitorPass:
    value = json.loads(body)
    return VisitorPass(**{**value, "doors": tuple(value["doors"]), "revoked_utc_s": revoked_utc_s})
