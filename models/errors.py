"""What can be wrong with model files and with pictures handed in; each message says whose fault and what next."""

from __future__ import annotations


class ModelError(RuntimeError):
    """Base of everything this package raises on purpose."""


class ModelFileError(ModelError, LookupError):
    """A weight file is missing, damaged, not the one the manifest names, or cannot be fetched."""


class PictureUnusableError(ModelError, ValueError):
    """A picture handed in cannot be used. `picture` names it, `reason` is one short word group for machines."""

    def __init__(self, message: str, *, picture: str, reason: str) -> None:
        super().__init__(message)
        self.picture = picture
        self.reason = reason


class TemplateMixError(ModelError, TypeError):
    """Vectors of different networks or alignments were about to be compared: their distances mean nothing."""
