"""Known answers from the specifications: PASETO v4.public (its test vectors, v4.json), RFC 6979, RFC 9285."""

import pyseto
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.core.passes import base45_decode, base45_encode
from agent.pass_desk import verify_p256
from agent.remote import RemoteDesk
from agent.wire import WireError, public_key, read_ack

PUBLIC_PEM = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAHrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI=
-----END PUBLIC KEY-----
"""
SECRET_PEM = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEILTL+0PfTOIQcn2VPkpxMwf6Gbt9n4UEFDjZ4RuUKjd0
-----END PRIVATE KEY-----
"""
PAYLOAD = b'{"data":"this is a signed message","exp":"2022-01-01T00:00:00+00:00"}'
KEY_ID = "zVhMiPBP9fRf2snEcT7gFTioeA9COcNy9DfgL1W60haN"
FOOTER = b'{"kid":"%s"}' % KEY_ID.encode()
_BODY = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9"
_KID = ".eyJraWQiOiJ6VmhNaVBCUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9"
VECTORS = {  # name: token, footer, implicit assertion
    "4-S-1": (
        _BODY + "bg_XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQEDA", b"", "",
    ),
    "4-S-2": (
        _BODY + "v3Jt8mx_TdM2ceTGoqwrh4yDFn0XsHvvV_D0DtwQxVrJEBMl0F2caAdgnpKlt4p7xBnx1HcO-SPo8FPp214HDw" + _KID, FOOTER,
        "",
    ),
    "4-S-3": (
        _BODY + "NPWciuD3d0o5eXJXG5pJy-DiVEoyPYWs1YSTwWHNJq6DZD3je5gf-0M4JR9ipdUSJbIovzmBECeaWmaqcaP0DQ" + _KID, FOOTER,
        '{"test-vector":"4-S-3"}',
    ),
}  # fmt: skip


def verified(token: str, implicit: str) -> bytes | None:
    """As a door checks a command: its name is the implicit assertion."""
    desk = RemoteDesk(implicit, {KEY_ID: PUBLIC_PEM}, None, None, {})
    return desk._verify(token.encode(), KEY_ID)


@pytest.mark.parametrize("name", VECTORS)
def test_a_paseto_vector_verifies_and_is_what_we_sign(name: str):
    token, footer, implicit = VECTORS[name]
    assert verified(token, implicit) == PAYLOAD
    key = pyseto.Key.new(4, "public", SECRET_PEM)
    signed = pyseto.encode(key, PAYLOAD, footer=footer, implicit_assertion=implicit.encode())
    assert signed == token.encode()


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_under_another_door_s_name_or_with_one_bit_changed_does_not_verify(name: str):
    token, _, implicit = VECTORS[name]
    assert verified(token, implicit + "x") == b""
    for at in range(len(_BODY), len(_BODY) + 80, 7):
        other = "A" if token[at] != "A" else "B"
        assert verified(token[:at] + other + token[at + 1 :], implicit) == b""


@pytest.mark.parametrize("header", ["v4.local.", "v3.public.", "v2.public.", "v1.public.", "V4.public.", "v4.public"])
def test_another_version_or_purpose_is_never_negotiated(header: str):
    token, _, implicit = VECTORS["4-S-3"]
    other = header + token.removeprefix("v4.public.")
    assert verified(other, implicit) == b""
    with pytest.raises(WireError):
        read_ack(public_key(PUBLIC_PEM), implicit, other.encode())


# RFC 6979, A.2.5: P-256 with SHA-256
_X = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
_Y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
P256 = ec.EllipticCurvePublicNumbers(_X, _Y, ec.SECP256R1()).public_key()
P256_DER = P256.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("message", "r", "s"),
    [
        (
            b"sample",
            0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
            0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
        ),
        (
            b"test",
            0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
            0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
        ),
    ],
)
def test_a_p256_vector_verifies_and_no_neighbour_does(message: bytes, r: int, s: int):
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert verify_p256(P256_DER, message, signature)
    assert not verify_p256(P256_DER, message + b".", signature)
    assert not verify_p256(P256_DER, message, bytes(32) + signature[32:])
    assert not verify_p256(P256_DER, message, signature[:32] + bytes(32))
    assert not verify_p256(P256_DER, message, b"\xff" * 64)


@pytest.mark.parametrize(("raw", "text"), [(b"AB", b"BB8"), (b"Hello!!", b"%69 VD92EX0"), (b"ietf!", b"QED8WEX0")])
def test_a_base45_vector_goes_both_ways(raw: bytes, text: bytes):
    assert (base45_encode(raw), base45_decode(text)) == (text, raw)


@pytest.mark.parametrize("text", [b"GGW", b":::", b"A", b"AAAA", b"ab", b"BB8\n", b"BB8\x00"])
def test_text_that_no_bytes_make_is_refused(text: bytes):
    assert base45_decode(text) is None
