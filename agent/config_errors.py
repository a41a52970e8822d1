"""Words for a configuration fault: file, line, key, value, what is allowed, and the key that was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import Any

from agent.config_section import SAID
from hardware.address import without_login

_MOST_CHARS = 80


def explain(model: Any, name: str, text: str, fault: Any) -> str:
    """One line for one fault that pydantic found in `text` (TOML), for a configuration of type `model`."""
    keys = [str(k) for k in fault["loc"]]
    dotted = ".".join(keys) or "the whole file"
    where = f"{name}:{line_of(text, keys)}: {dotted}"
    value = fault.get("input")
    match fault["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key; remove it or correct its spelling{_nearest(model, keys)}"
        case "missing":
            return f"{where}: is required and missing{_hint(model, keys)}"
        case "value_error":
            return f"{where}: {fault['ctx']['error']}"
        case "model_type" | "dict_type":
            return f"{where}: is {_shown(value)}; allowed: a section, [{dotted}]"
        case "string_pattern_mismatch":
            pattern, hint = fault["ctx"]["pattern"], _hint(model, keys)
            words = f"{SAID[pattern]}{hint}" if pattern in SAID else hint.strip(" ()") or pattern
            return f"{where}: is {_shown(value)}; allowed: {words}"
        case _:
            said = "" if isinstance(value, dict) else f"is {_shown(value)}; "
            return f"{where}: {said}allowed: {_allowed(fault)}{_hint(model, keys)}"


def _shown(value: object) -> str:
    """A value as somebody wrote it; messages go to the log."""
    return without_login(repr(value))[:_MOST_CHARS]


def _allowed(fault: Any) -> str:
    message = str(fault["msg"])
    return message.removeprefix("Input should be ").removeprefix("String should have ").removeprefix("a valid ")


def _field(model: Any, keys: list[str]) -> Any | None:
    for key in keys[:-1]:
        model = _section(model, key)
    return getattr(model, "model_fields", {}).get(keys[-1]) if keys else None


def _section(model: Any, key: str) -> Any | None:
    field = getattr(model, "model_fields", {}).get(key)
    kinds = getattr(field.annotation, "__args__", (field.annotation,)) if field else ()
    return next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


def _hint(model: Any, keys: list[str]) -> str:
    field = _field(model, keys)
    return f" ({field.description})" if field is not None and field.description else ""


def _nearest(model: Any, keys: list[str]) -> str:
    for key in keys[:-1]:
        model = _section(model, key)
    known = list(getattr(model, "model_fields", {}))
    close = difflib.get_close_matches(keys[-1], known, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (known here: {', '.join(known)})" if known else ""


def line_of(text: str, keys: list[str]) -> int:
    """The line (from 1) where a dotted key is set, or of the nearest table that holds it, or 1."""
    best, table = 1, list[str]()
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+\s*(#.*)?$", line)
        if header:
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            path = table
        else:
            pair = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
            if not pair:
                continue
            path = table + [part.strip().strip("\"'") for part in pair[1].split(".")]
        shared = min(len(path), len(keys))
        if path[:shared] == keys[:shared] and shared > depth:  # of a table that only its parts name: the first of them
            best, depth = number, shared
    return best
