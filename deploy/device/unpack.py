"""A bundle's files out of its tar, as root and before anything in it can be trusted.

Standard library alone, and none of tarfile's extraction filters: they came with Python 3.11.4, bookworm has 3.11.2.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path


class UnpackError(OSError):
    """The tar holds something that no bundle holds."""


def unpack(bundle: Path, into: Path) -> None:
    """Regular files and folders only, each below `into`; owner, modes, links and devices of the tar count for nothing.

    Raises:
        UnpackError: a link, a device, or a name that leads elsewhere. What came before it is there already.
        tarfile.TarError, OSError: not a tar, or the disk's refusal.
    """
    into = into.resolve()
    with tarfile.open(bundle) as tar:
        for member in tar:
            path = (into / member.name).resolve()
            if not path.is_relative_to(into) or not (member.isreg() or member.isdir()):
                raise UnpackError(f"the bundle holds {member.name!r}, not a plain file inside it; do not use it")
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            if source is None:
                raise UnpackError(f"the bundle's {member.name!r} has no content; copy it again")
            with source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
