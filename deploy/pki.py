"""A site's private authority: its own root, short-named certificates for devices and servers, the server's signing key.

For the demo, the tests and provisioning. Keys are P-256 (TLS 1.3, every broker and every TLS library has it) and
Ed25519 for what is signed above TLS. Private keys are written with mode 0600 by write-then-rename.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ROOT_DAYS = 3650
LEAF_DAYS = 825
# A door without a battery clock may wake up days in the past: certificates are valid from well before they are made.
_BACKDATE = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a certificate and its private key lie, both PEM."""

    cert: Path
    key: Path


def device_name(site: str, door: str) -> str:
    """The certificate name of a door: also its MQTT user name, client id and the middle of its topics."""
    return f"{site}/{door}"


class Authority:
    """A folder with a root certificate and what it has signed. Opening an empty folder makes a new root."""

    def __init__(self, folder: Path, name: str = "door-agent site") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert = folder / "ca.pem"
        self._key_path = folder / "ca.key"
        if not self.cert.exists():
            self._make_root(name)
        self._root = x509.load_pem_x509_certificate(self.cert.read_bytes())
        key = serialization.load_pem_private_key(self._key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_path} is not an elliptic-curve key")
        self._key = key
        self._chain = b""  # certificates between what is issued and the root

    def device(self, name: str) -> Pair:
        """A client certificate for a door or a service; the same one when it was made before."""
        return self._leaf(name, client=True, hosts=())

    def server(self, name: str, hosts: tuple[str, ...]) -> Pair:
        """A server certificate valid for host names or addresses `hosts`."""
        return self._leaf(name, client=False, hosts=hosts)

    def signing_key(self, name: str) -> Pair:
        """An Ed25519 pair: `cert` is the public key, `key` the private one."""
        pair = Pair(self.folder / f"{name}.pub.pem", self.folder / f"{name}.sign.key")
        if not pair.key.exists():
            key = ed25519.Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            write_file(pair.cert, public, 0o644)
            write_file(pair.key, private_pem(key), 0o600)
        return pair

    def _make_root(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            builder(subject, subject, key.public_key(), _ROOT_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        write_file(self._key_path, private_pem(key), 0o600)
        write_file(self.cert, certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)

    def _leaf(self, name: str, *, client: bool, hosts: tuple[str, ...]) -> Pair:
        stem = name.replace("/", ".")
        pair = Pair(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        if pair.cert.exists() and pair.key.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(name, key.public_key(), None if client else hosts)
        write_file(pair.key, private_pem(key), 0o600)
        write_file(pair.cert, signed.public_bytes(serialization.Encoding.PEM) + self._chain, 0o644)
        return pair

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, hosts: tuple[str, ...] | None, days: int = LEAF_DAYS
    ) -> x509.Certificate:
        """A server's certificate for `hosts`, a client's without them."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if hosts is None else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            builder(subject, self._root.subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        # a client's name stands in it twice: some brokers read the session's name from here (deploy/fleet)
        names = [x509.UniformResourceIdentifier(name)] if hosts is None else [_host(h) for h in hosts]
        if names:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return certificate.sign(self._key, hashes.SHA256())


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all: temporary file with the final mode, fsync, rename, fsync the folder."""
    temporary = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    """A certificate of `days` from now, valid from 30 days ago; not signed yet."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What the key of a certificate is for: signing others, or proving who one is."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Unencrypted PKCS 8: a daemon that starts by itself has nobody to type a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
