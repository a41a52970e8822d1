"""Files and links put in place so that a power cut leaves the old or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path


def ensure_folder(path: Path) -> Path:
    """The folder, made if need be."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def replace(path: Path, data: bytes, mode: int) -> bool:
    """Write a whole file (temporary, fsync, rename, fsync the folder) unless it says so already; whether it did."""
    if path.exists() and path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
        return False
    new = path.with_name(f".{path.name}.new")
    # for root alone until it has its mode: who opens it before goes on reading
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())
    new.replace(path)
    sync_folder(path.parent)
    return True


def link(path: Path, target: str) -> bool:
    """A symbolic link with this very text, in one rename unless it is there already; whether it was made."""
    if path.is_symlink() and os.readlink(path) == target:  # noqa: PTH115  compared as text
        return False
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """A rename counts only when its folder is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
