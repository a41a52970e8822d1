"""A captured, delayed, repeated or forged command opens nothing; each refusal has its own reason."""

import json

import pyseto
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pyseto import Key

from agent.core.commands import (
    MAX_CHALLENGE_AGE_S,
    Action,
    Book,
    Challenges,
    Command,
    Refusal,
    Rejected,
    judge,
)

DOOR = "garden/gate-1"
PRIVATE = Ed25519PrivateKey.generate()
SIGNING = Key.new(
    4,
    "public",
    PRIVATE.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
)
CHECKING = Key.new(
    4,
    "public",
    PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
)
CHALLENGES = Challenges().renewed("challenge-one", 100.0).renewed("challenge-two", 105.0)


def verify(token: bytes, key_id: str) -> bytes | None:
    if key_id != "manager1":
        return None
    try:
        return bytes(pyseto.decode(CHECKING, token, implicit_assertion=DOOR.encode()).payload)
    except (pyseto.PysetoError, ValueError):
        return b""


def token(door=DOOR, bound_to=DOOR, key_id="manager1", **changes) -> bytes:
    claims = {
        "id": "cmd-00000001",
        "door": door,
        "action": "open",
        "actor": "li@garden",
        "counter": 7,
        "challenge": "challenge-two",
    } | changes
    claims = {k: v for k, v in claims.items() if v is not None}
    return pyseto.encode(
        SIGNING,
        json.dumps(claims).encode(),
        footer=json.dumps({"kid": key_id}).encode(),
        implicit_assertion=bound_to.encode(),
    )


def decide(raw: bytes, *, retained=False, challenges=CHALLENGES, book=Book(), now_s=106.0):  # noqa: B008  frozen
    return judge(raw, retained=retained, door=DOOR, verify=verify, challenges=challenges, book=book, now_s=now_s)


@pytest.mark.parametrize(("key_id", "known"), [("manager", True), ("m", True), ("m" * 65, False), ("a b", False)])
def test_a_key_is_known_by_any_short_plain_name(key_id, known):
    """`manager`, the name that provisioning gives, has seven letters."""
    raw = token(key_id=key_id)
    judged = judge(
        raw, retained=False, door=DOOR, verify=lambda t, _: verify(t, "manager1"), challenges=CHALLENGES, book=Book(),
        now_s=106.0,
    )  # fmt: skip
    assert isinstance(judged, Command) is known


def test_a_fresh_signed_command_is_accepted():
    assert decide(token()) == Command("cmd-00000001", Action.OPEN, "li@garden", "manager1", 7)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (token(key_id="stranger"), Refusal.UNKNOWN_KEY),
        (token(bound_to="garden/gate-2"), Refusal.BAD_SIGNATURE),
        (token(door="garden/gate-2"), Refusal.WRONG_DOOR),
        (token(challenge="yesterday"), Refusal.STALE_CHALLENGE),
        (token(action="open; rm"), Refusal.MALFORMED),
        (token(counter="7"), Refusal.MALFORMED),
        (token(counter=True), Refusal.MALFORMED),
        (token(for_s=float("inf")), Refusal.MALFORMED),
        (token(extra="x"), Refusal.MALFORMED),
        (token(actor=None), Refusal.MALFORMED),
        (token() + b"A" * 2048, Refusal.OVERSIZED),
        (b"", Refusal.MALFORMED),
        (b"v4.local.abc.def", Refusal.MALFORMED),
        (b"\xff\x00" * 20, Refusal.MALFORMED),
    ],
)
def test_each_fault_has_its_own_reason(raw: bytes, reason: Refusal):
    rejected = decide(raw)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is reason


def test_a_retained_copy_of_a_good_command_is_refused():
    assert decide(token(), retained=True) == Rejected(Refusal.RETAINED)


def test_a_delayed_command_is_refused_once_its_challenge_is_ten_seconds_old():
    last = 105.0 + MAX_CHALLENGE_AGE_S
    assert isinstance(decide(token(), now_s=last), Command)
    assert decide(token(), now_s=last + 0.01) == Rejected(Refusal.STALE_CHALLENGE, "cmd-00000001")


def test_a_reboot_voids_every_challenge():
    assert decide(token(), challenges=Challenges()) == Rejected(Refusal.STALE_CHALLENGE, "cmd-00000001")


def test_a_repeat_gets_the_stored_result_also_after_a_reboot():
    command = decide(token())
    book = Book().with_command(command).with_result("cmd-00000001", "taken")
    again = Book.from_fact(json.loads(json.dumps(book.to_fact())))
    assert decide(token(), book=again) == Rejected(Refusal.REPEATED, "cmd-00000001", "taken")


def test_a_counter_that_is_not_above_the_last_is_refused():
    book = Book().with_command(decide(token()))
    assert decide(token(id="cmd-00000002"), book=book) == Rejected(Refusal.COUNTER_NOT_ABOVE, "cmd-00000002", counter=7)
    assert isinstance(decide(token(id="cmd-00000002", counter=8), book=book), Command)


def test_the_book_stays_small_but_never_forgets_a_counter():
    book = Book()
    for n in range(1, 1000):
        book = book.with_command(Command(f"cmd-{n:08}", Action.OPEN, "a", "manager1", n))
    assert len(book.results) <= 128
    assert book.counters == {"manager1": 999}


@given(st.binary(max_size=300), st.data())
def test_no_bytes_open_and_no_bytes_crash(noise: bytes, data: st.DataObject):
    assert isinstance(decide(noise), Rejected)
    good = bytearray(token())
    position = data.draw(st.integers(0, len(good) - 1))
    changed = data.draw(st.integers(1, 255))
    good[position] ^= changed
    assert isinstance(decide(bytes(good)), Rejected)


@given(st.data())
def test_a_good_command_in_another_spelling_of_base64_is_refused(data: st.DataObject):
    """Decoders skip letters that are none and the unused bits of the last one: what is judged is what was signed."""
    good = token()
    at = data.draw(st.integers(len(b"v4.public."), len(good)))
    strange = data.draw(st.sampled_from([b"!", b" ", b"\n", b"=", b"\x00", b"%", b"+", b"/"]))
    assert decide(good[:at] + strange + good[at:]) == Rejected(Refusal.MALFORMED)


@pytest.mark.parametrize("fact", [None, [], {"counters": 1}, {"counters": {"a": "x"}}, {"results": [1]}, "rubbish"])
def test_a_stored_book_that_is_none_is_an_empty_one(fact: object):
    assert Book.from_fact(fact) == Book()
