"""Everything somebody without a resident's phone, or with a film of one, can hold before the camera."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from agent.core.passes import (
    MAX_AGE_S,
    MAX_AHEAD_S,
    STEP_S,
    base45_decode,
    base45_encode,
    phone_message,
    visitor_message,
)
from tests.attack.attacked_door import NAME, Door, public_der, signed_code
from tests.attack.forged_commands import cut

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the group of P-256 (SP 800-186)
_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_OTHER = "garden/gate-2"
BAD_CODES: tuple[bytes, ...] = (
    b"", b"A", b"' OR '1'='1", b"1; DROP TABLE persons; --", b'"; DELETE FROM rows; --', b"\x00" * 100, b"A\x00B" * 50,
    b"0" * 4096, b":" * 4096, b"\xff\xfe\x80" * 60, b"\xc3\x28\xa0\xa1", b'{"a":' * 800, b"[" * 4000,
    b"PK\x03\x04" + b"\x00" * 300, b"\x1f\x8b\x08\x00" + b"\x00" * 200, b"x\x9c" + b"\xff" * 200, b"BZh9" + b"1AY" * 60,
    b"../../../../etc/shadow", b"/dev/zero", b"file:///etc/passwd", b"$(reboot)", b"`id`", b"|nc 10.0.0.1|", b"%s%n%x",
    b"https://example.com/?pay=1", b"WIFI:S:net;T:WPA;P:pw;;", b"\xe2\x80\xae\xef\xbb\xbfOPEN", b"NaN", b"1e999", b"-1",
    "开门".encode(), "é".encode("latin-1") * 100, b"BB8" * 170, b"00" * 40, b"FGW" * 30,
)  # fmt: skip


class CodeForger:
    """Makes attacks against one door; `used` are codes that opened it, `filmed` good ones nobody has shown yet.

    `make[name](rng)` gives bytes. None of them may open while the phone's time is the door's. The phones know the true
    time; the door's clock may be anything.
    """

    def __init__(self, door: Door) -> None:
        self._door, keys = door, door.keys
        self._keys = keys
        self.used: list[bytes] = []
        self.used_visits: list[bytes] = []
        self.filmed: list[tuple[bytes, float]] = []
        self._last_step = 0
        self.make: dict[str, Callable[[random.Random], bytes]] = {
            "replayed": lambda rng: rng.choice(self.used[-400:]),
            "replayed visitor pass": lambda rng: rng.choice(self.used_visits[-100:] or self.used),
            "signature turned over": lambda rng: turned(rng.choice(self.used[-400:])),
            "mutated": lambda rng: _mutated(rng, self._unused()),
            "mutated visitor pass": lambda rng: _mutated(rng, self.visit()),
            "truncated": lambda rng: cut(rng, self._unused()),
            "late": self._late,
            "from the future": lambda rng: self._phone(self._now_s() + MAX_AHEAD_S + STEP_S + rng.uniform(1, 1e8)),
            "rolled-back step": lambda rng: self._phone((self._last_step - rng.randint(1, 6)) * STEP_S),
            "cross-device": self._elsewhere,
            "foreign key": self._foreign,
            "visitor pass out of its time": self._untimely,
            "frame of the other kind": self._wrong_kind,
            "junk": _junk,
        }  # fmt: skip

    def good(self) -> bytes:
        """What the phone shows now. `note_used` once it has opened."""
        return self._phone(self._door.clock.true_utc_s)

    def note_used(self, code: bytes) -> None:
        """This code has opened the door."""
        self.used.append(code)
        self._last_step = int(self._door.clock.true_utc_s) // STEP_S

    def visit(self, uses: int = 1) -> bytes:
        """A visitor pass good for this hour."""
        now_s = int(self._door.clock.true_utc_s)
        message = visitor_message(
            public_der(self._keys.site), (NAME,), now_s - 60, now_s + 3600, uses, secrets.token_bytes(8)
        )
        return signed_code(self._keys.site, message)

    def film(self) -> None:
        """Somebody films the phone before its owner shows it."""
        self.filmed.append((self.good(), self._door.clock.true_utc_s))

    def _phone(self, utc_s: float, key: ec.EllipticCurvePrivateKey | None = None, door: str = NAME) -> bytes:
        signing = self._keys.phone if key is None else key
        return signed_code(signing, phone_message(public_der(signing), door, utc_s, secrets.token_bytes(8)))

    def _now_s(self) -> float:
        return self._door.clock.true_utc_s

    def _unused(self) -> bytes:
        return self._phone(self._door.clock.true_utc_s)

    def _late(self, rng: random.Random) -> bytes:
        """Filmed and never used, or made anew for a time that is over."""
        now_s = self._door.clock.true_utc_s
        old = [code for code, at_s in self.filmed if now_s - at_s > MAX_AGE_S + STEP_S + 1]
        if old and rng.random() < 0.7:
            return rng.choice(old)
        return self._phone(now_s - MAX_AGE_S - 2 * STEP_S - rng.expovariate(1 / 1000))

    def _elsewhere(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return self._phone(self._door.clock.true_utc_s, door=_OTHER)
        now_s = int(self._door.clock.true_utc_s)
        refs = tuple(f"garden/gate-{n}" for n in range(2, 2 + rng.randint(1, 16)))
        public = public_der(self._keys.site)
        return signed_code(self._keys.site, visitor_message(public, refs, now_s - 9, now_s + 99, 0, b"elsewher"))

    def _foreign(self, rng: random.Random) -> bytes:
        """A phone that is disabled, of somebody who moved away, of another site, of nobody under Li's name."""
        keys, now_s = self._keys, self._door.clock.true_utc_s
        way = rng.randrange(4)
        if way < 2:
            return self._phone(now_s, (keys.lost_phone, keys.gone_phone)[way])
        if way == 2:
            return signed_code(keys.other_site, visitor_message(
                public_der(keys.other_site), (), int(now_s) - 9, int(now_s) + 99, 0, b"othersit"
            ))  # fmt: skip
        message = phone_message(public_der(keys.phone), NAME, now_s, secrets.token_bytes(8))
        return signed_code(keys.gone_phone, message)

    def _untimely(self, rng: random.Random) -> bytes:
        now_s = int(self._door.clock.true_utc_s)
        from_s, until_s = rng.choice([(now_s - 7200, now_s - 1), (now_s + 60, now_s + 7200), (now_s + 99, now_s - 99)])
        public = public_der(self._keys.site)
        return signed_code(self._keys.site, visitor_message(
            public, (NAME,), from_s, until_s, rng.randint(0, 3), secrets.token_bytes(8)
        ))  # fmt: skip

    def _wrong_kind(self, rng: random.Random) -> bytes:
        """A resident's phone writes herself a visitor pass; the site's key plays a phone."""
        now_s = int(self._door.clock.true_utc_s)
        phone, site = self._keys.phone, self._keys.site
        if rng.random() < 0.5:
            return signed_code(phone, visitor_message(public_der(phone), (), now_s - 9, now_s + 99, 0, b"selfmade"))
        return self._phone(now_s, site)


def turned(code: bytes) -> bytes:
    """(r, n - s) is a good signature too: other bytes, the same code."""
    raw = base45_decode(code)
    assert raw is not None
    s = _ORDER - int.from_bytes(raw[-32:], "big")
    return base45_encode(raw[:-32] + s.to_bytes(32, "big"))


def _mutated(rng: random.Random, good: bytes) -> bytes:
    """Letters of the picture or bits of the message changed; never the same message and signature."""
    raw = base45_decode(good)
    assert raw is not None
    while True:
        if rng.random() < 0.5:
            text = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                text[rng.randrange(len(text))] = rng.choice(_LETTERS)
            changed = bytes(text)
        else:
            bits = bytearray(raw)
            for _ in range(rng.randint(1, 3)):
                bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
            changed = base45_encode(bytes(bits))
        if changed != good:
            return changed


def _junk(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(BAD_CODES)
    return bytes(rng.choices(_LETTERS, k=rng.choice([3, 30, 150, 512, 513, 2000])))
