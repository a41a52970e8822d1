"""Everything somebody without a manager's key, or with yesterday's message, can put on dn/command."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.commands import MAX_TOKEN_BYTES
from agent.order_keys import sign
from tests.attack.attacked_door import NAME, Door, new_id

ACTIONS = ("open", "open", "open", "hold-open", "release-lock-down", "end-hold-open", "lock-down", "identify")
_OTHER = "garden/gate-2"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STRANGE = b"!= \n\x00%+/.~\xff"
_JUNK: tuple[bytes, ...] = (
    b"", b"{}", b"open", b"v4.public.", b"v4.public..", b"v4.local.AAAA.AAAA", b"v3.public.AAAA.AAAA", b"\x00" * 64,
    b'{"id":"1","action":"open"}', b"' OR 1=1; --", b"$(reboot)", b"../../../etc/shadow", b"\xff" * 512, b"[" * 2000,
    b"v4.public." + b"A" * 2000, b"v4.public.AAAA." + base64.urlsafe_b64encode(b"[" * 900).rstrip(b"="),
)  # fmt: skip


class CommandForger:
    """Makes attacks against one door; `used` are messages that opened it, `held` good ones caught before they arrived.

    `make[name](rng)` gives bytes and whether the broker marks them retained. None of them may open.
    """

    def __init__(self, door: Door) -> None:
        self._door, self._counter = door, 0
        self.obeyed = 0  # the highest counter that the door has in its book
        self._pem = {
            name: key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            for name, key in (("manager", door.keys.manager), ("fired", door.keys.fired), ("new", door.keys.stranger))
        }
        self.used: list[bytes] = []
        self.held: list[tuple[bytes, float]] = []
        self._challenge, self._challenge_until_s, self._fresh = "", 0.0, b""
        self.make: dict[str, Callable[[random.Random], tuple[bytes, bool]]] = {
            "replayed": lambda rng: (rng.choice(self.used[-400:]), False),
            "mutated": lambda rng: (mutated(rng, self._unused()), False),
            "spelt otherwise": lambda rng: (respelt(rng, self._unused()), False),
            "truncated": lambda rng: (cut(rng, self._unused()), False),
            "late": lambda rng: (self._late(rng), False),
            "cross-device": lambda rng: (self._elsewhere(rng), False),
            "rolled-back counter": lambda rng: (self._old_counter(rng), False),
            "retained": lambda rng: (rng.choice([self._unused(), *self.used[-20:]]), True),
            "foreign key": lambda rng: (self._foreign(rng), False),
            "claims that are none": lambda rng: (self._nonsense(rng), False),
            "junk": lambda rng: (_junk(rng), rng.random() < 0.1),
        }

    def good(self, action: str = "open", **changes: Any) -> bytes:
        """A message that opens, made with the manager's key and a challenge the door has just given."""
        self._counter += 1
        claims = {
            "id": new_id(), "action": action, "actor": "li", "counter": self._counter,
            "challenge": self._door.challenge(),
        }  # fmt: skip
        return sign(self._pem["manager"], "manager1", NAME, claims | changes)

    def note_used(self, token: bytes) -> None:
        """This message, the last one made, has opened the door."""
        self.used.append(token)
        self.obeyed = self._counter

    def hold(self) -> None:
        """Catch a good message on its way."""
        self.held.append((self.good(), self._door.clock.true_utc_s))

    def forget_challenge(self) -> None:
        """The next forgery asks for a new one (a used message has burnt what was made with the old counter)."""
        self._challenge = ""

    def _fresh_challenge(self) -> str:
        now_s = self._door.clock.now_s()
        if not self._challenge or now_s >= self._challenge_until_s:
            self._challenge, self._challenge_until_s = self._door.challenge(), now_s + 8.0
            self._fresh = b""
        return self._challenge

    def _claims(self, **changes: Any) -> dict[str, Any]:
        base = {"id": new_id(), "action": "open", "actor": "li", "counter": self._counter + 1000}
        return base | {"challenge": self._fresh_challenge()} | changes

    def _unused(self) -> bytes:
        """A message that would open if it arrived as it is. Made once a challenge: what is altered is its copy."""
        self._fresh_challenge()
        if not self._fresh:
            self._fresh = sign(self._pem["manager"], "manager1", NAME, self._claims())
        return self._fresh

    def _late(self, rng: random.Random) -> bytes:
        now_s = self._door.clock.true_utc_s
        old = [token for token, at_s in self.held if now_s - at_s > 10.0]
        return rng.choice(old or self.used)

    def _elsewhere(self, rng: random.Random) -> bytes:
        """The other door's own message; ours bound to the other; the other's bound to ours."""
        claims, pem = self._claims(action=rng.choice(ACTIONS)), self._pem["manager"]
        way = rng.randrange(3)
        if way == 0:
            return sign(pem, "manager1", _OTHER, claims)
        return _signed(pem, {**claims, "door": (NAME, _OTHER)[way - 1]}, bound_to=(_OTHER, NAME)[way - 1])

    def _old_counter(self, rng: random.Random) -> bytes:
        claims = self._claims(counter=rng.randint(1, self.obeyed), action=rng.choice(ACTIONS))
        return sign(self._pem["manager"], "manager1", NAME, claims)

    def _foreign(self, rng: random.Random) -> bytes:
        """A key that was taken off the door, a key of nobody's under its own and under a known name."""
        who, key_id = rng.choice(
            [("fired", "manager2"), ("new", "stranger"), ("new", "manager1"), ("fired", "manager1")]
        )
        return sign(self._pem[who], key_id, NAME, self._claims(action=rng.choice(ACTIONS)))

    def _nonsense(self, rng: random.Random) -> bytes:
        """Signed by a manager's key, as a server with a bug would."""
        change = rng.choice([
            {"action": "open; rm"}, {"action": ["open"]}, {"counter": True}, {"counter": "9999999"}, {"counter": 2**60},
            {"counter": -1}, {"actor": "x" * 81}, {"actor": None}, {"id": "../../etc"}, {"id": 7}, {"door": ["a"]},
            {"challenge": None}, {"for_s": "1"}, {"for_s": 1e99}, {"for_s": -1, "action": "hold-open"}, {"sudo": True},
        ])  # fmt: skip
        return _signed(self._pem["manager"], {**self._claims(), "door": NAME, **change}, bound_to=NAME)


def _signed(pem: bytes, claims: dict[str, Any], *, bound_to: str) -> bytes:
    """PASETO v4.public by hand, without the product's `sign`, which always names the door it is bound to."""
    message, footer = json.dumps(claims).encode(), b'{"kid":"manager1"}'
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    pieces = (b"v4.public.", message, footer, bound_to.encode())
    signature = key.sign(len(pieces).to_bytes(8, "little") + b"".join(
        len(piece).to_bytes(8, "little") + piece for piece in pieces
    ))  # fmt: skip
    return b"v4.public." + b64(message + signature) + b"." + b64(footer)


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def mutated(rng: random.Random, good: bytes) -> bytes:
    """One to three bytes changed, taken out or put in; never what it was."""
    while True:
        changed = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            at, way = rng.randrange(len(changed)), rng.randrange(4)
            if way == 0:
                changed[at] ^= 1 << rng.randrange(8)
            elif way == 1:
                changed[at] = rng.choice(_ALPHABET)
            elif way == 2:
                del changed[at]
            else:
                changed.insert(at, rng.choice(_ALPHABET))
        if bytes(changed) != good:
            return bytes(changed)


def respelt(rng: random.Random, good: bytes) -> bytes:
    """The same bytes for a decoder that is not strict: strange letters put in, unused bits set, padding."""
    if rng.random() < 0.5:
        at = rng.randrange(len(b"v4.public."), len(good) + 1)
        return good[:at] + bytes([rng.choice(_STRANGE)]) + good[at:]
    payload, footer = good[len(b"v4.public.") :].split(b".")
    other = footer[:-1] + bytes([rng.choice([c for c in _ALPHABET if c != footer[-1]])])
    return b"v4.public." + payload + b"." + rng.choice([footer + b"=", footer + b"==", other])


def cut(rng: random.Random, good: bytes) -> bytes:
    return good[: rng.randrange(len(good))] if rng.random() < 0.8 else good[rng.randrange(1, len(good)) :]


def _junk(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(_JUNK)
    return rng.randbytes(rng.choice([1, 10, 100, MAX_TOKEN_BYTES, MAX_TOKEN_BYTES + 1, 4096]))
