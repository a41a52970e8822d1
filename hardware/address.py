"""An address as it may be shown: a camera's login is for the camera alone."""

from __future__ import annotations

import re


def without_login(text: str) -> str:
    """`rtsp://user:password@host/…` without what stands before the last @, whatever the password is made of."""
    return re.sub(r"//.*@", "//***@", text)
