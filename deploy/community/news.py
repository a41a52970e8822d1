"""What just happened, for whoever watches: the page's feed, the publisher of rosters, the commander, Home Assistant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

SERVER: Final = "server"  # instead of a door: an alarm of the server's own, and its link to the broker


@dataclass(frozen=True, slots=True)
class News:
    """`kind` is event, preview, alarm, state, hello, reply, order or link; `device` is site/door, or SERVER.

    `what` is JSON-shaped, of checked and bounded values, and made anew for each. `kept`: said some time ago.
    `late`: an event of some time ago, which the door was kept from sending.
    """

    kind: str
    device: str
    what: dict[str, Any]
    kept: bool = False
    late: bool = False
