"""The site's public keys as its offline root signed them: bytes -> SiteKeys, or Rejected with the one reason why not.

What a door was provisioned with stays true until its root says otherwise: `site rotate` makes another key and has the
root sign the whole list anew, under a number one higher. Whoever holds a key that was replaced, the server's included,
can't bring it back: a door takes a higher number only. On `dn/command`, in base64url without padding:

    keys.v1.PAYLOAD.SIGNATURE      ECDSA P-256 with SHA-256 (DER) by the root, over everything before the last dot
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.core.commands import MAX_TOKEN_BYTES, Refusal, Rejected, decoded, is_key_id

PREFIX: Final = b"keys.v1."
_PARTS: Final = {"site", "number", "server", "orders", "passes"}

Verify = Callable[[bytes, bytes], bool]  # message, signature


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """Public keys in PEM form, by name where there may be several. Which kind of key each is, is not known here."""

    site: str
    number: int
    server: str
    orders: Mapping[str, str]
    passes: Mapping[str, str]


def read(  # noqa: PLR0911  one return for each reason
    document: bytes, *, site: str, verify: Verify, above: int
) -> SiteKeys | Rejected:
    """Decide on one list. `above`: the number of the list that this door has; 0: only what it was provisioned with."""
    if len(document) > MAX_TOKEN_BYTES:
        return Rejected(Refusal.OVERSIZED)
    message, _, signed = document.rpartition(b".")
    signature, payload = decoded(signed), decoded(message.removeprefix(PREFIX))
    if not message.startswith(PREFIX) or payload is None or signature is None:
        return Rejected(Refusal.MALFORMED)
    if not verify(message, signature):
        return Rejected(Refusal.BAD_SIGNATURE)
    found = _parsed(payload)
    if found is None:
        return Rejected(Refusal.MALFORMED)
    if found.site != site:
        return Rejected(Refusal.WRONG_DOOR, _name(found.number))
    if found.number == above:
        return Rejected(Refusal.REPEATED, _name(found.number))
    return found if found.number > above else Rejected(Refusal.COUNTER_NOT_ABOVE, _name(found.number))


def number_of(document: bytes) -> int | None:
    """The number of a list whose signature somebody else checks; None: it is no list."""
    payload = decoded(document.rpartition(b".")[0].removeprefix(PREFIX))
    found = None if payload is None or not document.startswith(PREFIX) else _parsed(payload)
    return None if found is None else found.number


def _name(number: int) -> str:
    """What a reply and a row call a list."""
    return f"keys-{number}"


def _parsed(payload: bytes) -> SiteKeys | None:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != _PARTS:
        return None
    number, texts = value["number"], (value["site"], value["server"])
    if type(number) is not int or not 0 < number < 2**40 or not all(isinstance(text, str) for text in texts):
        return None
    if not all(_keys(value[name]) for name in ("orders", "passes")):
        return None
    return SiteKeys(value["site"], number, value["server"], value["orders"], value["passes"])


def _keys(value: object) -> bool:
    return isinstance(value, dict) and all(is_key_id(name) and isinstance(pem, str) for name, pem in value.items())


def unsigned(keys: SiteKeys) -> bytes:
    """The other end: what the root signs."""
    value = {"site": keys.site, "number": keys.number, "server": keys.server, "orders": dict(keys.orders),
             "passes": dict(keys.passes)}  # fmt: skip
    return PREFIX + _encoded(json.dumps(value, separators=(",", ":")).encode())


def with_signature(message: bytes, signature: bytes) -> bytes:
    """The whole list as it travels."""
    return message + b"." + _encoded(signature)


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
