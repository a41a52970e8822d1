"""The roster on its way: differences, digests, messages of bounded size, words of any shape."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import roster_feed
from agent.core.bounded import Rejected
from agent.core.roster_feed import Head, Part, Put, cut

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SETS = st.dictionaries(st.tuples(st.sampled_from(roster_feed.KINDS), WORDS), WORDS, max_size=6)


@settings(max_examples=100, deadline=None)
@given(SETS, SETS)
def test_the_difference_leads_from_one_set_to_the_other_and_digests_are_equal_only_then(before: dict, after: dict):
    assert roster_feed.applied(before, roster_feed.difference(before, after)) == after
    assert (roster_feed.digest(before) == roster_feed.digest(after)) is (before == after)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["part", "head", "put"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["type", "revision", "base", "digest", "operations", "kind", "id", "body"]), inner, max_size=8),
    max_leaves=12).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_signed_words_of_any_shape_are_read_or_rejected_never_a_crash(words: bytes):
    assert isinstance(roster_feed.read(words), Head | Part | Rejected)


def test_cutting_keeps_every_operation_in_order_and_every_message_below_the_bound():
    put = [Put("person", f"p-{n}", '{"x":"' + "y" * 3000 + '"}') for n in range(300)]
    blank = Part(1, None, "0" * 64, "s", 1, 1, ())
    parts = cut(blank, put)
    assert [one for part in parts for one in part.operations] == put
    assert {part.parts for part in parts} == {len(parts)}
    assert cut(blank, [])[0].operations == ()
