"""A bundle that came from afar, judged as it lies there: nothing of it is unpacked, nothing of it runs.

Used twice: by the agent for what it fetched, and by root for the copy that the agent cannot reach. Standard library
alone. What is not the shape of a tar made by deploy/bundle.py is refused before the library's reader sees it, so that a
file made up to fill memory does not; so it is wherever a bundle is read (`opened`), on laptop and device.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from deploy.device.commands import InstallError
from deploy.device.signature import SIGNED_WORDS, signed_by

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
_MANIFEST_BYTES: Final = 4 << 20
_EXTENSION_BYTES: Final = 64 << 10  # a name that is too long for its field
_LENGTH_DIGITS: Final = 8
_MEMBERS: Final = 20_000
_BLOCK: Final = 512
_CHUNK_BYTES: Final = 1 << 20
# what a stranger's tar and JSON can bring forth
_NO_BUNDLE: Final = (
    tarfile.TarError, KeyError, ValueError, TypeError, AttributeError, EOFError, OverflowError, RecursionError,
)  # fmt: skip


class NotTakenError(InstallError):
    """It is not taken. `reason` is one word: damaged, unsigned, bad-signature, older, other-machine, no-release-key."""

    def __init__(self, words: str, reason: str = "damaged") -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Offered:
    """What a bundle is, once its signature holds."""

    release: str
    serial: int
    unpacked_bytes: int


def this_machine() -> dict[str, str]:
    """What a bundle has to be for, to run here."""
    return {"machine": platform.machine(), "python": f"cp{sys.version_info.major}{sys.version_info.minor}"}


def judge(bundle: Path, key: Path, *, newest: int) -> Offered:
    """Signature, machine, age (not below `newest`), and every file's SHA-256, in this order.

    Raises:
        NotTakenError: with its reason.
        OSError: the file or the key cannot be read.
    """
    if not key.exists():
        raise NotTakenError(f"{key} is missing: provision this door again", "no-release-key")
    with opened(bundle) as tar:
        return _judged(tar, key, newest)


@contextlib.contextmanager
def opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    """Its tar, which holds plain files and nothing else; nobody has said yet whose it is.

    Raises:
        NotTakenError: it is not the shape of a bundle, or whoever reads it finds what no bundle has.
        OSError: the file cannot be read.
    """
    with bundle.open("rb") as file:
        _scan(file, bundle.stat().st_size)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield tar
        except _NO_BUNDLE as error:
            raise NotTakenError(f"not a whole bundle: {error}") from error


def _judged(tar: tarfile.TarFile, key: Path, newest: int) -> Offered:
    listed = tar.getmembers()
    members = {member.name: member for member in listed}
    if len(members) != len(listed):
        raise NotTakenError("it holds two files of one name")
    described = small(tar, members, MANIFEST)
    serial = _serial(described, tar, members, key)
    manifest = json.loads(described)
    if manifest["for"] != (here := this_machine()):
        raise NotTakenError(f"the bundle is for {manifest['for']}, this device is {here}", "other-machine")
    if serial < newest:
        raise NotTakenError(f"older than what runs here ({serial} < {newest})", "older")
    wanted: Mapping[str, Mapping[str, Any]] = manifest["files"]
    if set(members) != {*wanted, MANIFEST, SIGNATURE}:
        raise NotTakenError("it holds other files than its manifest names")
    for name, facts in wanted.items():
        _same(tar, members[name], facts)
    return Offered(str(manifest["version"]), serial, sum(member.size for member in members.values()))


def _serial(described: bytes, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], key: Path) -> int:
    if SIGNATURE not in members:
        raise NotTakenError("the bundle is not signed", "unsigned")
    said = json.loads(small(tar, members, SIGNATURE))
    serial, signature = int(said["serial"]), bytes.fromhex(said["signature"])
    if not signed_by(key, SIGNED_WORDS % serial + described, signature):
        raise NotTakenError("the bundle is not signed by this site's release key", "bad-signature")
    return serial


def _same(tar: tarfile.TarFile, member: tarfile.TarInfo, facts: Mapping[str, Any]) -> None:
    source = tar.extractfile(member) if member.isreg() and member.size == facts["bytes"] else None
    digest = hashlib.sha256()
    while source is not None and (chunk := source.read(_CHUNK_BYTES)):
        digest.update(chunk)
    if source is None or digest.hexdigest() != facts["sha256"]:
        raise NotTakenError(f"{member.name} in the bundle is not as its manifest says")


def small(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    """Manifest or signature, read as a whole. Raises KeyError, NotTakenError."""
    fair(members[name])
    source = tar.extractfile(members[name])
    return source.read() if source else b""


def fair(member: tarfile.TarInfo) -> None:
    """Raises NotTakenError for a manifest or a signature that would fill memory: nobody has vouched for it yet."""
    if member.name in (MANIFEST, SIGNATURE) and member.size > _MANIFEST_BYTES:
        raise NotTakenError(f"its {member.name} is not a file of a fair size")


def _scan(file: IO[bytes], size: int) -> None:
    """Every header by itself, before the library holds any of it in memory; leaves `file` at its beginning.

    What passes is divided by the library's reader at the same places as here.
    """
    at, seen = 0, 0
    while len(header := file.read(_BLOCK)) == _BLOCK and any(header):
        seen += 1
        told, kind = header[124:136].rstrip(b" \0"), header[156:157]
        # the old kind NUL with a name that ends in / is a folder to the library: it would read headers in its content
        if seen > _MEMBERS or not told.isdigit() or kind not in (b"0", b"x"):
            raise NotTakenError("it is not a plain tar of plain files")
        length = int(told, 8) if b"8" not in told and b"9" not in told else size + 1
        if length > (size if kind == b"0" else _EXTENSION_BYTES):
            raise NotTakenError("a file in it is larger than it can be")
        blocks = -(-length // _BLOCK)
        if kind == b"x" and not _only_a_name(file.read(blocks * _BLOCK)):
            raise NotTakenError("an extension in it says more than a name")
        at += _BLOCK * (1 + blocks)
        file.seek(at)
    file.seek(0)


def _only_a_name(records: bytes) -> bool:
    """Whether a PAX extension, with the padding behind it, is `LENGTH path=NAME` and nothing else.

    A size in it counts over the header's own; one below zero leads the library's reader in a circle for ever.
    """
    while records.strip(b"\0"):
        told, _, _ = records[:_LENGTH_DIGITS].partition(b" ")
        length = int(told) if told.isdigit() else 0
        if not records[len(told) : length].startswith(b" path=") or length > len(records):
            return False
        records = records[length:]
    return True
