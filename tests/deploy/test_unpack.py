"""What a hostile tar can do to a device that unpacks it as root: nothing."""

import io
import tarfile
from pathlib import Path

import pytest

from deploy.device.unpack import UnpackError, unpack


def tar_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o6777
            info.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"abc"))
    return path


def test_files_and_folders_come_out_without_the_modes_of_the_tar(tmp_path):
    bundle = tar_of(tmp_path / "b.tar", ("a", tarfile.DIRTYPE, ""), ("a/b/c", tarfile.REGTYPE, ""))
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
    with pytest.raises(UnpackError, match="do not use it"):
        unpack(bundle, tmp_path / "out")
    assert not (tmp_path / "outside").exists()
    assert not list((tmp_path / "out").glob("*"))
