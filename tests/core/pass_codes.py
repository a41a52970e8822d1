"""Codes of a phone and of the site, and what the rules make of them at one door."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from agent.core.pass_book import Book
from agent.core.passes import (
    Accepted,
    Key,
    Refusal,
    Rejected,
    base45_encode,
    judge,
    phone_message,
    reference,
    visitor_message,
)

DOOR, NOW_S = "garden/gate-1", 1_800_000_000


def new_key() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


PHONE, PHONE_PUBLIC = new_key()
SITE, SITE_PUBLIC = new_key()
KEYS = {reference(PHONE_PUBLIC): Key(PHONE_PUBLIC, "p-anna"), reference(SITE_PUBLIC): Key(SITE_PUBLIC, None)}


def sign(private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    return base45_encode(message + r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    key = serialization.load_der_public_key(public)
    raw = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(raw, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def decide(text: bytes, *, book=Book(), utc_s=NOW_S, keys=KEYS, floor_utc_s=0.0):  # noqa: B008  frozen
    return judge(text, door=DOOR, keys=keys.get, verify=verify, book=book, utc_s=utc_s, floor_utc_s=floor_utc_s)


def code(utc_s=NOW_S, door: str | None = DOOR, **more) -> bytes:
    return sign(PHONE, phone_message(PHONE_PUBLIC, door, utc_s, b"nonce-01", **more))


def visitor(doors=(DOOR,), from_s=NOW_S - 60, until_s=NOW_S + 60, uses=1, private=SITE, pass_id=b"visit-01") -> bytes:
    return sign(private, visitor_message(SITE_PUBLIC, doors, from_s, until_s, uses, pass_id))


def reason(answer) -> Refusal:
    assert isinstance(answer, Rejected)
    return answer.reason


def kept(book: Book) -> Book:
    """What a reboot leaves of it."""
    return Book.from_facts(json.loads(json.dumps(book.changes(Book()))))


def used(text: bytes, book: Book, **more) -> Book:
    answer = decide(text, book=book, **more)
    assert isinstance(answer, Accepted), answer
    return kept(answer.book)
