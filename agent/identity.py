"""Who this door is to its server, beyond the connection.

The certificate's key signs what must be believed later too; a key of the door's own opens what is sealed for it (HPKE:
X25519, HKDF-SHA256, AES-256-GCM; RFC 9180).
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.x509.oid import NameOID

from agent.chain import ends_utc_s, vouched
from agent.core.journal import canonical
from agent.errors import LinkError, StoreError

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NAME_BYTES: Final = 8


class Identity:
    """`door` is "site/id"; raises LinkError or StoreError for files that cannot be used."""

    def __init__(self, door: str, cert: Path, key: Path, state_dir: Path) -> None:
        self._door = door
        try:
            self.cert_pem = cert.read_text()
            private = serialization.load_pem_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as e:
            raise LinkError(f"{cert}, {key}: not a readable certificate with its private key ({e})") from e
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise LinkError(f"{key}: is another kind of key, a door's is P-256")
        self._private = private
        self._sealing = _own_key(state_dir / "sealing.key")
        self._public = self._sealing.public_key().public_bytes_raw()

    @property
    def ends_utc_s(self) -> int:
        """When the certificate ends, or one above it; by then the door has to be provisioned again."""
        return ends_utc_s(self.cert_pem.encode())

    @property
    def sealing_name(self) -> str:
        """Names the sealing key in up/state, so that the server notices a new one."""
        return key_name(self._public)

    def sealing_key(self) -> dict[str, Any]:
        """The public half, signed: what the door answers to WANT_SEALING_KEY."""
        said = {"door": self._door, "key": base64.b64encode(self._public).decode()}
        return {**said, "cert": self.cert_pem, "signature": self.signature(said)}

    def signature(self, value: dict[str, Any]) -> str:
        """ECDSA P-256 with SHA-256 over the RFC 8785 form, base64 of DER."""
        return base64.b64encode(self._private.sign(canonical(value).encode(), ec.ECDSA(hashes.SHA256()))).decode()

    def opened(self, sealed: bytes, bound_to: bytes) -> bytes | None:
        """What was sealed for this door, or None."""
        try:
            return bytes(_SUITE.decrypt(sealed, self._sealing, bound_to))
        except (InvalidTag, ValueError):
            return None


# ---------------------------------------------------------------- the server's half


def seal(public: bytes, vector: bytes, bound_to: bytes) -> bytes:
    """For the holder of this key only. Raises ValueError when it is none."""
    return bytes(_SUITE.encrypt(vector, X25519PublicKey.from_public_bytes(public), bound_to))


def key_name(public: bytes) -> str:
    """16 letters that name a sealing key."""
    return hashlib.sha256(public).digest()[:_NAME_BYTES].hex()


def checked(value: dict[str, Any], *, door: str, ca_pem: bytes) -> dict[str, Any] | None:
    """What `value` says beside its `cert` and `signature`, if the site's authority vouches for that door's word."""
    said = {name: one for name, one in value.items() if name not in ("cert", "signature")}
    try:
        cert = vouched(str(value.get("cert")).encode(), ca_pem, dt.datetime.now(dt.UTC))[0]
        names, public = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME), cert.public_key()
        if [str(one.value) for one in names] != [door] or not isinstance(public, ec.EllipticCurvePublicKey):
            return None
        raw = base64.b64decode(str(value.get("signature")), validate=True)
        public.verify(raw, canonical(said).encode(), ec.ECDSA(hashes.SHA256()))
    except (ValueError, TypeError, InvalidSignature):
        return None
    return said


def _own_key(path: Path) -> X25519PrivateKey:
    try:
        if not path.exists():
            fresh = X25519PrivateKey.generate().private_bytes_raw()
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(fresh)
                f.flush()
                os.fsync(f.fileno())
        return X25519PrivateKey.from_private_bytes(path.read_bytes())
    except (OSError, ValueError) as e:
        raise StoreError(f"{path}: not this door's sealing key ({e}); move it away, a new one is made at start") from e
