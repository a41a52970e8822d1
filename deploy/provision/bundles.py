"""Which bundle goes to a device: the one that was named, else the newest beside the site file that fits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.bundle import Target
from deploy.device.offered import MANIFEST, SIGNATURE, NotTakenError, opened, small
from deploy.own_wheel import BundleError


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on this laptop."""

    path: Path
    release: str
    target: Target
    signed: bool
    lgpio: bool = False  # brings that library's wheel

    @property
    def mib(self) -> int:
        """Its size, rounded up."""
        return (self.path.stat().st_size >> 20) + 1


def read(path: Path) -> Bundle:
    """What a bundle says of itself. Raises BundleError for what is none."""
    try:
        with opened(path) as tar:
            members = {member.name: member for member in tar}
            said = json.loads(small(tar, members, MANIFEST))
            target = Target(said["for"]["machine"], said["for"]["python"])
            lgpio = any(name.startswith("wheels/lgpio-") for name in said["files"])
            return Bundle(path, str(said["version"]), target, SIGNATURE in members, lgpio)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from error
    except NotTakenError as error:
        raise BundleError(f"{path}: not a bundle; `door-agent bundle` makes one") from error


def _beside(folder: Path) -> Iterator[Bundle]:
    """The bundles of a folder, newest first; another tar there is nobody's business here."""
    for path in sorted(folder.glob("*.tar"), key=lambda p: -p.stat().st_mtime):
        with contextlib.suppress(BundleError):
            yield read(path)


def choose(named: Path | None, folder: Path, target: Target) -> Bundle:
    """The bundle for a device of this kind.

    Raises:
        BundleError: none fits; the message has the command that makes one.
    """
    make = f"door-agent bundle --for {target} --site {folder}/site.toml"
    found = [read(named)] if named else list(_beside(folder))
    for bundle in found:
        if bundle.target == target:
            if not bundle.signed:
                raise BundleError(f"{bundle.path} is not signed; make it with this site's key: {make}")
            return bundle
    have = f"{found[0].path.name} is for {found[0].target}" if found else f"no bundle in {folder}"
    raise BundleError(f"this device needs a bundle for {target}, {have}. While you have a network: {make}")
