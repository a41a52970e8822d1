"""The journal's row: its canonical form, its hash, its chain.

One rule lets anybody check a row without this code: take the row as a JSON object without its member `hash`, write it
in the canonical form of RFC 8785, and its SHA-256 is `hash`. `prev` is the hash of the row before it, so a row that is
changed, removed, added or moved breaks the chain at its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

GENESIS = "0" * 64
ROW_VERSION = 1
MAX_SAFE_INTEGER = 2**53 - 1
MAX_BODY_BYTES = 16 * 1024
COPY_OF = "copy_of"  # in a row's body: [epoch, seq, hash] of each earlier row that said the same
_COPIES = 4


class ClockQuality(StrEnum):
    """Where a row's wall time comes from, worst first."""

    NONE = "none"
    FLOOR = "floor"  # the clock was behind a time known to have passed; the row carries that time instead
    RTC = "rtc"
    NTP = "ntp"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `device` is site/door, `epoch` 32 hex digits, `seq` counts from 1 without a hole within the epoch.

    `boottime_ms` is CLOCK_BOOTTIME in the boot `boot_id`; `wall_ms` milliseconds since 1970 UTC, as good as `clock`
    says; `prev` and `hash` are 64 hex digits.
    """

    device: str
    epoch: str
    seq: int
    boot_id: str
    boottime_ms: int
    wall_ms: int
    clock: ClockQuality
    kind: str
    priority: int
    body: Mapping[str, Any]
    prev: str
    hash: str = ""


def canonical(value: object) -> str:
    """RFC 8785 text of a JSON value.

    Raises:
        ValueError: for what has no such form: NaN, infinity, integers beyond 2**53 - 1, keys that are not text,
            lone surrogates, other types.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        value.encode()  # a lone surrogate has no UTF-8 form: UnicodeEncodeError is a ValueError
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise ValueError("a JSON object's keys are text")
        keys = sorted(value, key=lambda k: k.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    raise ValueError(f"{type(value).__name__} has no JSON form")


def _number(value: float) -> str:
    """ECMAScript's shortest form; differs from Python's for integral floats and below 1e-4."""
    if not abs(value) <= MAX_SAFE_INTEGER:  # also true for NaN
        raise ValueError(f"{value} is not a number that every JSON reader keeps")
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits
    if int(exponent) < -6:  # noqa: PLR2004  ECMA-262, Number::toString
        return f"{digits}e{int(exponent)}"
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    return sign + "0." + "0" * (-int(exponent) - 1) + digits.replace(".", "")


def row_object(row: Row) -> dict[str, Any]:
    """The row as a JSON object, `hash` included; what travels and what is hashed."""
    return {
        "v": ROW_VERSION,
        "device": row.device,
        "epoch": row.epoch,
        "seq": row.seq,
        "boot_id": row.boot_id,
        "boottime_ms": row.boottime_ms,
        "wall_ms": row.wall_ms,
        "clock": str(row.clock),
        "kind": row.kind,
        "priority": row.priority,
        "body": row.body,
        "prev": row.prev,
        "hash": row.hash,
    }


def row_hash(row: Row) -> str:
    """SHA-256 over everything but `hash` itself."""
    bare = row_object(row)
    del bare["hash"]
    return hashlib.sha256(canonical(bare).encode()).hexdigest()


def sealed(row: Row) -> Row:
    """The row with its hash. Raises ValueError where the body has no canonical form."""
    return replace(row, hash=row_hash(row))


@dataclass(frozen=True, slots=True)
class Skipped:
    """Stands where rows `first` to `last` were folded or dropped under pressure, or can't be believed any more.

    `hash` is that of row `last`. The chained row that declares it (Journal/Folded or Journal/Tombstone) comes later, as
    number `declared` of this epoch, or of one that followed it.
    """

    first: int
    last: int
    hash: str
    declared: int


def copied_body(row: Row) -> Mapping[str, Any]:
    """The body of `row` for another chain, with the names that the row has had so far."""
    return {**row.body, COPY_OF: [*map(list, originals(row.body)), [row.epoch, row.seq, row.hash]][-_COPIES:]}


def originals(body: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Epoch, number and hash of the rows that a row says it is a copy of; what is not written so is left out."""
    names = body.get(COPY_OF)
    names = names if isinstance(names, list) else []
    return [tuple(n) for n in names[:_COPIES] if isinstance(n, list) and [type(v) for v in n] == [str, int, str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain stops being believable."""

    seq: int
    why: str


def check_chain(items: Iterable[Row | Skipped], seq: int, prev: str) -> Iterator[Fault]:
    """Walk the rows that should follow `seq` - 1 with hash `prev`; yields a fault for each break, in order."""
    for item in items:
        if isinstance(item, Skipped):
            if item.first != seq:
                yield Fault(min(seq, item.first), f"row {seq} is missing")
            seq, prev = item.last + 1, item.hash
            continue
        if item.seq != seq:
            yield Fault(min(seq, item.seq), f"row {seq} is missing, {item.seq} found in its place")
        elif item.prev != prev:
            yield Fault(item.seq, "does not follow the row before it")
        if row_hash(item) != item.hash:
            yield Fault(item.seq, "was changed after it was written")
        seq, prev = item.seq + 1, item.hash


def fitting_body(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body itself where it can be stored; else a note of what it was: a bad record must not cost the row."""
    try:
        size = len(canonical(body).encode())
    except (ValueError, RecursionError) as e:
        return {"unrepresentable": str(e)[:200], "was": ascii(body)[:1000]}
    return body if size <= MAX_BODY_BYTES else {"too_long_bytes": size, "was": ascii(body)[:1000]}
