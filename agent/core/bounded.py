"""Bounded JSON messages: a frozen dataclass whose fields are `Annotated[type, check]` is read once, or refused.

A check takes a JSON value and gives back what the field holds, or raises BadValueError with words that follow the
field's name. An unknown or missing key is refused like a bad value.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar, get_type_hints

from agent.core.events import Json

Check: TypeAlias = Callable[[object], Any]
T = TypeVar("T")

NAME: Final = r"[a-z0-9][a-z0-9-]{0,62}"  # of a site, a door or a server, as certificates, topics and folders have it
DEVICE: Final = f"{NAME}/{NAME}"  # a door with its site


class BadValueError(ValueError):
    """A value that a check refuses."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that is not taken. `reason` names the key and what is wrong with it."""

    reason: str


def text(limit: int) -> Check:
    """Text of at most `limit` characters, each of which UTF-8 can write."""

    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise BadValueError(f"must be text of at most {limit} characters")
        if not value.isascii() and any(
            "\ud800" <= letter <= "\udfff" for letter in value
        ):  # JSON can say it, UTF-8 and a digest can't
            raise BadValueError("holds half a character")
        return value

    return check


def integer(low: int, high: int) -> Check:
    """A whole number within the bounds, no bool."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise BadValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """A finite number within the bounds, no bool."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BadValueError("must be a number")
        if not low <= value <= high:  # false for NaN too
            raise BadValueError(f"must be from {low:g} to {high:g}")
        return float(value)

    return check


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadValueError("must be true or false")
    return value


def word(*words: str) -> Check:
    """One of these words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise BadValueError(f"must be one of {', '.join(words)}")
        return value

    return check


def enum(kind: type[StrEnum]) -> Check:
    """A member of the enum, by its value."""
    return lambda value: kind(word(*kind)(value))


def base64_bytes(limit: int) -> Check:
    """At most `limit` bytes, written as base64."""

    def check(value: object) -> bytes:
        if not isinstance(value, str) or len(value) > (limit + 2) // 3 * 4:
            raise BadValueError(f"must be base64 of at most {limit} bytes")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadValueError("is not base64") from error

    return check


def optional(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value: None if value is None else check(value)


def rows(check: Check, limit: int) -> Check:
    """A list of at most `limit` values, each taken by `check`; read as a tuple."""

    def check_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > limit:
            raise BadValueError(f"must be a list of at most {limit}")
        return tuple(check(row) for row in value)

    return check_all


def numbers(count: int, low: float, high: float) -> Check:
    """A list of exactly `count` numbers within the bounds; read as a tuple."""

    def check(value: object) -> tuple[float, ...]:
        read: tuple[float, ...] = rows(number(low, high), count)(value)
        if len(read) != count:
            raise BadValueError(f"must be {count} numbers")
        return read

    return check


def json_object(limit: int) -> Check:
    """A JSON object of at most `limit` bytes as text."""

    def check(value: object) -> Mapping[str, Json]:
        if not isinstance(value, dict) or len(json.dumps(value)) > limit:
            raise BadValueError(f"must be an object of at most {limit} bytes")
        return value

    return check


def part(kind: type[Any]) -> Check:
    """An object that reads as this dataclass."""

    def check(value: object) -> object:
        if not isinstance(value, dict):
            raise BadValueError("must be an object")
        return _read(kind, value)

    return check


def parse(message: Mapping[str, Any], kinds: Mapping[str, type[T]]) -> T | Rejected:
    """The message as the class that its "type" names, or why not."""
    name = message.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        return Rejected("type: not a message of this direction")
    try:
        return _read(kind, {key: value for key, value in message.items() if key != "type"})
    except BadValueError as error:
        return Rejected(f"{name}: {error}")


def written(value: Any) -> Any:  # noqa: ANN401  JSON-shaped
    """JSON-shaped: what `parse` reads back as an equal value."""
    if is_dataclass(value):
        return {one.name: written(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [written(one) for one in value]
    return value


@cache
def _checks(kind: type[Any]) -> dict[str, Check]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: hints[one.name].__metadata__[0] for one in fields(kind)}


def _read(kind: type[T], given: Mapping[str, object]) -> T:
    checks = _checks(kind)  # type: ignore[arg-type]  # a class is hashable, mypy does not see it here
    if strange := given.keys() ^ checks.keys():
        raise BadValueError(f"keys unknown or missing: {', '.join(sorted(strange))[:100]}")
    values = {}
    for name, check in checks.items():
        try:
            values[name] = check(given[name])
        except BadValueError as error:
            raise BadValueError(f"{name} {error}") from None
    return kind(**values)
