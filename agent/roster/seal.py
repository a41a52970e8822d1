"""The key beside the roster, and what is sealed with it: no name, phone or consent stands readable in its file.

AES-256-GCM; kind and id of a row are associated data, so a row moved to another id does not open. The key lies in its
own file: a copy of the database alone says nothing, a copy of the whole card says everything (deploy/SECURITY.md).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import secrets
import sqlite3
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import StoreError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class TextSeal:
    """Rows of text, sealed: base64 of nonce and ciphertext."""

    def __init__(self, cipher: AESGCM, path: Path) -> None:
        self._cipher, self._path = cipher, path

    def sealed(self, kind: str, name: str, text: str) -> str:
        """What stands in the file for the row `name` of this kind."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), _bound_to(kind, name))).decode()

    def opened(self, kind: str, name: str, sealed: str) -> str:
        """The row's text.

        Raises:
            StoreError: it does not open: another key, or the row was altered or moved.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(kind, name)).decode()
        except (InvalidTag, binascii.Error, ValueError) as e:
            raise StoreError(
                f"{self._path}: the entry of {name} does not open: the key file is another one or the row was altered; "
                "put the key back, or move roster.db away and enrol again"
            ) from e

    def teach(self, db: sqlite3.Connection) -> None:
        """SQL functions seal(kind, id, text) and unseal(kind, id, sealed), for the steps between versions."""
        db.create_function("seal", 3, self.sealed)
        db.create_function("unseal", 3, self.opened)


def _bound_to(kind: str, name: str) -> bytes:
    return json.dumps(["entry", kind, name]).encode()


def _made(path: Path) -> bytes:
    """A key, whole on the card before it has its name; where another process was first, the other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(secrets.token_bytes(_KEY_BYTES))
            f.flush()
            os.fsync(f.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
    return path.read_bytes()


def load_key(path: Path, roster: Path) -> bytes:
    """The key beside the roster; made now when there is no `roster` yet.

    Raises:
        StoreError: it is gone, not readable or no key.
    """
    try:
        there = roster.exists()  # before its key: whoever makes both at this moment makes the key first
        key = path.read_bytes()
    except FileNotFoundError:
        if there:
            raise StoreError(
                f"{path}: the key of the roster is gone, its templates cannot be opened; put the key back, or move "
                "roster.db away and enrol again"
            ) from None
        key = _made(path)
    except OSError as e:
        raise StoreError(f"{path}: cannot be read ({e.strerror}); it belongs to the agent's user, mode 0600") from e
    if len(key) != _KEY_BYTES:
        raise StoreError(f"{path}: is {len(key)} bytes, a roster key has {_KEY_BYTES}; put the right file back")
    return key
