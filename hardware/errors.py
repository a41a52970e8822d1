"""Errors of the hardware: each message is complete, says what was found and what to do, and needs no traceback.

The second parent is the builtin a caller would expect, so `except OSError` around a device works too.
"""

from __future__ import annotations


class HardwareError(Exception):
    """Base of all errors of this package: a person mends them (wiring, rights, settings)."""

    exit_code = 5  # of the command that ends with it


class SettingsError(HardwareError, ValueError):
    """A setting says something that this hardware cannot do, or that is not safe."""

    exit_code = 3


class ChipError(HardwareError, OSError):
    """The GPIO chip is missing, not ours to open, or its library is unfit."""


class LineError(HardwareError, OSError):
    """One GPIO line is missing, taken by somebody else, or does not follow."""


class CameraError(HardwareError, OSError):
    """A camera is missing, busy, or its source is not understood."""


class SocketError(HardwareError, ConnectionError):
    """A local socket cannot be made or reached, or the process behind it is not one that is allowed."""


class PeerGoneError(SocketError):
    """The other end closed the connection or died."""
