"""The link to the broker: publishes the journal, delivers commands. The only file of the agent that imports paho."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.outbox import Outbox


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the broker is and who this door is. `server_key` is the server's public Ed25519 key, PEM."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    server_key: Path
    site: str
    door: str
    first_connect_spread_s: float = 0.0


class MqttLink:
    """One connection, kept up in the background."""

    def __init__(self, settings: LinkSettings, post: Callable[[object], None], outbox: Outbox) -> None:
        self._settings, self._post, self._outbox = settings, post, outbox

    def start(self) -> None:
        """Begin connecting in the background. Raises LinkError when a key or certificate file is unusable."""
        raise NotImplementedError

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Publish (retained) on up/state, now if connected and after every reconnect; only the newest is kept."""
        raise NotImplementedError

    def reply(self, correlation: bytes | None, reply: Mapping[str, Any]) -> None:
        """Answer a command on up/reply. Dropped when the link is down: a late answer is worth nothing."""
        raise NotImplementedError

    def enabled(self, *, on: bool) -> None:
        """Switch the link off (clean disconnect) or on again."""
        raise NotImplementedError

    def stop(self, timeout_s: float = 5.0) -> None:
        """Disconnect and end the thread. Idempotent."""
        raise NotImplementedError
