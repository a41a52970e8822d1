"""Codes held before the camera: one opening each, for one door, for a moment; hostile bytes open nothing."""

import json
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from agent.core.pass_book import Book, Visits, moved_facts
from agent.core.passes import (
    MAX_AGE_S,
    MAX_AHEAD_S,
    Accepted,
    Key,
    Refusal,
    Rejected,
    base45_decode,
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


def test_a_fresh_code_of_a_resident_is_accepted_for_this_door_and_for_any_door():
    for door in (DOOR, None):
        answer = decide(code(door=door))
        assert isinstance(answer, Accepted)
        assert answer.person_id == "p-anna"
        assert not answer.duress


def test_a_code_fits_a_small_qr_picture():
    text = code()
    assert len(text) <= 154  # alphanumeric capacity of version 6-M: 41 modules a side


def test_a_code_opens_once_and_an_older_one_never_after_it_also_after_a_reboot():
    text, older = code(NOW_S), code(NOW_S - 10)
    book = kept(decide(text).book)
    assert reason(decide(text, book=book)) is Refusal.REPLAYED
    assert reason(decide(older, book=book)) is Refusal.REPLAYED
    assert isinstance(decide(code(NOW_S + 5), book=book), Accepted)


def test_a_photographed_code_is_worth_nothing_soon_after():
    assert isinstance(decide(code(), utc_s=NOW_S + MAX_AGE_S), Accepted)
    assert reason(decide(code(), utc_s=NOW_S + MAX_AGE_S + 6)) is Refusal.EXPIRED
    assert reason(decide(code(NOW_S + MAX_AHEAD_S + 6))) is Refusal.NOT_YET_VALID


def test_without_a_clock_a_resident_still_comes_in_once_a_code_and_not_with_one_from_before_the_floor():
    answer = decide(code(), utc_s=None)
    assert isinstance(answer, Accepted)
    assert reason(decide(code(), utc_s=None, book=answer.book)) is Refusal.REPLAYED
    assert reason(decide(code(), utc_s=None, floor_utc_s=NOW_S + 3600)) is Refusal.EXPIRED


DAY_S, YEAR_2040_S = 86_400, 2_208_988_800


def test_a_phone_whose_clock_was_in_the_future_comes_in_again_once_the_door_knows_the_time():
    """One code of 2040 at a door without a clock used to make every right code Replayed, for good."""
    book = used(code(NOW_S + 100 * DAY_S), Book(), utc_s=None)
    assert reason(decide(code(), book=book, utc_s=None)) is Refusal.REPLAYED  # without a clock only what rises counts
    book = used(code(), book)
    assert reason(decide(code(), book=book)) is Refusal.REPLAYED
    assert isinstance(decide(code(NOW_S + 5), book=book), Accepted)


def test_a_code_from_the_future_that_was_used_does_not_open_when_its_time_comes_nor_do_older_films():
    ahead_s = NOW_S + 2 * 3600
    book = used(code(ahead_s), used(code(ahead_s - 20), Book(), utc_s=None), utc_s=None)
    book = used(code(), book)
    for filmed_s in (ahead_s - 20, ahead_s - 10, ahead_s):
        assert reason(decide(code(filmed_s), book=book, utc_s=ahead_s)) is Refusal.REPLAYED
    assert isinstance(decide(code(ahead_s + 5), book=book, utc_s=ahead_s), Accepted)


def test_a_door_without_a_clock_believes_no_code_from_more_than_its_longest_time_off():
    """The person is told at once that the phone's clock is wrong, and nothing is used up."""
    floor = {"utc_s": None, "floor_utc_s": float(NOW_S)}
    assert reason(decide(code(YEAR_2040_S), **floor)) is Refusal.NOT_YET_VALID
    assert isinstance(decide(code(NOW_S + 390 * DAY_S), **floor), Accepted)
    assert isinstance(decide(code(YEAR_2040_S), utc_s=None), Accepted)  # it has never known any time


def test_many_openings_without_a_clock_keep_a_short_record_and_none_opens_twice():
    book, steps = Book(), range(NOW_S - 500, NOW_S, 5)
    for made_s in steps:
        book = used(code(made_s), book, utc_s=None)
    assert len(next(iter(book.changes(Book()).values()))) < 40
    for made_s in steps:
        assert reason(decide(code(made_s), book=book, utc_s=made_s)) is Refusal.REPLAYED
        assert reason(decide(code(made_s), book=book, utc_s=None)) is Refusal.REPLAYED


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=30))
def test_no_step_opens_twice_whatever_the_doors_clock_does(shown: list[tuple[int, bool]]):
    book, opened = Book(), []
    for late, knows_time in shown:
        made_s = NOW_S + late * 5
        answer = decide(code(made_s), book=book, utc_s=made_s if knows_time else None)
        if isinstance(answer, Accepted):
            opened.append(late)
            book = kept(answer.book)
    assert len(opened) == len(set(opened))


def test_a_book_of_an_older_release_is_read_and_moved_to_facts_of_its_own():
    ref = reference(PHONE_PUBLIC).hex()
    step = (NOW_S + 100 * DAY_S) // 5
    facts = {"passes": {"steps": {ref: step, "x": "y"}, "uses": {"aa": 1}}, "mode": {"locked_down": True}}
    moved = moved_facts(facts)
    assert moved == {f"pass.step.{ref}": [-1, step], "pass.visit.aa": [1, 2**32 - 1], "passes": None}
    book = Book.from_facts({**facts, **moved})
    assert isinstance(decide(code(), book=book), Accepted)  # the phone that was locked out
    assert reason(decide(code(NOW_S + 100 * DAY_S), book=book, utc_s=NOW_S + 100 * DAY_S)) is Refusal.REPLAYED
    assert moved_facts({}) == {}


@pytest.mark.parametrize("fact", [None, [], [1.5], ["1"], [3, 2], {"a": 1}, [True], "rubbish", [1, [2]]])
def test_a_fact_that_is_none_is_left_out(fact):
    assert Book.from_facts({"pass.step.aa": fact, "pass.visit.bb": fact}) in (Book(), Book(visits={"bb": Visits(3, 2)}))


def test_each_fault_has_its_own_reason():
    stranger, _ = new_key()
    assert reason(decide(code(door="garden/gate-2"))) is Refusal.WRONG_DOOR
    assert (
        reason(decide(sign(stranger, phone_message(PHONE_PUBLIC, DOOR, NOW_S, b"nonce-01")))) is Refusal.BAD_SIGNATURE
    )
    assert reason(decide(code(), keys={})) is Refusal.UNKNOWN_KEY
    off = {reference(PHONE_PUBLIC): Key(PHONE_PUBLIC, "p-anna", enabled=False)}
    assert reason(decide(code(), keys=off)) is Refusal.REVOKED


def test_the_duress_variant_opens_and_says_so():
    answer = decide(code(duress=True))
    assert isinstance(answer, Accepted)
    assert answer.duress


def test_a_visitor_comes_in_as_often_as_the_pass_says():
    book = Book()
    for _ in range(2):
        answer = decide(visitor(uses=2), book=book)
        assert isinstance(answer, Accepted)
        assert answer.person_id is None
        book = answer.book
    assert reason(decide(visitor(uses=2), book=book)) is Refusal.USED_UP
    assert isinstance(decide(visitor(uses=0), book=book), Accepted)


def test_a_used_pass_is_not_good_again_however_many_others_come_and_is_forgotten_when_it_is_over():
    """2,001 other visitors used to make the first one's pass good again."""
    book = used(visitor(until_s=NOW_S + 3600), Book())
    others = {f"{n:016x}": Visits(1, NOW_S + 60) for n in range(5000)}
    book = replace(book, visits={**book.visits, **others})
    book = used(visitor(pass_id=b"visit-02"), book)
    assert reason(decide(visitor(until_s=NOW_S + 3600), book=book)) is Refusal.USED_UP
    later = decide(visitor(until_s=NOW_S + 3600, pass_id=b"visit-03"), book=book, utc_s=NOW_S + 61)
    assert set(later.book.visits) == {b"visit-01".hex(), b"visit-03".hex()}
    deleted = [name for name, value in later.book.changes(book).items() if value is None]
    assert len(deleted) == 5001
    assert reason(decide(visitor(until_s=NOW_S + 3600), book=later.book, utc_s=NOW_S + 61)) is Refusal.USED_UP


def test_a_full_book_refuses_a_new_limited_pass_rather_than_forgetting_one_and_unlimited_ones_need_no_place():
    book = Book(visits={f"{n:016x}": Visits(1, NOW_S + 60) for n in range(20_000)})
    assert decide(visitor(), book=book) == Rejected(Refusal.TOO_MANY_PASSES, pass_id=b"visit-01".hex())
    answer = decide(visitor(uses=0), book=book)
    assert isinstance(answer, Accepted)
    assert answer.book.changes(book) == {}


def test_a_refusal_names_the_pass_once_its_signature_holds():
    assert decide(visitor(until_s=NOW_S)).pass_id == b"visit-01".hex()
    assert decide(visitor(private=PHONE)).pass_id is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (visitor(doors=("garden/gate-2",)), Refusal.WRONG_DOOR),
        (visitor(from_s=NOW_S + 10, until_s=NOW_S + 20), Refusal.NOT_YET_VALID),
        (visitor(until_s=NOW_S), Refusal.EXPIRED),
        (visitor(private=PHONE), Refusal.BAD_SIGNATURE),
        (sign(PHONE, visitor_message(PHONE_PUBLIC, (), 0, 2**32 - 1, 0, b"visit-01")), Refusal.UNKNOWN_KEY),
        (sign(SITE, phone_message(SITE_PUBLIC, None, NOW_S, b"nonce-01")), Refusal.UNKNOWN_KEY),
        (sign(SITE, visitor_message(SITE_PUBLIC, (DOOR,), 0, 2**32 - 1, 0, b"v" * 8) + b"x"), Refusal.MALFORMED),
    ],
)
def test_a_visitor_pass_is_bounded_and_no_key_signs_the_other_kind(text: bytes, expected: Refusal):
    assert reason(decide(text)) is expected


def test_a_visitor_without_a_clock_stays_outside():
    assert reason(decide(visitor(), utc_s=None)) is Refusal.CLOCK_NOT_TRUSTED


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"A",
        b"' OR 1=1; DROP TABLE persons; --",
        b"$(reboot)",
        b"\x00" * 40,
        b"\xff\xfe\xfd",
        b":::",
        b"A" * 4096,
        b'{"a":' * 500,
        b"https://example.org/",
        base45_encode(b"\x01\x01" + b"\x00" * 95),
        base45_encode(b"\x01\x02" + b"\xff" * 300),
        base45_encode(b"\x09\x01" + b"\x00" * 95),
    ],
)
def test_the_corpus_of_bad_codes_opens_nothing(text: bytes):
    assert isinstance(decide(text), Rejected)


@given(st.binary(max_size=600))
def test_no_bytes_open_and_no_bytes_crash(text: bytes):
    assert isinstance(decide(text), Rejected)
    assert isinstance(decide(base45_encode(text)), Rejected)


@given(st.data())
def test_no_changed_bit_survives_the_signature(data: st.DataObject):
    raw = bytearray(base45_decode(code()))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(decide(base45_encode(bytes(raw))), Rejected)


@given(st.binary(max_size=200))
def test_base45_reads_back_what_it_wrote(data: bytes):
    assert base45_decode(base45_encode(data)) == data


def test_base45_agrees_with_the_examples_of_rfc_9285():
    assert base45_encode(b"AB") == b"BB8"
    assert base45_encode(b"Hello!!") == b"%69 VD92EX0"
    assert base45_decode(b"QED8WEX0") == b"ietf!"
    assert base45_decode(b"GGW") is None
