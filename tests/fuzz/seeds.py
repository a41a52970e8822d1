"""Good inputs for each target, for a fuzzer to start from, and the keys that they are signed with."""

from __future__ import annotations

import base64
import json

import pyseto
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import wire
from agent.core import passes, site_keys
from agent.core.acknowledgement import Ack
from agent.order_keys import sign
from agent.roster.intake import signed

NAME = "garden/gate-1"
_KEY = Ed25519PrivateKey.generate()
_PEM = _KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
PUBLIC_PEM = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PHONE = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
_SIGNING = pyseto.Key.new(4, "public", _PEM)
CHECKING = pyseto.Key.new(4, "public", PUBLIC_PEM)
_CLAIMS = {"id": "c-00000001", "action": "open", "actor": "li", "counter": 1, "challenge": "challenge-1", "for_s": 5.5}
GOOD_TOKEN = sign(_PEM, "manager1", NAME, _CLAIMS)


def _packet(value: object) -> bytes:
    return b"J" + json.dumps(value).encode()


_KEYS = site_keys.unsigned(site_keys.SiteKeys("garden", 1, "pem", {"manager": "pem"}, {"site": "pem"}))
_PERSON = {
    "id": "p-1", "name": "Li Mei", "kind": "resident", "enabled": True, "groups": [], "schedules": ["always"],
    "valid_from_utc_s": None, "valid_until_utc_s": None, "extended_release": False, "second_factor": False,
    "consent": {"purpose": "face-at-the-door", "given_utc_s": 1, "under_14": False, "guardian": None,
                "withdrawn_utc_s": None},
    "faces": [{"template_id": "t-1", "model_id": "net", "alignment_id": "five"}],
    "phones": [{"key_id": "k", "public_key": base64.b64encode(PHONE).decode(), "enabled": True}],
}  # fmt: skip
_PART = {
    "type": "part", "revision": 2, "base": None, "digest": "0" * 64, "sending": "s", "number": 1, "parts": 1,
    "operations": [{"type": "put", "kind": "person", "id": "p-1", "body": _PERSON},
                   {"type": "drop", "kind": "person", "id": "p-2"}],
}  # fmt: skip
_FINDING = {
    "type": "finding", "track": 1, "verdict": "recognised", "person_id": "p-1", "needs_phone": False, "reason": "match",
    "hint": None, "first_frame_at_s": 1.5, "decided_at_s": 2.0, "frames": 3, "receipt": {"a": [1, 2.5], "b": {}},
}  # fmt: skip
_CONFIG = b"""[door]
site = "garden"
id = "gate-1"
lock_type = "fail-safe"
[hardware.relay]
pin = 17
[hardware.inputs.contact]
pin = 22
[camera]
source = "none"
"""
_PHONE_CODE = passes.base45_encode(passes.phone_message(PHONE, NAME, 1_796_000_000, b"nonce-01") + bytes(64))
_VISIT = passes.visitor_message(PHONE, (NAME,), 1_795_999_000, 1_796_009_000, 2, b"visit-01")
_BUNDLE = {"release": "0.1.1+9b1c07aa52", "sha256": "0" * 64, "bytes": 7, "rollout": "r1"}
SEEDS: dict[str, tuple[bytes, ...]] = {
    "command": (GOOD_TOKEN,),
    "keys_list": (
        site_keys.with_signature(_KEYS, b"signature"),
        base64.urlsafe_b64decode(_KEYS.removeprefix(site_keys.PREFIX) + b"=="),
    ),
    "command_claims": (
        json.dumps({**_CLAIMS, "door": NAME}).encode(),
        json.dumps({**_CLAIMS, "door": NAME, "action": "update", "bundle": _BUNDLE}).encode(),
    ),
    "code": (_PHONE_CODE, passes.base45_encode(_VISIT + bytes(64))),
    "code_signature": (bytes(64), b"\xff" * 64),
    "registration": (base64.urlsafe_b64encode(PHONE),),
    "roster_token": (signed(_SIGNING, NAME, _PART),),
    "roster_claims": (
        json.dumps(_PART).encode(),
        json.dumps({"type": "head", "revision": 1, "digest": "0" * 64, "challenge": None}).encode(),
    ),
    "roster_file": (
        json.dumps(_PERSON).encode(),
        json.dumps(
            {"v": 1, "epoch": 1, "schedules": [], "holidays": [], "unlock_hours": [], "persons": [_PERSON]}
        ).encode(),
    ),
    "ack": (
        wire.ack_data(Ack("0" * 32, 5, "0" * 64, "abcdef01", None, None, ())).model_dump_json().encode(),
        wire.signed_ack(_SIGNING, NAME, Ack("0" * 32, 5, "0" * 64, "abcdef01", None, None, ())),
    ),
    "uplink": (b"[]", b'{"v":1,"device":"a/b"}'),
    "config": (_CONFIG,),
    "vision_packet": (
        _packet(_FINDING),
        _packet({"type": "pass", "payload": "QUJD", "at_s": 1.0}),
        _packet({"type": "alive", "fps": 1.0, "camera_state": "ok"}),
    ),
    "guard_order": (_packet({"type": "release", "lease_ms": 1500, "id": "a", "hold": False, "until_s": 12.5}),),
    "guard_news": (
        _packet({"type": "input", "line": "exit", "active": True, "at_s": 1.0}),
        _packet({"type": "relay", "energised": True, "why": "order", "at_s": 1.0}),
    ),
}  # fmt: skip
