"""A site's authority: what it signs, for whom, and what taking back means to a TLS server."""

import datetime as dt
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.device import identity
from deploy.site_pki import PkiError, SiteAuthority, offline, renew_online

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def authority(tmp_path):
    return SiteAuthority.create(tmp_path / "pki", "garden")


@pytest.fixture
def device(tmp_path):
    """A device's folder of keys."""
    folder = tmp_path / "device"
    folder.mkdir()
    return folder


def introduce(authority, device, name="garden/door-1"):
    (device / "ca.pem").write_bytes(authority.cert.read_bytes())
    (device / "device.pem").write_bytes(authority.sign_request(identity.request(device, name), name))


def test_the_device_keeps_its_key_and_judges_its_certificate(authority, device):
    assert "not there" in identity.judge(device, "garden/door-1", NOW)
    introduce(authority, device)
    assert identity.judge(device, "garden/door-1", NOW) == ""
    assert (device / "device.key").stat().st_mode & 0o777 == 0o600
    assert "another door" in identity.judge(device, "garden/door-2", NOW)
    assert "ends in" in identity.judge(device, "garden/door-1", NOW + dt.timedelta(days=800))
    key = (device / "device.key").read_bytes()
    identity.request(device, "garden/door-1")
    assert (device / "device.key").read_bytes() == key


def test_a_certificate_of_another_site_or_key_is_not_good(authority, device, tmp_path):
    introduce(authority, device)
    (device / "ca.pem").write_bytes(SiteAuthority.create(tmp_path / "other", "other").cert.read_bytes())
    assert "not this site's" in identity.judge(device, "garden/door-1", NOW)
    introduce(authority, device)
    (device / "device.key").unlink()
    identity.request(device, "garden/door-1")
    assert "another key" in identity.judge(device, "garden/door-1", NOW)


def test_a_request_for_another_name_or_with_a_broken_signature_is_refused(authority, device):
    request = identity.request(device, "garden/door-9")
    with pytest.raises(PkiError, match="door-9"):
        authority.sign_request(request, "garden/door-1")
    with pytest.raises(PkiError, match="no certificate request"):
        authority.sign_request(b"nonsense", "garden/door-1")
    der = bytearray(x509.load_pem_x509_csr(request).public_bytes(serialization.Encoding.DER))
    der[-3] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(PkiError, match="not signed by its own"):
        authority.sign_request(forged, "garden/door-9")


def test_a_request_with_a_weaker_or_other_key_is_refused(authority):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "garden/door-1")])
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    with pytest.raises(PkiError, match="P-256"):
        authority.sign_request(csr.public_bytes(serialization.Encoding.PEM), "garden/door-1")


def talk(authority, device) -> str:
    """What a server with this authority and its revocation list says to the device: "welcome" or why not."""
    pair = authority.server("broker", ("127.0.0.1",))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    server.load_verify_locations(authority.cert)
    server.load_verify_locations(authority.write_crl())
    server.verify_mode, server.verify_flags = ssl.CERT_REQUIRED, ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    client = ssl.create_default_context(cafile=device / "ca.pem")
    client.load_cert_chain(device / "device.pem", device / "device.key")
    said = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            plain, _ = listener.accept()
            try:
                with server.wrap_socket(plain, server_side=True) as tls:
                    tls.sendall(b"welcome")
            except ssl.SSLError as error:
                said.append(str(error))

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(listener.getsockname()) as plain:
            try:
                with client.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                    said.append(tls.recv(16).decode())
            except (ssl.SSLError, ConnectionResetError):
                pass
        thread.join(10)
    return " ".join(said)


def test_a_device_is_welcome_until_it_is_revoked_and_a_second_door_stays_so(authority, device, tmp_path):
    introduce(authority, device)
    assert "welcome" in talk(authority, device)
    assert authority.revoke("garden/door-1") == 1
    assert "revoked" in talk(authority, device)
    assert authority.revoke("garden/door-1") == 0
    second = tmp_path / "second"
    second.mkdir()
    introduce(authority, second, "garden/door-2")
    assert "welcome" in talk(authority, second)


def test_a_new_online_key_needs_the_root_and_leaves_devices_good(authority, device, tmp_path):
    introduce(authority, device)
    stick = tmp_path / "stick"
    stick.mkdir()
    offline(authority.folder, stick)
    with pytest.raises(PkiError, match="USB stick"):
        renew_online(authority.folder, "garden")
    renew_online(authority.folder, "garden", stick / "root.key")
    again = SiteAuthority(authority.folder)
    assert identity.judge(device, "garden/door-1", NOW) == ""
    introduce(again, device)
    assert "welcome" in talk(again, device)
    with pytest.raises(PkiError, match="already"):
        offline(authority.folder, stick)


def test_another_roots_key_signs_nothing_here(authority, tmp_path):
    other = SiteAuthority.create(tmp_path / "other", "other")
    with pytest.raises(PkiError, match="not the key of this site"):
        renew_online(authority.folder, "garden", other.folder / "root.key")


def test_private_keys_are_for_their_owner_only(authority):
    for path in authority.folder.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    key = serialization.load_pem_private_key((authority.folder / "pass.sign.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
