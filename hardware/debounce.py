"""What is believed of an input line: its level, once it has stood long enough. Pure, for the reflexes."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Line:
    """One input: the last level seen and since when, and what is believed after debouncing."""

    raw: bool
    raw_since_s: float
    active: bool
    active_since_s: float


def first_seen(name: str, raw: bool, now_s: float) -> Line:  # noqa: FBT001  a level
    """A line is believed as it is found, so that a stuck exit button does not open the door at every start.

    Only fire begins inactive: found active, it becomes active after its debounce time, as an edge would.
    """
    return Line(raw, now_s, active=raw and name != "fire", active_since_s=now_s)


def debounced(line: Line, raw: bool, now_s: float, debounce_s: float) -> Line:  # noqa: FBT001  a level
    """The line after this level at `now_s`: believed once it has stood for `debounce_s`."""
    if raw != line.raw:
        line = replace(line, raw=raw, raw_since_s=now_s)
    if raw != line.active and now_s - line.raw_since_s >= debounce_s:
        line = replace(line, active=raw, active_since_s=now_s)
    return line
