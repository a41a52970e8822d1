"""The server's private keys, looked at before anything starts: each of the right kind, none for others to read."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.errors import ConfigError
from deploy.community.settings import Settings


def check_keys(settings: Settings) -> list[str]:
    """Lines for whoever looks after the server; none when all is well.

    Raises:
        ConfigError: a key that signs is no private Ed25519 key; found out later, doors would refuse what it signs.
    """
    signing = {"signing_key_file": settings.signing_key_file, "command_key_file": settings.command_key_file}
    for name, path in signing.items():
        if path is not None:
            _must_sign(name, path)
    others = (settings.key_file, settings.pass_key_file, settings.bundles_key_file)
    paths = [path for path in (*signing.values(), *others) if path is not None and path.exists()]
    return [
        f"warning: {path}: others on this machine can read this private key; chmod 600 {path}\n"
        for path in dict.fromkeys(paths)
        if path.stat().st_mode & stat.S_IROTH
    ]


def _must_sign(name: str, path: Path) -> None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise ConfigError(f"{name} {path}: is not a private Ed25519 key in PEM form ({why})") from e
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{name} {path}: is another kind of key; acknowledgements and orders are signed with Ed25519")
