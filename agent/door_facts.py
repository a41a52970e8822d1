"""What the controller's helpers know of the door from the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.vision_messages import Settings


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """What does not change while the agent runs."""

    door: str  # "site/id"
    timezone: str
    high_security: bool
    pass_keys: list[bytes]
    stored: Mapping[str, Any]  # what the journal kept over the restart
    vision: Settings
    preview: bool
    has_server: bool
    lease_s: float
    release: str = "unreleased"  # the one that runs, as its folder is named
