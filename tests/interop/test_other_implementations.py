"""Ours against others, both ways: LibTom's code (pycryptodomex), Node's WebCrypto, OpenSSL's command, paseto-ts.

The browser's own signing is held by tests/phone: Chromium's WebCrypto makes the codes that `judge` accepts there.
"""

import base64
import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest
from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import ECC
from Cryptodome.Signature import DSS, eddsa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.commands import decoded
from agent.core.passes import base45_decode, phone_message
from agent.core.site_keys import SiteKeys, with_signature
from agent.order_keys import sign
from agent.pass_desk import verify_p256
from agent.remote import RemoteDesk
from agent.site_trust import SiteTrust
from deploy.site_pki import SiteAuthority
from tests.attack.attacked_door import NAME, public_der, signed_code
from tests.attack.forged_commands import _signed
from tests.programs import needed

ROUNDS = 20
CLAIMS = {"id": "c-00000001", "action": "open", "actor": "李", "counter": 1, "challenge": "challenge-1"}
SCRIPT = Path(__file__).with_name("paseto.mjs")
MODULES = os.environ.get("DOOR_AGENT_NODE_MODULES", "")
needs_package = pytest.mark.skipif(
    not (Path(MODULES) / "paseto-ts").is_dir(),
    reason="needs the npm package: npm install paseto-ts, and DOOR_AGENT_NODE_MODULES naming its node_modules",
)
KEY = Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
PUBLIC_PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def node(action: str, **request: Any) -> dict[str, Any]:
    asked = json.dumps({"action": action, **request})
    done = subprocess.run([needed("node"), SCRIPT], input=asked, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def verified(token: str | bytes) -> Any:
    """The claims as the door reads them; b"" for a wrong signature."""
    desk = RemoteDesk(NAME, {"manager1": PUBLIC_PEM}, None, None, {})
    raw = token if isinstance(token, bytes) else token.encode()
    payload = desk._verify(raw, "manager1")
    return json.loads(payload) if payload else payload


def spoilt(token: str) -> str:
    """The first letter of the signature's last 40 changed."""
    at = token.rindex(".") - 40
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def pieces(token: bytes) -> tuple[bytes, bytes]:
    """What PASETO signs (PAE, written out here once more), and the signature."""
    body, footer = (base64.urlsafe_b64decode(part + b"==") for part in token.split(b".")[2:])
    parts = (b"v4.public.", body[:-64], footer, NAME.encode())
    lengths = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return len(parts).to_bytes(8, "little") + lengths, body[-64:]


def test_our_command_holds_for_another_library_and_a_changed_one_does_not():
    other = eddsa.new(ECC.import_key(PUBLIC_PEM), "rfc8032")
    for _ in range(ROUNDS):
        message, signature = pieces(sign(PEM, "manager1", NAME, {**CLAIMS, "id": secrets.token_hex(8)}))
        other.verify(message, signature)
        with pytest.raises(ValueError, match="signature"):
            other.verify(message + b"\x00", signature)


def test_another_library_s_signature_opens_ours():
    """The same bytes: Ed25519 leaves no choice."""
    token = _signed(PEM, {**CLAIMS, "door": NAME}, bound_to=NAME)
    message, signature = pieces(token)
    assert eddsa.new(ECC.import_key(PEM), "rfc8032").sign(message) == signature
    assert verified(token) == {**CLAIMS, "door": NAME}


def test_passes_go_both_ways_between_us_and_another_library():
    for _ in range(ROUNDS):
        ours = ec.generate_private_key(ec.SECP256R1())
        message = phone_message(public_der(ours), NAME, 1_796_000_000, secrets.token_bytes(8))
        raw = base45_decode(signed_code(ours, message))
        DSS.new(ECC.import_key(public_der(ours)), "fips-186-3").verify(SHA256.new(message), raw[-64:])
        theirs = ECC.generate(curve="P-256")
        signature = DSS.new(theirs, "fips-186-3").sign(SHA256.new(message))
        public = theirs.public_key().export_key(format="DER")
        assert verify_p256(public, message, signature)
        assert not verify_p256(public, message + b"x", signature)


@pytest.mark.needs("node")
def test_a_browser_s_cryptography_takes_our_command_and_we_take_its():
    token = sign(PEM, "manager1", NAME, CLAIMS).decode()
    asked = {"publicPem": PUBLIC_PEM.decode(), "implicit": NAME}
    answer = node("verify", token=token, **asked)
    assert (answer["good"], json.loads(answer["payload"])) == (True, {**CLAIMS, "door": NAME})
    assert not node("verify", token=spoilt(token), **asked)["good"]
    assert not node("verify", token=token, **{**asked, "implicit": "garden/gate-2"})["good"]
    theirs = node(
        "sign", privatePem=PEM.decode(), payload=json.dumps(CLAIMS), footer='{"kid":"manager1"}', implicit=NAME
    )["token"]
    assert verified(theirs) == CLAIMS
    assert verified(spoilt(theirs)) == b""


@pytest.mark.needs("node")
def test_a_browser_s_cryptography_takes_our_pass_and_we_take_its():
    ours = ec.generate_private_key(ec.SECP256R1())
    message = phone_message(public_der(ours), NAME, 1_796_000_000, secrets.token_bytes(8))
    signature = base45_decode(signed_code(ours, message))[-64:]
    asked = {"publicDer": public_der(ours).hex(), "signature": signature.hex()}
    assert node("verifyPass", message=message.hex(), **asked)["good"]
    assert not node("verifyPass", message=(message + b"x").hex(), **asked)["good"]
    theirs = node("signPass", message=message.hex())
    raw = bytes.fromhex(theirs["raw"])
    assert verify_p256(bytes.fromhex(theirs["publicDer"]), raw[:-64], raw[-64:])


@pytest.mark.needs("openssl")
def test_the_openssl_command_takes_our_command(tmp_path: Path):
    message, signature = pieces(sign(PEM, "manager1", NAME, CLAIMS))
    for name, content in (("key.pem", PUBLIC_PEM), ("signed", message), ("signature", signature)):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "signed",
               "-sigfile", "signature"]  # fmt: skip
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "signed").write_bytes(message + b"x")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


@pytest.mark.needs("openssl")
def test_the_openssl_command_takes_the_roots_list_of_keys_and_a_door_takes_what_it_signed(tmp_path: Path):
    """Whoever has the root's key on another machine needs no program of ours."""
    authority = SiteAuthority.create(tmp_path / "pki", "garden")
    message, _, ours = authority.replace("manager", "garden").read_bytes().rpartition(b".")
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "ours").write_bytes(decoded(ours) or b"")

    def openssl(*words: str) -> int:
        return subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, check=False).returncode

    assert openssl("x509", "-in", str(authority.cert), "-pubkey", "-noout", "-out", "root.pub.pem") == 0
    assert openssl("dgst", "-sha256", "-verify", "root.pub.pem", "-signature", "ours", "message") == 0
    root_key = str(authority.folder / "root.key")
    assert openssl("dgst", "-sha256", "-sign", root_key, "-out", "theirs", "message") == 0
    document = with_signature(message, (tmp_path / "theirs").read_bytes())
    trust = SiteTrust("garden", authority.cert, None, tmp_path, {})
    assert isinstance(trust.arrived(document, retained=False), SiteKeys)
    (tmp_path / "message").write_bytes(message + b"x")
    assert openssl("dgst", "-sha256", "-verify", "root.pub.pem", "-signature", "ours", "message") != 0


@needs_package
@pytest.mark.needs("node")
def test_a_paseto_library_of_another_language_takes_our_command_and_we_take_its():
    raw, public = KEY.private_bytes_raw(), KEY.public_key().public_bytes_raw()
    secret_key, public_key = (
        f"k4.{kind}." + base64.urlsafe_b64encode(key).rstrip(b"=").decode()
        for kind, key in (("secret", raw + public), ("public", public))
    )
    token = sign(PEM, "manager1", NAME, CLAIMS).decode()
    asked = {"modules": MODULES, "publicKey": public_key, "implicit": NAME}
    assert node("packageVerify", token=token, **asked)["payload"] == {**CLAIMS, "door": NAME}
    assert "refused" in node("packageVerify", token=spoilt(token), **asked)
    theirs = node(
        "packageSign", modules=MODULES, secret=secret_key, payload=CLAIMS, footer={"kid": "manager1"}, implicit=NAME
    )["token"]
    assert verified(theirs) == CLAIMS
