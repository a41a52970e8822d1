"""A bundle from afar is judged without being unpacked: whatever its bytes, it is taken or refused with a reason."""

import gzip
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from deploy.bundle import sign
from deploy.device import offered
from deploy.device.offered import NotTakenError, judge
from deploy.pki import Authority
from tests.app.update_world import NEW, write_bundle

FILES = {"wheels/" + "long" * 40 + ".whl": os.urandom(3000), "systemd/door.sysusers": b"g door -\n"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("site")).signing_key("release")


@pytest.fixture
def good(tmp_path, site):
    return write_bundle(tmp_path / "good.tar", site.key, files=FILES, serial=5)


def reason(path, site, newest=1):
    with pytest.raises(NotTakenError) as told:
        judge(path, site.cert, newest=newest)
    return told.value.reason


def test_a_good_one_is_told_with_name_and_number(good, site):
    """Names too long for their field are extensions of the format: bundles have them."""
    told = judge(good, site.cert, newest=5)
    assert (told.release, told.serial) == (NEW, 5)
    assert reason(good, site, newest=6) == "older"


def quickly(key_file, message, signature):
    """The same check by a library, for many bundles; test_signature.py holds the two against each other."""
    key = serialization.load_pem_public_key(key_file.read_bytes())
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_no_altered_byte_is_taken_and_none_brings_forth_anything_but_a_refusal(good, site, tmp_path, monkeypatch):
    monkeypatch.setattr(offered, "signed_by", quickly)
    data, chance = good.read_bytes(), random.Random(5)  # noqa: S311  repeatable, not secret
    path, taken = tmp_path / "bad.tar", 0
    for _ in range(250):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 8))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if chance.random() < 0.2:
            del changed[chance.randrange(len(changed)) :]
        path.write_bytes(changed)
        try:
            told = judge(path, site.cert, newest=1)
        except NotTakenError:
            continue
        taken += 1  # a time, an owner, the padding between files: nothing that counts
        assert (told.release, told.serial) == (NEW, 5)
    assert taken < 100


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar_of(path, *members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/shadow"},
        {"type": tarfile.LNKTYPE, "linkname": "manifest.json"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": b"S"},
        {"pax_headers": {"comment": "x" * 200_000}},
    ],
    ids=["link", "hard link", "folder", "device", "pipe", "sparse", "long extension"],
)
def test_what_is_no_plain_file_of_a_fair_size_never_reaches_the_library(site, tmp_path, fields):
    path = tar_of(tmp_path / "b.tar", member("manifest.json", b"{}"), member("x", **fields))
    assert reason(path, site) == "damaged"


TREE = Path(offered.__file__).parents[2]
IN_A_CIRCLE = {"pax_headers": {"size": "-1536"}}


def hidden(tmp_path, *members):
    """Headers inside the content of what is a plain file by its header and a folder by its name."""
    inner = tar_of(tmp_path / "inner.tar", *members).read_bytes()
    return member("folder/", inner, type=tarfile.AREGTYPE)


@pytest.mark.parametrize("inside", [False, True], ids=["said openly", "in a file's content"])
def test_a_size_below_zero_leads_no_reader_in_a_circle(site, tmp_path, inside):
    """Whoever has the site's server must not hold a door's fetching up for ever, nor fill its memory."""
    circle = (member("a"), member("x", **IN_A_CIRCLE))
    tar_of(tmp_path / "b.tar", *([member("b"), hidden(tmp_path, *circle)] if inside else circle))
    program = "import sys; from pathlib import Path; from deploy.device.offered import judge; "
    program += "judge(Path(sys.argv[1]), Path(sys.argv[2]), newest=1)"
    words = [sys.executable, "-c", program, str(tmp_path / "b.tar"), str(site.cert)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TREE, preexec_fn=_short_lived)
    assert "NotTakenError" in said.stderr


def _short_lived():
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def test_an_extension_hidden_in_the_padding_of_another_is_seen(site, tmp_path):
    """The library reads whole blocks of it."""
    path = tar_of(tmp_path / "b.tar", member("a"), member("long" * 40))
    data = bytearray(path.read_bytes())
    at = data.index(b" path=long") - 3
    end = at + int(data[at : at + 3])
    data[end : end + 13] = b"13 size=-999\n"
    path.write_bytes(data)
    with pytest.raises(NotTakenError, match="says more than a name"):
        judge(path, site.cert, newest=1)


def test_sizes_that_lie_and_what_is_packed_are_refused(site, good, tmp_path):
    path = tmp_path / "b.tar"
    for size in (b"77777777777", b"\x80" + b"\x00" * 9 + b"\x10", b"0000000001x"):
        header = bytearray(tar_of(path, member("manifest.json", b"{}")).read_bytes())
        header[124:136] = size.ljust(12, b"\0")
        path.write_bytes(header)
        assert reason(path, site) == "damaged"
    path.write_bytes(gzip.compress(good.read_bytes()))
    assert reason(path, site) == "damaged"
    path.write_bytes(b"")
    assert reason(path, site) == "damaged"


@pytest.mark.parametrize(
    "signature",
    [
        b"{}",
        b"[]",
        b"7",
        b'{"serial": 1e999, "signature": ""}',
        b'{"serial": null, "signature": ""}',
        b'{"serial": 5, "signature": "zz"}',
        b'{"serial": 5, "signature": 5}',
        b'{"serial": 5, "signature": "' + b"00" * 64 + b'"}',
        b"[" * 100_000,
    ],
)
def test_a_signature_that_is_none_is_refused(site, tmp_path, signature):
    path = tar_of(tmp_path / "b.tar", member("manifest.json", b"{}"), member("signature.json", signature))
    assert reason(path, site) in ("damaged", "bad-signature")


@pytest.mark.parametrize("described", [b"{}", b"[]", b"null", b'{"for": {}, "files": 7}', b"\xff"])
def test_a_manifest_that_is_none_is_refused_though_it_is_signed(site, tmp_path, described):
    signed = sign(described, site.key, 5)
    path = tar_of(tmp_path / "b.tar", member("manifest.json", described), member("signature.json", signed))
    assert reason(path, site) in ("damaged", "other-machine")


def test_two_files_of_one_name_are_refused(site, tmp_path, good):
    """Which of the two is unpacked would be the library's choice."""
    data = good.read_bytes()
    extra = tar_of(tmp_path / "x.tar", member("systemd/door.sysusers", b"g evil -\n")).read_bytes()
    first = data[: data.rindex(b"ustar") - 257]
    path = tmp_path / "b.tar"
    path.write_bytes(first + extra[:1024] + data[len(first) :])
    assert reason(path, site) == "damaged"
