"""Whom this door believes: the keys that it was provisioned with, or what the site's root signed since.

Read once at the start, and changed only by the controller's thread: the list is stored with the row that tells of it,
in one transaction of the journal, and then every part is told (agent/decisions/0020-the-root-replaces-keys.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyseto
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent.core.commands import Refusal, Rejected
from agent.core.events import Json
from agent.core.site_keys import SiteKeys, read
from agent.errors import ConfigError
from agent.order_keys import load_command_keys, public_order_key
from agent.pass_desk import load_pass_keys, pass_key
from agent.wire import public_key

FACT: Final = "site_keys"


@dataclass(frozen=True, slots=True)
class Believed:
    """Public keys. `number` 0: those of the configuration. `server` None: the file that the configuration names."""

    number: int = 0
    server: pyseto.KeyInterface | None = None
    orders: Mapping[str, bytes] = field(default_factory=dict)
    passes: Mapping[str, bytes] = field(default_factory=dict)  # DER


class SiteTrust:
    """Used by the controller's thread only. `root_pem`: the site's authority; None: a door without a server.

    Raises:
        ConfigError: a key file or the authority's cannot be used.
    """

    def __init__(
        self, site: str, root_pem: Path | None, orders_dir: Path | None, passes_dir: Path, facts: Mapping[str, Any]
    ) -> None:
        self._site, self._root = site, None if root_pem is None else _root_key(root_pem)
        self._files = Believed(
            orders=load_command_keys(orders_dir) if orders_dir is not None else {}, passes=load_pass_keys(passes_dir)
        )
        self.believed = self._stored(facts)
        self.tell: Callable[[Believed], None] = lambda _believed: None

    def arrived(self, document: bytes, *, retained: bool) -> SiteKeys | Rejected:
        """Judge a list of keys; what is taken is to be written down with `fact`, then `take` it."""
        if retained:
            return Rejected(Refusal.RETAINED)
        found = read(document, site=self._site, verify=self._holds, above=self.believed.number)
        if isinstance(found, SiteKeys) and self._usable(found) is None:
            return Rejected(Refusal.MALFORMED)
        return found

    @staticmethod
    def fact(document: bytes) -> Mapping[str, Json]:
        """What keeps a list that was taken over a restart."""
        return {FACT: {"document": document.decode("ascii")}}

    def take(self, keys: SiteKeys) -> None:
        """Believe these from now on, everywhere."""
        self.believed = self._usable(keys) or self.believed
        self.tell(self.believed)

    def _stored(self, facts: Mapping[str, Any]) -> Believed:
        """A journal that somebody edited, or that came from another site, is not believed either."""
        fact = facts.get(FACT)
        document = fact.get("document") if isinstance(fact, Mapping) else None
        if self._root is None or not isinstance(document, str):
            return self._files
        found = read(document.encode(), site=self._site, verify=self._holds, above=0)
        return self._files if isinstance(found, Rejected) else self._usable(found) or self._files

    def _usable(self, keys: SiteKeys) -> Believed | None:
        """Files of another name stay: an operator's own."""
        try:
            orders = {name: pem.encode() for name, pem in keys.orders.items()}
            for name, pem in orders.items():
                public_order_key(pem, name)
            passes = {name: pass_key(pem.encode(), name) for name, pem in keys.passes.items()}
            server = public_key(keys.server.encode())
        except (ConfigError, ValueError, TypeError, pyseto.PysetoError):
            return None
        return Believed(keys.number, server, {**self._files.orders, **orders}, {**self._files.passes, **passes})

    def _holds(self, message: bytes, signature: bytes) -> bool:
        if self._root is None:
            return False
        try:
            self._root.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _root_key(path: Path) -> ec.EllipticCurvePublicKey | None:
    """The root's key; None for an authority of another kind, which then replaces no key here.

    Raises:
        ConfigError: there is no certificate in the file.
    """
    try:
        key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
    except (OSError, ValueError) as e:
        raise ConfigError(f"{path}: not a readable authority certificate ({e})") from e
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None
