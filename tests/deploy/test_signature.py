"""The standard-library signature check agrees with the library that signs."""

import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from deploy.device.signature import public_key, verify

SPKI = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
# RFC 8032, section 7.1, test 3
RFC_KEY = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
RFC_SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def test_the_standards_own_example_is_good_and_any_other_message_is_not():
    assert verify(RFC_KEY, b"\xaf\x82", RFC_SIGNATURE)
    assert not verify(RFC_KEY, b"\xaf\x83", RFC_SIGNATURE)


def test_every_signature_of_the_library_is_good_and_every_flipped_bit_is_not():
    key = ed25519.Ed25519PrivateKey.generate()
    public = public_key(key.public_key().public_bytes(*SPKI).decode())
    for length in range(12):
        message = os.urandom(length * 9)
        signature = key.sign(message)
        assert verify(public, message, signature)
        spoilt = bytearray(signature)
        spoilt[length * 5] ^= 1 << length % 8
        assert not verify(public, message, bytes(spoilt))


def test_a_signature_with_a_scalar_beyond_the_order_is_refused():
    key = ed25519.Ed25519PrivateKey.generate()
    public = public_key(key.public_key().public_bytes(*SPKI).decode())
    signature = key.sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    more = int.from_bytes(signature[32:], "little") + order
    assert not verify(public, b"m", signature[:32] + more.to_bytes(32, "little"))


@pytest.mark.parametrize(("key", "signature"), [(b"", bytes(64)), (bytes(32), b""), (b"\xff" * 32, bytes(64))])
def test_nonsense_is_not_a_signature(key, signature):
    assert not verify(key, b"m", signature)


def test_another_kind_of_key_is_named_as_such():
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*SPKI).decode()
    with pytest.raises(ValueError, match="Ed25519"):
        public_key(other)
