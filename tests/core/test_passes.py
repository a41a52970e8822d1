"""Codes held before the camera: one opening each, for one door, for a moment; hostile bytes open nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pass_codes import (
    DOOR,
    NOW_S,
    PHONE,
    PHONE_PUBLIC,
    SITE,
    SITE_PUBLIC,
    code,
    decide,
    kept,
    new_key,
    reason,
    sign,
    used,
    visitor,
)

from agent.core.pass_book import Book
from agent.core.passes import (
    MAX_AGE_S,
    MAX_AHEAD_S,
    Accepted,
    Key,
    Refusal,
    Rejected,
    base45_decode,
    base45_encode,
    phone_message,
    reference,
    visitor_message,
)


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
