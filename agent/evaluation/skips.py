"""What of a data folder is not used, and why: counted, with examples, so that no figure hides what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

_EXAMPLES: Final = 3


@dataclass(slots=True)
class Skipped:
    """Filled while the folder is read and looked at."""

    _found: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, part: str, why: str, what: object) -> None:
        """One thing (a picture, a line, a person) of one set that is not used."""
        self._found.setdefault((part, why), []).append(str(what))

    def rows(self) -> list[dict[str, Any]]:
        """For the report: set, why, how many, and the first few."""
        return [
            {"set": part, "why": why, "count": len(each), "examples": each[:_EXAMPLES]}
            for (part, why), each in sorted(self._found.items())
        ]
