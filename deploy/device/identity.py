"""The device's own key and certificate; runs in a release's environment as root, `python -I -m deploy.device.identity`.

    request FOLDER NAME     make the key if there is none; print a certificate request (PEM)
    judge FOLDER NAME       print why the certificate has to be (re)newed; nothing when it is good
    place FOLDER NAME       print where the private key lies

The private key is made here and never leaves this device.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RENEW_DAYS: Final = 60
KEY, CERTIFICATE, AUTHORITY = "device.key", "device.pem", "ca.pem"


def request(folder: Path, name: str) -> bytes:
    """A request for `name`, signed by this device's key; the key is made at the first call."""
    path = folder / KEY
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        new = path.with_name(f".{KEY}.new")
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as handle:
            handle.write(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            handle.flush()
            os.fsync(handle.fileno())
        new.rename(path)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(_key(path), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def judge(folder: Path, name: str, now: dt.datetime) -> str:
    """Why the certificate will not do: missing, another key's, another name's, another site's, soon over."""
    try:
        chain = x509.load_pem_x509_certificates((folder / CERTIFICATE).read_bytes())
        root = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = _key(folder / KEY)
    except (OSError, ValueError) as error:
        return f"not there ({error})"
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        return "the certificate is for another key"
    if [a.value for a in leaf.subject] != [name]:
        return "the certificate is for another door"
    try:
        for below, above in zip(chain, [*chain[1:], root], strict=True):
            below.verify_directly_issued_by(above)
    except Exception:  # noqa: BLE001  whatever is wrong with it, this site did not sign it
        return "the certificate is not this site's"
    days = (leaf.not_valid_after_utc - now).days
    return f"the certificate ends in {days} days" if days < RENEW_DAYS else ""


def kept_in(folder: Path) -> str:
    """Where the private key lies, plainly."""
    from agent.key_place import judge as place

    return place(folder / KEY)[1]


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not an elliptic-curve key; delete it and provision again")
    return key


if __name__ == "__main__":
    verb, where, who = sys.argv[1:]
    if verb == "request":
        sys.stdout.write(request(Path(where), who).decode())
    elif verb == "place":
        sys.stdout.write(kept_in(Path(where)))
    else:
        sys.stdout.write(judge(Path(where), who, dt.datetime.now(dt.UTC)))
