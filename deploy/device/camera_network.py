"""A network camera's hole in the vision process's wall: a drop-in for door-vision.service, made from `camera.source`.

The unit has no network at all (systemd/door-vision.service). With an rtsp:// camera it gets one way out, to that
camera's address: everything else stays denied. The address must be a number, because a name would need a resolver, and
whoever answers for the name would choose where pictures come from.
"""

from __future__ import annotations

import contextlib
import ipaddress
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from deploy.device.commands import InstallError
from deploy.device.files import ensure_folder, replace

NAME = "door-vision.service.d/camera.conf"
_SCHEMES = {"rtsp", "rtsps"}


def drop_in(source: str) -> str:
    """The drop-in's text for a camera source; empty where none is needed.

    Raises:
        InstallError: a network camera is named, not numbered.
    """
    url = urlsplit(source)
    if url.scheme not in _SCHEMES:
        return ""
    try:
        address = ipaddress.ip_address(url.hostname or "")
    except ValueError as error:
        raise InstallError(
            f"camera.source: write the camera's address as a number (rtsp://user:password@192.0.2.10/…), not "
            f"{url.hostname!r}: the vision process may reach this one address and asks nobody for names"
        ) from error
    family = "AF_INET" if address.version == 4 else "AF_INET6"  # noqa: PLR2004  IP's own number
    return f"""\
# Made from camera.source: the network camera, and nobody else (systemd/README.md).
[Service]
PrivateNetwork=no
RestrictAddressFamilies=AF_UNIX {family}
IPAddressAllow={address}
"""


def place(config: Path, units: Path) -> bool:
    """Write the drop-in that this configuration needs, or take away one that it does not; whether that changed it.

    Raises:
        InstallError: see `drop_in`.
    """
    path = units / NAME
    text = drop_in(source_of(config))
    if text:
        return replace(ensure_folder(path.parent) / path.name, text.encode(), 0o644)
    if not path.exists():
        return False
    path.unlink()
    with contextlib.suppress(OSError):  # somebody else's drop-ins may be there
        path.parent.rmdir()
    return True


def source_of(config: Path) -> str:
    """`camera.source` of a configuration; empty where it cannot be read, which others complain about."""
    try:
        source = tomllib.loads(config.read_text(encoding="utf-8-sig")).get("camera", {}).get("source", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return source if isinstance(source, str) else ""
