"""The door's page of this agent: what it may see and ask, and opening it where the configuration wants one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import Clock
from agent.config import Config
from agent.core.events import Kind, Priority, Record
from agent.enrolment import REQUESTS, ConsoleAsked
from agent.errors import ConfigError
from agent.status import StatusBoard
from agent.withdrawal_desk import WITHDRAW

if TYPE_CHECKING:
    from agent.console.server import Console


class ConsoleSource:
    """What the page may see and ask. Called from its threads; everything asked goes through the mailbox (`post`)."""

    def __init__(self, board: StatusBoard, post: Callable[[ConsoleAsked], None]) -> None:
        self._post = post
        self.snapshot = board.snapshot
        self.wait = board.wait
        self.picture = board.picture
        self.wait_picture = board.wait_picture

    def act(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Ask the controller; its answer shows in the snapshot."""
        if name not in {*REQUESTS, WITHDRAW, "relay_test"}:
            return {"ok": False, "why": f"{name} is not something this door can be asked"}
        self._post(ConsoleAsked(name, arguments))
        return {"ok": True}


def open_console(
    config: Config,
    board: StatusBoard,
    post: Callable[[ConsoleAsked], None],
    write: Callable[[Record], None],
    clock: Clock,
) -> Console | None:
    """The page, started; None where none is asked for, or where it cannot be: a door goes on without, and says so."""
    if config.console is None:
        return None
    from agent.console.entry import ConsoleKey
    from agent.console.server import Console, ConsoleSettings

    try:
        key = ConsoleKey.made(Path(config.store.state_dir), clock)
        settings = ConsoleSettings(config.console.port, key, clock, frame_ancestors=config.console.frame_ancestors)
        console = Console(settings, ConsoleSource(board, post))
        console.start()
    except (ConfigError, OSError) as e:
        logging.getLogger(__name__).warning("no console: %s", e)
        write(Record(Kind.UNEXPECTED, {"event": "Console", "reason": str(e)}, Priority.HIGH))
        return None
    return console
