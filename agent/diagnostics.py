"""How every part of this door is, for whoever asked for it by a signed order: words and numbers, nothing of people.

What is listed here and nothing else: a section that comes to the board later does not travel before somebody names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.core.events import Json

MAX_TEXT: Final = 200
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("software", "lock_type", "policy"),
    "clock": ("quality",),
    "door_state": ("mode", "lock", "contact", "relay", "fire", "tamper", "lockout_for_s", "indication"),
    "guard": ("up",),
    "link": ("up", "reason"),
    "queue": ("state", "depth", "bytes", "quota_used", "head_seq"),
    "roster": ("persons", "templates", "in_use", "ready", "refused", "enrol_again", "unreadable", "usable"),
    "store": ("state", "detail"),
    "vision": ("up", "engine", "missing", "camera_state", "fps", "gallery_templates"),
}


def diagnostics(board: Mapping[str, Any]) -> dict[str, Json]:
    """From the status board's snapshot: "part.fact" -> a word, a number, a flag or null. Facts not known are absent."""
    found: dict[str, Json] = {}
    for part, names in FIELDS.items():
        section = board if not part else board.get(part)
        for name in names:
            value = section.get(name) if isinstance(section, Mapping) else None
            if isinstance(value, bool | int | float):
                found[f"{part}.{name}".removeprefix(".")] = value
            elif isinstance(value, str) and value:
                found[f"{part}.{name}".removeprefix(".")] = value[:MAX_TEXT]
    return found
