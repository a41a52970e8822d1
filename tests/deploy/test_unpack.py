"""What a hostile tar can do to a device that unpacks it as root: nothing."""

import gzip
import io
import json
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deploy.device.commands import InstallError
from deploy.device.offered import NotTakenError
from deploy.device.signature import check_signature
from deploy.device.unpack import UnpackError, unpack
from deploy.own_wheel import BundleError
from deploy.pki import Authority
from deploy.provision import bundles


def tar_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o6777
            info.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"abc"))
    return path


def test_files_come_out_in_their_folders_without_the_modes_of_the_tar(tmp_path):
    bundle = tar_of(tmp_path / "b.tar", ("a/b/c", tarfile.REGTYPE, ""))
    unpack(bundle, tmp_path / "out")
    assert (tmp_path / "out/a/b/c").read_bytes() == b"abc"
    assert (tmp_path / "out/a/b/c").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    "member",
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("a/../../outside", tarfile.REGTYPE, ""),
        ("{}/outside", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc"),
        ("hard", tarfile.LNKTYPE, "/etc/passwd"),
        ("tty", tarfile.CHRTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_what_no_bundle_holds_is_refused_and_nothing_appears_elsewhere(tmp_path, member):
    name, kind, target = member
    bundle = tar_of(tmp_path / "b.tar", (name.format(tmp_path), kind, target), ("fine", tarfile.REGTYPE, ""))
    with pytest.raises((UnpackError, NotTakenError), match=r"do not use it|not a plain tar of plain files"):
        unpack(bundle, tmp_path / "out")
    assert not (tmp_path / "outside").exists()
    assert not list((tmp_path / "out").glob("*"))


TREE = Path(__file__).parents[2]
MANY_BYTES = 64 << 20


def said_of_itself(path: Path) -> bytes:
    """A manifest that `door-agent provision` would take."""
    said = {"version": "1", "for": {"machine": "aarch64", "python": "cp313"}, "files": {}}
    info = tarfile.TarInfo("manifest.json")
    data = json.dumps(said).encode()
    info.size = len(data)
    with tarfile.open(path, "w") as tar:
        tar.addfile(info, io.BytesIO(data))
    return path.read_bytes()[: tarfile.BLOCKSIZE * 2]


def sparse(path: Path) -> None:
    """A few bytes that say they are many: a hole of a file."""
    header = bytearray(tarfile.TarInfo("big").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"%011o\0" % MANY_BYTES
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(said_of_itself(path) + header + bytes(tarfile.BLOCKSIZE * 2))


def packed(path: Path) -> None:
    info = tarfile.TarInfo("big")
    info.size = MANY_BYTES
    with tarfile.open(path, "w") as tar:
        tar.addfile(info, io.BytesIO(bytes(MANY_BYTES)))
    path.write_bytes(gzip.compress(said_of_itself(path.with_suffix(".m")) + path.read_bytes(), 1))


def circle(path: Path) -> None:
    """An extension whose size below zero leads back to where it stands."""
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
        info = tarfile.TarInfo("x")
        info.pax_headers = {"size": "-1536"}
        tar.addfile(info)
    path.write_bytes(said_of_itself(path.with_suffix(".m")) + path.read_bytes())


@pytest.mark.parametrize("make", [sparse, packed, circle])
@pytest.mark.parametrize("reader", ["unpack", "read"])
def test_a_tar_made_up_to_fill_the_disk_or_to_hold_its_reader_up_is_refused_at_both_ends(tmp_path, make, reader):
    path, out = tmp_path / "b.tar", tmp_path / "out"
    make(path)
    program = (
        "import sys; from pathlib import Path; from deploy.device.unpack import unpack\n"
        "from deploy.provision.bundles import read\n"
        "bundle, out = map(Path, sys.argv[1:])\n"
    )
    program += "unpack(bundle, out)" if reader == "unpack" else "read(bundle)"
    words = [sys.executable, "-c", program, str(path), str(out)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, cwd=TREE, preexec_fn=_short_lived)
    assert ("NotTakenError" if reader == "unpack" else "BundleError") in said.stderr
    assert not out.exists()


def _short_lived():
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


@pytest.mark.parametrize("name", ["manifest.json", "signature.json"])
def test_what_is_read_before_the_signature_was_checked_is_of_a_fair_size(tmp_path, name):
    """It is read as a whole, on a device of 512 MiB."""
    path, info = tmp_path / "b.tar", tarfile.TarInfo(name)
    info.size = 5 << 20
    with tarfile.open(path, "w") as tar:
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(NotTakenError, match="not a file of a fair size"):
        unpack(path, tmp_path / "out")
    with pytest.raises(BundleError):
        bundles.read(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"serial": 1e999, "signature": ""}', "[]", "7"])
def test_json_that_is_no_signature_is_said_to_be_none(tmp_path, text):
    key = Authority(tmp_path / "site").signing_key("release").cert
    (tmp_path / "signature.json").write_text(text)
    with pytest.raises(InstallError, match="signature cannot be read"):
        check_signature(b"{}", tmp_path / "signature.json", key)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", '{"for": 7}', '{"version": 1, "for": {}, "files": 7}'])
def test_json_that_is_no_manifest_makes_no_bundle(tmp_path, text):
    path, info = tmp_path / "b.tar", tarfile.TarInfo("manifest.json")
    info.size = len(text)
    with tarfile.open(path, "w") as tar:
        tar.addfile(info, io.BytesIO(text.encode()))
    with pytest.raises(BundleError, match="not a bundle"):
        bundles.read(path)
