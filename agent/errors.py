"""Errors a person can act on: each says whose fault it is and what to do, and carries the command's exit code."""

from __future__ import annotations


class DoorAgentError(RuntimeError):
    """Base of every error that is a person's to mend. Shown as one message, never as a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class ConfigError(DoorAgentError, ValueError):
    """The configuration file is missing, unreadable or says something that is not allowed."""

    exit_code = 3


class StoreError(DoorAgentError, OSError):
    """A database file is missing, damaged, locked, full or of a version this release cannot read."""

    exit_code = 4


class HardwareMissingError(DoorAgentError, OSError):
    """A camera, GPIO chip or line is missing, busy or not answering."""

    exit_code = 5


class PictureError(DoorAgentError, ValueError):
    """A picture given by a person cannot be used (no face, several faces, too large, not a picture)."""

    exit_code = 7


class LinkError(DoorAgentError, ConnectionError):
    """The server or the broker cannot be reached or refuses this device."""

    exit_code = 8
