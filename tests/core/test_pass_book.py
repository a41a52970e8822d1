"""What a door remembers of used codes and passes: short, kept over a reboot, never forgotten too early."""

from dataclasses import replace

import pytest
from pass_codes import NOW_S, PHONE_PUBLIC, code, decide, reason, used, visitor

from agent.core.pass_book import Book, Visits, moved_facts
from agent.core.passes import Accepted, Refusal, Rejected, reference

DAY_S = 86_400


def test_many_openings_without_a_clock_keep_a_short_record_and_none_opens_twice():
    book, steps = Book(), range(NOW_S - 500, NOW_S, 5)
    for made_s in steps:
        book = used(code(made_s), book, utc_s=None)
    assert len(next(iter(book.changes(Book()).values()))) < 40
    for made_s in steps:
        assert reason(decide(code(made_s), book=book, utc_s=made_s)) is Refusal.REPLAYED
        assert reason(decide(code(made_s), book=book, utc_s=None)) is Refusal.REPLAYED


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
