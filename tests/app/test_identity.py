"""A door's word beyond its connection: who may vouch for it, over whatever chain its site has."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.core.journal import canonical
from agent.identity import Identity, checked
from deploy.device import identity as on_device
from deploy.pki import Authority, Pair, builder
from deploy.site_pki import SiteAuthority, renew_online

DOOR = "garden/door-1"


@pytest.fixture
def site(tmp_path) -> SiteAuthority:
    return SiteAuthority.create(tmp_path / "pki", "garden")


def provisioned(authority: SiteAuthority, folder, name: str = DOOR) -> Pair:
    """Certificate and key as provisioning leaves them on a device."""
    folder.mkdir(exist_ok=True)
    pair = Pair(folder / "device.pem", folder / "device.key")
    pair.cert.write_bytes(authority.sign_request(on_device.request(folder, name), name))
    return pair


def word_of(pair: Pair, state, door: str = DOOR) -> dict:
    state.mkdir(exist_ok=True)
    return Identity(door, pair.cert, pair.key, state).sealing_key()


def test_the_word_of_a_provisioned_door_is_believed_over_its_sites_intermediate(site, tmp_path):
    word = word_of(provisioned(site, tmp_path / "door"), tmp_path / "state")
    said = checked(word, door=DOOR, ca_pem=site.cert.read_bytes())
    assert said is not None
    assert said["key"] == word["key"]


def test_a_door_signed_by_an_older_intermediate_is_still_believed(site, tmp_path):
    pair = provisioned(site, tmp_path / "door")
    renew_online(site.folder, "garden")
    assert checked(word_of(pair, tmp_path / "state"), door=DOOR, ca_pem=site.cert.read_bytes()) is not None


def test_a_site_without_an_intermediate_is_believed_too(tmp_path):
    flat = Authority(tmp_path / "flat")
    assert checked(word_of(flat.device(DOOR), tmp_path / "state"), door=DOOR, ca_pem=flat.cert.read_bytes()) is not None


def test_nobody_else_vouches_for_a_door(site, tmp_path):
    """Another site's root, another door's name, a changed word, no chain, nonsense for a certificate."""
    word = word_of(provisioned(site, tmp_path / "door"), tmp_path / "state")
    other = SiteAuthority.create(tmp_path / "other", "garden").cert.read_bytes()
    ours = site.cert.read_bytes()
    assert checked(word, door=DOOR, ca_pem=other) is None
    assert checked(word, door="garden/door-2", ca_pem=ours) is None
    assert checked({**word, "key": "AAAA"}, door=DOOR, ca_pem=ours) is None
    leaf = x509.load_pem_x509_certificate(word["cert"].encode()).public_bytes(serialization.Encoding.PEM).decode()
    for cert in (leaf, "", "nonsense", None, 7, leaf * 40):
        assert checked({**word, "cert": cert}, door=DOOR, ca_pem=ours) is None


def test_a_doors_certificate_makes_no_other_door(site, tmp_path):
    """A stolen device signs itself a neighbour's name: its own certificate is no authority."""
    pair = provisioned(site, tmp_path / "door")
    thief = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    own = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "garden/door-2")])
    forged = builder(name, own.subject, key.public_key(), 100).sign(thief, hashes.SHA256())
    chain = forged.public_bytes(serialization.Encoding.PEM) + pair.cert.read_bytes()
    said = {"door": "garden/door-2", "key": "x"}
    signature = base64.b64encode(key.sign(canonical(said).encode(), ec.ECDSA(hashes.SHA256()))).decode()
    word = {**said, "cert": chain.decode(), "signature": signature}
    assert checked(word, door="garden/door-2", ca_pem=site.cert.read_bytes()) is None


def test_a_certificate_that_is_over_vouches_for_nothing(site, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    online = x509.load_pem_x509_certificate((site.folder / "online.pem").read_bytes())
    signer = serialization.load_pem_private_key((site.folder / "online.key").read_bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOOR)])
    old = builder(name, online.subject, key.public_key(), -1)
    assert isinstance(old, x509.CertificateBuilder)
    cert = old.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    pem = cert.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pair = Pair(tmp_path / "c.pem", tmp_path / "c.key")
    pair.cert.write_bytes(pem + (site.folder / "online.pem").read_bytes())
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert dt.datetime.now(dt.UTC) > x509.load_pem_x509_certificate(pem).not_valid_after_utc
    assert checked(word_of(pair, tmp_path / "state"), door=DOOR, ca_pem=site.cert.read_bytes()) is None
