"""Which face network a door uses: the one that its people are enrolled with, as long as it is here.

Templates of two networks cannot be compared. A better network that is added to a device must not make strangers of the
people who live there, so it waits until nobody is enrolled with another, or until `faces.network` names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Network: TypeAlias = tuple[str, str]  # model and alignment id


def to_use(enrolled: Mapping[Network, int], here: Sequence[Network]) -> Network | None:
    """Of the networks here (best first) the one with most people; the best where nobody is enrolled with any."""
    return max(here, key=lambda one: enrolled.get(one, 0), default=None)


def named(network: Network) -> str:
    """For messages."""
    return "/".join(network)
