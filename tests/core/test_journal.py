"""The journal's row: canonical form, hash, chain."""

import json
import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.journal import (
    GENESIS,
    MAX_BODY_BYTES,
    ClockQuality,
    Row,
    Skipped,
    canonical,
    check_chain,
    fitting_body,
    row_hash,
    row_object,
    sealed,
)

FIELDS = ("device", "epoch", "seq", "boot_id", "boottime_ms", "wall_ms", "clock", "kind", "priority", "body")


def chain(count: int) -> list[Row]:
    rows, prev = [], GENESIS
    for seq in range(1, count + 1):
        rows.append(
            sealed(Row("s/d", "e" * 32, seq, "boot", seq, 1000 + seq, ClockQuality.NTP, "K", 1, {"n": seq}, prev))
        )
        prev = rows[-1].hash
    return rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # from RFC 8785's own examples and ECMA-262's Number::toString
        (333333333.33333329, "333333333.3333333"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (0.000000000000000000000000001, "1e-27"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-5, "0.000015"),
        (-1.5e-7, "-1.5e-7"),
        (-0.0, "0"),
        (56.0, "56"),
        (9007199254740991, "9007199254740991"),
        ('\u20ac$\u000f\nA\'B"\\\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        (
            {"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\ufb33": 5},
            '{"\\r":2,"1":3,"\u20ac":1,"\U0001f600":4,"\ufb33":5}',
        ),
        ([True, None, False, {}], "[true,null,false,{}]"),
    ],
)
def test_canonical_form_is_that_of_rfc_8785(value, text):
    assert canonical(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-(2**53) + 1, max_value=2**53 - 1))
def test_a_canonical_number_reads_back_as_itself(value):
    assert struct.pack("d", float(json.loads(canonical(value)))) == struct.pack("d", value + 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, 1e300, {1: 2}, b"x", "\ud800", {"a": object()}])
def test_what_other_readers_would_change_has_no_canonical_form(value):
    with pytest.raises(ValueError):  # noqa: PT011  UnicodeEncodeError is one too, each with its own words
        canonical(value)


def test_a_row_survives_the_wire_with_its_hash():
    row = chain(1)[0]
    read = json.loads(json.dumps(row_object(row)))
    assert {**read, "hash": None} == {**row_object(row), "hash": None}
    fields = [read[k] for k in (*FIELDS, "prev")]
    assert row_hash(Row(*fields)) == row.hash


@given(st.integers(0, 9), st.sampled_from([*FIELDS, "prev"]))
def test_every_field_of_a_row_is_under_the_hash(at, name):
    row = chain(10)[at]
    other = {"seq": 99, "boottime_ms": 0, "wall_ms": 0, "priority": 3, "body": {"n": 0}, "clock": ClockQuality.NONE}
    assert row_hash(replace(row, **{name: other.get(name, "f" * 32)})) != row.hash


def test_the_chain_names_the_first_row_that_was_changed_removed_or_moved():
    rows = chain(6)
    changed = [*rows[:2], replace(rows[2], body={"n": 0}), *rows[3:]]
    removed = [*rows[:2], *rows[3:]]
    moved = [rows[0], rows[2], rows[1], *rows[3:]]
    firsts = [next(iter(check_chain(r, 1, GENESIS))).seq for r in (changed, removed, moved)]
    assert firsts == [3, 3, 2]
    assert list(check_chain(rows, 1, GENESIS)) == []


def test_a_declared_hole_keeps_the_chain_and_an_undeclared_one_does_not():
    rows = chain(6)
    assert list(check_chain([*rows[:2], Skipped(3, 4, rows[3].hash, 9), *rows[4:]], 1, GENESIS)) == []
    assert next(iter(check_chain([*rows[:2], Skipped(4, 4, rows[3].hash, 9), *rows[4:]], 1, GENESIS))).seq == 3


def test_a_body_that_cannot_be_stored_costs_a_note_and_not_the_row():
    assert "unrepresentable" in fitting_body({"x": math.nan})
    assert fitting_body({"x": "y" * MAX_BODY_BYTES})["too_long_bytes"] > MAX_BODY_BYTES
    assert fitting_body({"x": 1}) == {"x": 1}
