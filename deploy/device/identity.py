"""The device's own key and certificate; runs in a release's environment as root, `python -I -m deploy.device.identity`.

    request FOLDER NAME     make the key if there is none; print a certificate request (PEM)
    rekey FOLDER NAME       the same with another key, device.key.next: rename it once its certificate is there
    judge FOLDER NAME       print why the certificate has to be (re)newed; nothing when it is good. Standard input: the
                            site's revocation lists (PEM), empty where they are not known
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

from agent.chain import vouched

RENEW_DAYS: Final = 60
KEY, CERTIFICATE, AUTHORITY = "device.key", "device.pem", "ca.pem"
NEXT_KEY = f"{KEY}.next"


def request(folder: Path, name: str, *, fresh: bool = False) -> bytes:
    """A request for `name`, signed by this device's key, made at the first call; `fresh`: by one that may follow it."""
    path = folder / (NEXT_KEY if fresh else KEY)
    if fresh or not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        new = path.with_name(f".{path.name}.new")
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


def judge(folder: Path, name: str, now: dt.datetime, lists: bytes = b"") -> str:
    """Why the certificate will not do, as the site's broker would judge: empty when it will.

    Missing, another key's, another name's, another site's, soon over; by `lists` (PEM) taken back, or signed by an
    intermediate that is out of use.
    """
    try:
        pem, root = (folder / CERTIFICATE).read_bytes(), (folder / AUTHORITY).read_bytes()
        chain = x509.load_pem_x509_certificates(pem)
        key = _key(folder / KEY)
    except (OSError, ValueError) as error:
        return f"not there ({error})"
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        return "the certificate is for another key"
    if [a.value for a in leaf.subject] != [name]:
        return "the certificate is for another door"
    if (days := min((one.not_valid_after_utc - now).days for one in chain)) < RENEW_DAYS:
        return f"the certificate ends in {days} days"
    try:
        vouched(pem, root, now)
    except ValueError:
        return "the certificate is not this site's"
    return _taken_back(leaf, lists) if lists else ""


def _taken_back(leaf: x509.Certificate, lists: bytes) -> str:
    ends = b"-----END X509 CRL-----"
    found = [x509.load_pem_x509_crl(one + ends) for one in lists.split(ends)[:-1]]
    of_issuer = [one for one in found if one.issuer == leaf.issuer]
    if not of_issuer:
        return "the certificate was signed by an online key that is no longer in use"
    taken = any(one.get_revoked_certificate_by_serial_number(leaf.serial_number) for one in of_issuer)
    return "the certificate was taken back" if taken else ""


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
    if verb in ("request", "rekey"):
        sys.stdout.write(request(Path(where), who, fresh=verb == "rekey").decode())
    elif verb == "place":
        sys.stdout.write(kept_in(Path(where)))
    else:
        sys.stdout.write(judge(Path(where), who, dt.datetime.now(dt.UTC), sys.stdin.buffer.read()))
