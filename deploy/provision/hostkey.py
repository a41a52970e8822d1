"""A device's SSH host key as eight words that two people can compare, and the site's list of pinned keys."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Final

from agent.errors import DoorAgentError
from deploy.pki import write_file

# 256 short words, one for each byte: eight of them are 64 bits of the fingerprint
WORDS: Final = """\
acid acorn actor alarm album alley amber angle ankle apple april apron arch armor arrow atlas
attic autumn badge baker bamboo banana banjo barrel basin basket beach beard beaver bell bench berry
bicycle birch bishop blanket blossom boat bonfire book boot bottle bowl branch bread brick bridge broom
bucket buffalo bugle bus butter cabin cactus camel camera canal candle canoe canvas carbon carpet carrot
castle cave cedar cello chain chalk cheese cherry chess chimney circle citrus clay cliff clock cloud
clover cobra coffee comet copper coral cotton cousin crab crane crayon cricket crown cube cup curtain
daisy dancer delta desert diary dinner doctor dolphin domino donkey dragon drum duck eagle earth easel
east echo elbow elm ember engine eraser falcon family farmer feather fence fern ferry fiddle finger
flag flame flute forest fossil fox freckle frost fruit galaxy garden garlic gate ginger giraffe glacier
glass glove goat gold grape gravel guitar hammer harbor harp hazel helmet heron hill honey horse
hotel ice igloo index ink iris iron island ivory jacket jade jelly jewel jungle kettle king
kite kitten ladder lake lamp lantern lemon leopard letter lily lion lizard lobster lotus magnet maple
marble market melon meteor milk mirror monkey moon mosaic moth mountain museum needle nest night north
novel nut oasis ocean olive onion opera orange orchid otter oven owl oyster paddle palace panda
paper parrot peach pearl pencil pepper piano pigeon pillow pine planet plum pocket pony potato pumpkin
puzzle quartz queen rabbit radio raven ribbon river robin rocket rose saddle sailor salmon scarf spoon""".split()  # noqa: SIM905  256 quoted lines would say the same
WORD_COUNT: Final = 8


class HostKeyError(DoorAgentError):
    """The device is not the one that was pinned, or nobody vouched for it."""

    exit_code = 9


def fingerprint(key: str) -> str:
    """`SHA256:…` of "ssh-ed25519 AAAA…", as OpenSSH prints it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def words(key: str) -> str:
    """The same as eight words."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return " ".join(WORDS[byte] for byte in digest[:WORD_COUNT])


def scan(host: str, port: int, timeout_s: int = 10) -> str:
    """The host key that answers at an address: "ssh-ed25519 AAAA…". Nothing is believed yet.

    Raises:
        HostKeyError: nobody answers; the message says what to look at.
    """
    command = ["ssh-keyscan", "-T", str(timeout_s), "-p", str(port), "-t", "ed25519", host]
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    for line in said.stdout.splitlines():
        if not line.startswith("#") and len(line.split()) >= 3:  # noqa: PLR2004  name, kind, key
            return " ".join(line.split()[1:3])
    raise HostKeyError(
        f"no SSH at {host} port {port}: is it on, is the cable in, is SSH switched on (a file named `ssh` on the boot "
        "partition), is the name right? Try the address that the router shows instead of the name",
        exit_code=9,
    )


class KnownDoors:
    """`known_hosts` beside the site file: one pinned key for each door, by the door's name and not by its address."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def copied(self, path: Path) -> KnownDoors:
        """The same list in another file, which may be changed without this one."""
        if self.path.exists():
            path.write_bytes(self.path.read_bytes())
        return KnownDoors(path)

    def pinned(self, alias: str) -> str | None:
        """The key pinned for a door."""
        if not self.path.exists():
            return None
        for line in self.path.read_text().splitlines():
            name, _, key = line.partition(" ")
            if name == alias:
                return key
        return None

    def pin(self, alias: str, key: str) -> None:
        """Believe this key for this door from now on, and no other."""
        before = self.path.read_text().splitlines() if self.path.exists() else []
        lines = [*(line for line in before if not line.startswith(f"{alias} ")), f"{alias} {key}"]
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode(), 0o644)

    def check(self, alias: str, key: str) -> bool:
        """True when the key is the pinned one, False when none is pinned yet.

        Raises:
            HostKeyError: another key is pinned.
        """
        pinned = self.pinned(alias)
        if pinned is not None and pinned != key:
            raise HostKeyError(
                f"this is not the device that was pinned as {alias}. Nothing was sent to it.\n"
                f"  pinned: {words(pinned)}\n  found:  {words(key)}\n"
                "Wrong address? If the device was replaced or its card written anew: "
                "`door-agent provision … --forget-host-key`"
            )
        return pinned is not None
