"""One line of a report: what was looked at, what was found and expected, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`do_this` is empty when it is well."""

    name: str
    ok: bool
    found: str
    expected: str
    do_this: str = ""
