"""Words for a configuration fault: file, line, key, value, what is allowed, and the key that was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import Any


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
        case _:
            said = "" if isinstance(value, dict) else f"is {value!r:.80}; "
            return f"{where}: {said}allowed: {_allowed(fault)}{_hint(model, keys)}"


def _allowed(fault: Any) -> str:
    message = str(fault["msg"])
    return message.removeprefix("Input should be ").removeprefix("a valid ")


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
        shared = len(path) if keys[: len(path)] == path else 0
        if shared > depth:
            best, depth = number, shared
    return best
