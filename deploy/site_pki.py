"""A site's keys as its operator keeps them: an offline root, an online intermediate that signs, and what was issued.

    pki/root.pem root.key         the root; root.key belongs on a USB stick that lies in a drawer (`offline`)
    pki/online.pem online.key     signs devices and servers; replaced with the root's help, devices notice nothing
    pki/retired-1.pem .key …      those before it: they sign nothing but their own lists of what was taken back
    pki/issued.jsonl crl.pem      every certificate ever signed; one list for each intermediate that is still in use
    pki/release.*, server.*, manager.*, pass.*    keys that sign bundles, acknowledgements, orders, visitor passes
    pki/site.keys                 the last three as the root signed them for the doors, once one was replaced

A device makes its own key and sends a request; its private key never leaves it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from agent.core.site_keys import SiteKeys, number_of, unsigned, with_signature
from agent.errors import DoorAgentError
from deploy.pki import LEAF_DAYS, Authority, Pair, builder, private_pem, usage, write_file

ROOT_DAYS: Final = 3650
ONLINE_DAYS: Final = 1825
SPENT_DAYS: Final = 120  # an intermediate with less left signs nothing: a door asks anew 60 days before its end
SIGNING_KEYS: Final = ("release", "server", "manager")
DOOR_KEYS: Final = ("server", "manager", "pass")  # whose public halves a door learns from the root


class PkiError(DoorAgentError):
    """The site's keys are missing, or a request is not one that may be signed."""


class SiteAuthority(Authority):
    """The online half: signs with the intermediate. Opening a folder without one raises PkiError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cert = folder, folder / "root.pem"
        try:
            self._root = x509.load_pem_x509_certificate((folder / "online.pem").read_bytes())
            self._key = _load(folder / "online.key")
        except FileNotFoundError as error:
            raise PkiError(f"{error.filename} is missing; `door-agent site init` makes a site's keys") from error
        if self._key.public_key() != self._root.public_key():
            raise PkiError(
                f"{folder}/online.key and online.pem do not belong together: a rotation was broken off. Do it again: "
                "door-agent site rotate online"
            )
        self._chain = (folder / "online.pem").read_bytes()

    @classmethod
    def create(cls, folder: Path, name: str) -> SiteAuthority:
        """A new site; an existing one is opened and left as it is."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / "root.pem").exists():
            _make_root(folder, name)
        if not (folder / "online.key").exists():
            renew_online(folder, name)
        authority = cls(folder)
        for key in SIGNING_KEYS:
            authority.signing_key(key)
        authority.pass_key()
        return authority

    def pass_key(self) -> Pair:
        """The P-256 pair that signs visitor passes; `cert` is the public half."""
        pair = Pair(self.folder / "pass.pub.pem", self.folder / "pass.sign.key")
        if not pair.key.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_file(pair.cert, _public_pem(key.public_key()), 0o644)
            write_file(pair.key, private_pem(key), 0o600)
        return pair

    def sign_request(self, request_pem: bytes, name: str) -> bytes:
        """A client certificate with its chain for the key in a device's request.

        Raises:
            PkiError: not a request, not signed by its own key, for another name, or not a P-256 key; or the online key
            has too little time left.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem)
        except ValueError as error:
            raise PkiError(f"the device sent no certificate request ({error})") from error
        key, asked = request.public_key(), [a.value for a in request.subject]
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise PkiError("the device's certificate request is not signed by its own P-256 key")
        if asked != [name]:
            raise PkiError(f"the device asks for the name {asked}, it is to be {name}")
        return self._sign(name, key, None).public_bytes(serialization.Encoding.PEM) + self._chain

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, hosts: tuple[str, ...] | None, days: int = LEAF_DAYS
    ) -> x509.Certificate:
        left = (self._root.not_valid_after_utc - dt.datetime.now(dt.UTC)).days
        if left < SPENT_DAYS:
            raise PkiError(f"the site's online key ends in {left} days: `door-agent site rotate online` first")
        certificate = super()._sign(name, key, hosts, min(days, left))
        ends = certificate.not_valid_after_utc.date().isoformat()
        self._note({"name": name, "serial": certificate.serial_number, "ends": ends})
        return certificate

    def renewed(self, name: str, hosts: tuple[str, ...] = ()) -> Pair:
        """A new certificate for one of the site's own machines (a server's with `hosts`); the one before stays good."""
        for end in ("pem", "key"):
            (self.folder / f"{name}.{end}").unlink(missing_ok=True)
        return self.server(name, hosts) if hosts else self.device(name)

    def revoke(self, name: str) -> int:
        """Take back everything issued under `name`; returns how many certificates. The broker needs `crl.pem` anew."""
        mine = [entry["serial"] for entry in self.issued() if entry["name"] == name and "revoked" not in entry]
        for serial in mine:
            self._note({"name": name, "serial": serial, "revoked": True})
        self.write_crl()
        return len(mine)

    def write_crl(self) -> Path:
        """`crl()` as the file that mosquitto's `crlfile` wants."""
        path = self.folder / "crl.pem"
        write_file(path, self.crl(), 0o644)
        return path

    def crl(self) -> bytes:
        """What was taken back, PEM: one list for each intermediate still in use.

        A broker refuses every certificate for whose intermediate it has no list, so each needs one. All name the same
        serial numbers; these are random, so that another intermediate's do no harm.
        """
        now = dt.datetime.now(dt.UTC)
        crl = x509.CertificateRevocationListBuilder()
        crl = crl.last_update(now - dt.timedelta(days=30)).next_update(now + dt.timedelta(days=ONLINE_DAYS))
        for serial in sorted({entry["serial"] for entry in self.issued() if entry.get("revoked")}):
            taken = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            crl = crl.add_revoked_certificate(taken.build())
        lists = [crl.issuer_name(cert.subject).sign(key, hashes.SHA256()) for cert, key in self._signers(now)]
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in lists)

    def _signers(self, now: dt.datetime) -> Iterator[tuple[x509.Certificate, ec.EllipticCurvePrivateKey]]:
        yield self._root, self._key
        for path in sorted(self.folder.glob("retired-*.pem")):
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            if certificate.not_valid_after_utc > now:
                yield certificate, _load(path.with_suffix(".key"))

    def rotate(self, name: str) -> Pair:
        """A new signing key under `name`; the old private key is gone, and nobody knows of the new one yet."""
        for path in (self.folder / f"{name}.pub.pem", self.folder / f"{name}.sign.key"):
            path.unlink(missing_ok=True)
        return self.pass_key() if name == "pass" else self.signing_key(name)

    def replace(self, name: str, site: str, root_key: Path | None = None) -> Path:
        """Another key instead of `name`'s (one of DOOR_KEYS), and the list of all that the root signs for the doors.

        The server hands the list to each door. Broken off in between: do it again. `root_key`: default in the folder.

        Raises:
            PkiError: the root's key is not there; nothing was changed.
        """
        root, path = _root_signer(self.folder, root_key), self.folder / "site.keys"
        self.rotate(name)
        texts = {key: (self.folder / f"{key}.pub.pem").read_text() for key in DOOR_KEYS}
        before = number_of(path.read_bytes()) if path.exists() else 0
        # above every earlier one, also where this folder was put back from a backup
        number = max((before or 0) + 1, int(dt.datetime.now(dt.UTC).timestamp()))
        message = unsigned(
            SiteKeys(site, number, texts["server"], {"manager": texts["manager"]}, {"site": texts["pass"]})
        )
        write_file(path, with_signature(message, root.sign(message, ec.ECDSA(hashes.SHA256()))), 0o644)
        return path

    def issued(self) -> list[dict[str, Any]]:
        """Every certificate signed or taken back, in order; a serial that was taken back shows as such throughout."""
        path = self.folder / "issued.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        taken = {entry["serial"] for entry in lines if entry.get("revoked")}
        return [{**entry, "revoked": True} if entry["serial"] in taken else entry for entry in lines]

    def _note(self, entry: dict[str, Any]) -> None:
        path = self.folder / "issued.jsonl"
        before = path.read_bytes() if path.exists() else b""
        entry["at"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        write_file(path, before + json.dumps(entry).encode() + b"\n", 0o600)


def _make_root(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root")])
    write_file(folder / "root.key", private_pem(key), 0o600)
    write_file(folder / "root.pem", _authority(subject, subject, key.public_key(), key, 1, ROOT_DAYS), 0o644)


def renew_online(folder: Path, name: str, root_key: Path | None = None, *, stolen: bool = False) -> None:
    """A new intermediate, signed by the root whose key is at `root_key` (default: still in the folder).

    The one before keeps what it signed good, until that ends or is revoked. `stolen`: it does not; no list is signed
    for it (or for any before it) any more, so that a broker refuses whatever has its signature.

    Raises:
        PkiError: the root's key is not there: bring the USB stick.
    """
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    signer = _root_signer(folder, root_key)
    key = ec.generate_private_key(ec.SECP256R1())
    # its own name: a revocation list is known by it, and an older intermediate's devices stay good
    named = f"{name} online {dt.datetime.now(dt.UTC):%Y-%m-%d} {secrets.token_hex(4)}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, named)])
    certificate = _authority(subject, root.subject, key.public_key(), signer, 0, ONLINE_DAYS)
    if not stolen:
        _retire(folder)
    write_file(folder / "online.key", private_pem(key), 0o600)
    write_file(folder / "online.pem", certificate, 0o644)
    if stolen:
        for path in folder.glob("retired-*"):
            path.unlink()


def _root_signer(folder: Path, root_key: Path | None) -> ec.EllipticCurvePrivateKey:
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    try:
        signer = _load(root_key or folder / "root.key")
    except FileNotFoundError as error:
        raise PkiError("the root's key is offline: bring its USB stick and say --root /media/…/root.key") from error
    if signer.public_key() != root.public_key():
        raise PkiError(f"{root_key} is not the key of this site's root")
    return signer


def _retire(folder: Path) -> None:
    """Keep the pair that is about to be replaced, if it is one and is not kept already."""
    with contextlib.suppress(FileNotFoundError):
        pair = [(folder / f"online.{end}").read_bytes() for end in ("key", "pem")]
        if _load(folder / "online.key").public_key() != x509.load_pem_x509_certificate(pair[1]).public_key():
            return  # of a rotation that was broken off: the pair before it is kept already
        number = 1 + len(list(folder.glob("retired-*.pem")))
        write_file(folder / f"retired-{number}.key", pair[0], 0o600)
        write_file(folder / f"retired-{number}.pem", pair[1], 0o644)


def offline(folder: Path, stick: Path) -> Path:
    """Move the root's key to `stick`; it is read back there before it goes here."""
    source, target = folder / "root.key", stick / "root.key"
    if not source.exists():
        raise PkiError(f"{source} is not here any more: the root is offline already")
    if target.exists():
        raise PkiError(f"{target} is there already; nothing was moved")
    data = source.read_bytes()
    write_file(target, data, 0o600)
    if target.read_bytes() != data:
        raise PkiError(f"{target} does not read back; nothing was moved")
    source.write_bytes(bytes(len(data)))
    source.unlink()
    return target


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    depth: int,
    days: int,
) -> bytes:
    certificate = (
        builder(subject, issuer, public, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:  # cut, altered, or behind a password
        raise PkiError(f"{path}: cannot be read as a key ({type(error).__name__}); bring your backup of it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not an elliptic-curve key")
    return key


def _public_pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
