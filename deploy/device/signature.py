"""Who made a bundle: an Ed25519 signature (RFC 8032) checked with the standard library alone.

The first bundle brings the libraries, so none of them can be used to judge it. Checking only; nothing secret passes
through here, so that its time may depend on its input.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Final

from deploy.device.commands import InstallError

SIGNED_WORDS: Final = b"door-agent release %d\n"  # before the manifest's bytes: a signature for this and nothing else
_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)
_SPKI: Final = bytes.fromhex("302a300506032b6570032100")  # what stands before the 32 bytes of a public key

Point = tuple[int, int]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) of `message` was made with the private half of `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:  # noqa: PLR2004  sizes of the algorithm
        return False
    key, commitment = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or s >= _ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _ORDER
    return _times(_BASE, s) == _add(commitment, _times(key, challenge))


def public_key(pem: str) -> bytes:
    """The 32 bytes in a PEM public key. Raises ValueError when it is not an Ed25519 one."""
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    data = base64.b64decode(body, validate=True)
    if len(data) != len(_SPKI) + 32 or not data.startswith(_SPKI):
        raise ValueError("not a public Ed25519 key")
    return data[len(_SPKI) :]


def signed_by(key_file: Path, message: bytes, signature: bytes) -> bool:
    """`verify` with the key in a PEM file. Raises ValueError, OSError for a file that is not one."""
    return verify(public_key(key_file.read_text()), message, signature)


def check_signature(described: bytes, signature_file: Path, key: Path) -> int:
    """The release's serial number, 0 for an unsigned bundle on a device that was given no key yet.

    Raises:
        InstallError: not signed by the site's release key.
    """
    if not key.exists():
        return 0
    try:
        said = json.loads(signature_file.read_bytes())
        serial, signature = int(said["serial"]), bytes.fromhex(said["signature"])
    except FileNotFoundError as error:
        raise InstallError("the bundle is not signed; make it with `door-agent bundle --key release.key`") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InstallError("the bundle's signature cannot be read; copy the bundle again") from error
    if not signed_by(key, SIGNED_WORDS % serial + described, signature):
        raise InstallError("the bundle is not signed by this site's release key: it is another site's, or changed")
    return serial


def _add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    k = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, _P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, _P)
    return x % _P, y % _P


def _times(point: Point, n: int) -> Point:
    result = (0, 1)
    while n:
        if n & 1:
            result = _add(result, point)
        point, n = _add(point, point), n >> 1
    return result


def _point(data: bytes) -> Point | None:
    n = int.from_bytes(data, "little")
    sign, y = n >> 255, n & (2**255 - 1)
    if y >= _P:
        return None
    xx = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(xx, (_P + 3) // 8, _P)
    if (x * x - xx) % _P:
        x = x * _ROOT % _P
    if (x * x - xx) % _P or (not x and sign):
        return None
    return (_P - x if x & 1 != sign else x), y


_BASE: Final = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or (0, 1)
