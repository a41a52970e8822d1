"""A bundle's files out of its tar, as root and before anything in it can be trusted.

Standard library alone, and none of tarfile's extraction filters: they came with Python 3.11.4, bookworm has 3.11.2.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.device.offered import fair, opened


class UnpackError(OSError):
    """The tar holds something that no bundle holds."""


def unpack(bundle: Path, into: Path) -> None:
    """Regular files only, each below `into`, in folders as they need; owner and modes of the tar count for nothing.

    Raises:
        UnpackError: a name that leads elsewhere. What came before it is there already.
        NotTakenError: not a tar of plain files, or cut off.
        OSError: the disk's refusal.
    """
    into = into.resolve()
    with opened(bundle) as tar:
        for member in tar:
            fair(member)
            path, source = (into / member.name).resolve(), tar.extractfile(member)
            if source is None or not path.is_relative_to(into):
                raise UnpackError(f"the bundle holds {member.name!r}, not a plain file inside it; do not use it")
            path.parent.mkdir(parents=True, exist_ok=True)
            with source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
