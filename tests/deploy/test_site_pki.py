"""A site's authority: what it signs, for whom, and what taking back means to a TLS server."""

import datetime as dt
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy import site_pki
from deploy.broker import Broker
from deploy.device import identity
from deploy.pki import private_pem
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


@pytest.fixture
def broker(authority, tmp_path):
    """A mosquitto with the site's own revocation lists, as `door-agent site broker` sets it up."""
    broker = Broker(tmp_path / "broker", authority)
    broker.start()
    yield broker
    broker.stop()


def welcome(broker, device, name="garden/door-1") -> bool:
    """Whether the broker takes the device in: an MQTT 5 CONNECT and its answer, over a TLS handshake of its own."""
    client = ssl.create_default_context(cafile=device / "ca.pem")
    client.load_cert_chain(device / "device.pem", device / "device.key")
    body = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + len(name).to_bytes(2, "big") + name.encode()
    try:
        with (
            socket.create_connection(("127.0.0.1", broker.port), timeout=10) as plain,
            client.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(bytes([0x10, len(body)]) + body)
            answer = tls.recv(4)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return False
    return answer[:1] == b"\x20" and answer[3] == 0


def new_lists(broker, authority) -> None:
    """What the operator does with a new crl.pem."""
    broker.stop()
    authority.write_crl()
    broker.start()


def second_door(authority, tmp_path):
    folder = tmp_path / "second"
    folder.mkdir()
    introduce(authority, folder, "garden/door-2")
    return folder


def test_a_device_is_welcome_until_it_is_revoked_and_a_second_door_stays_so(authority, broker, device, tmp_path):
    introduce(authority, device)
    second = second_door(authority, tmp_path)
    assert welcome(broker, device)
    assert authority.revoke("garden/door-1") == 1
    new_lists(broker, authority)
    assert not welcome(broker, device)
    assert authority.revoke("garden/door-1") == 0
    assert welcome(broker, second, "garden/door-2")


def test_a_new_online_key_needs_the_root_and_shuts_no_door_out(authority, broker, device, tmp_path):
    """Doors of the old intermediate and of the new one come in by one list file; either kind can be taken back."""
    introduce(authority, device)
    stick = tmp_path / "stick"
    stick.mkdir()
    offline(authority.folder, stick)
    with pytest.raises(PkiError, match="USB stick"):
        renew_online(authority.folder, "garden")
    renew_online(authority.folder, "garden", stick / "root.key")
    again = SiteAuthority(authority.folder)
    second = second_door(again, tmp_path)
    new_lists(broker, again)
    assert identity.judge(device, "garden/door-1", NOW, again.crl()) == ""
    assert welcome(broker, device)
    assert welcome(broker, second, "garden/door-2")
    for name in ("garden/door-1", "garden/door-2"):
        assert again.revoke(name) == 1
    new_lists(broker, again)
    assert not welcome(broker, device)
    assert not welcome(broker, second, "garden/door-2")
    with pytest.raises(PkiError, match="already"):
        offline(authority.folder, stick)


def test_a_stolen_online_key_signs_for_nobody_and_its_doors_are_told_to_be_provisioned_again(authority, broker, device):
    introduce(authority, device)
    renew_online(authority.folder, "garden", stolen=True)
    again = SiteAuthority(authority.folder)
    new_lists(broker, again)
    assert not welcome(broker, device)
    assert "no longer in use" in identity.judge(device, "garden/door-1", NOW, again.crl())
    introduce(again, device)
    assert identity.judge(device, "garden/door-1", NOW, again.crl()) == ""
    assert not list(authority.folder.glob("retired-*.key"))


def test_a_device_that_was_taken_back_is_told_so_and_gets_another_key(authority, device):
    introduce(authority, device)
    key = (device / "device.key").read_bytes()
    authority.revoke("garden/door-1")
    assert "taken back" in identity.judge(device, "garden/door-1", NOW, authority.crl())
    name = "garden/door-1"
    signed = authority.sign_request(identity.request(device, name, fresh=True), name)
    assert (device / "device.key").read_bytes() == key, "the pair stays one until the new certificate is there"
    (device / "device.pem").write_bytes(signed)
    (device / "device.key.next").rename(device / "device.key")
    assert identity.judge(device, name, NOW, authority.crl()) == ""


def test_a_run_broken_off_between_the_new_online_key_and_its_certificate_is_said_and_can_be_done_again(
    authority, device
):
    introduce(authority, device)
    (authority.folder / "online.key").write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(PkiError, match=r"do not belong together.*rotate"):
        SiteAuthority(authority.folder)
    renew_online(authority.folder, "garden")
    introduce(SiteAuthority(authority.folder), device)


def test_nothing_is_signed_beyond_the_intermediates_own_end(authority, device, monkeypatch):
    """A door never ends unwarned because what stands above it ended first."""
    monkeypatch.setattr(site_pki, "ONLINE_DAYS", 500)
    renew_online(authority.folder, "garden")
    again = SiteAuthority(authority.folder)
    introduce(again, device)
    leaf = x509.load_pem_x509_certificate((device / "device.pem").read_bytes())
    assert leaf.not_valid_after_utc <= NOW + dt.timedelta(days=501)
    monkeypatch.setattr(site_pki, "ONLINE_DAYS", identity.RENEW_DAYS + 5)
    renew_online(authority.folder, "garden")
    with pytest.raises(PkiError, match=r"ends in .*rotate"):
        introduce(SiteAuthority(authority.folder), device)


def test_a_doors_certificate_says_its_name_where_every_broker_looks(authority, device):
    introduce(authority, device)
    leaf = x509.load_pem_x509_certificate((device / "device.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["garden/door-1"]


def test_another_roots_key_signs_nothing_here(authority, tmp_path):
    other = SiteAuthority.create(tmp_path / "other", "other")
    with pytest.raises(PkiError, match="not the key of this site"):
        renew_online(authority.folder, "garden", other.folder / "root.key")


def test_private_keys_are_for_their_owner_only(authority):
    for path in authority.folder.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    key = serialization.load_pem_private_key((authority.folder / "pass.sign.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
