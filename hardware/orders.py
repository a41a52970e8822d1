"""What the agent may order of the guard, as it arrives: checked before the reflexes see it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware.reflex import MAX_LEASE_S, Ordered

MAX_ID_CHARS = 80
_MAX_LEASE_MS = round(MAX_LEASE_S * 1000)


def release_ordered(terms: Mapping[Any, Any]) -> Ordered | None:
    """What a message of type release orders by its other keys, or None for one that is out of bounds."""
    lease_ms, id_ = terms.get("lease_ms"), terms.get("id")
    hold, until_s = terms.get("hold", False), terms.get("until_s", float("inf"))
    echo = terms.get("echo", False)
    if (
        type(lease_ms) is not int
        or not 0 < lease_ms <= _MAX_LEASE_MS
        or not isinstance(hold, bool)
        or not isinstance(echo, bool)
    ):
        return None
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_CHARS or type(until_s) not in (int, float):
        return None
    return Ordered(id_, lease_ms / 1000, hold, until_s, echo)
