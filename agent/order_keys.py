"""Keys that sign orders: the public halves on a door's disk, and signing as a server does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyseto
from pyseto import Key

from agent.core.commands import is_key_id
from agent.errors import ConfigError


def load_command_keys(folder: Path) -> dict[str, bytes]:
    """Public keys that may sign commands: every NAME.pem of a folder, NAME is the key id. An absent folder: none.

    Raises:
        ConfigError: a key is there and cannot be read, or has a name that no order can carry.
    """
    paths = sorted(folder.glob("*.pem")) if folder.is_dir() else []
    for path in paths:
        if not is_key_id(path.stem):
            raise ConfigError(f"{path}: a key's name is 1 to 64 of A-Z a-z 0-9 _ -; rename the file")
    try:
        return {path.stem: path.read_bytes() for path in paths}
    except OSError as e:
        raise ConfigError(
            f"{e.filename or folder}: cannot be read ({e.strerror}); check owner and mode of {folder}"
        ) from e


def sign(private_pem: bytes, key_id: str, door: str, claims: Mapping[str, Any]) -> bytes:
    """The other end, for servers and tests: one command as a PASETO v4.public token bound to `door` ("site/id")."""
    key = Key.new(4, "public", private_pem)
    footer = json.dumps({"kid": key_id}).encode()
    payload = json.dumps({**claims, "door": door}).encode()
    return bytes(pyseto.encode(key, payload, footer=footer, implicit_assertion=door.encode()))


def public_order_key(pem: bytes, key_id: str) -> Any:  # noqa: ANN401  pyseto publishes no types
    """A key that may sign orders. Raises ConfigError for what is none."""
    try:
        key: Any = Key.new(4, "public", pem)
    except (ValueError, TypeError, pyseto.PysetoError) as e:
        raise ConfigError(f"command key {key_id}: is not a public Ed25519 key in PEM form ({e})") from e
    return key
