"""Addresses: as they may be shown, for a camera's login is for the camera alone; and what a machine can be called."""

from __future__ import annotations

import re


def without_login(text: str) -> str:
    """`rtsp://user:password@host/…` without what stands before the last @, whatever the password is made of."""
    return re.sub(r"//.*@", "//***@", text)


def is_host(text: str) -> bool:
    """A name or address that a resolver can be asked for; `a..b` and a part of over 63 characters make it raise."""
    parts = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(re.fullmatch(r"[A-Za-z0-9:-]{1,63}", part) for part in parts)  # noqa: PLR2004
