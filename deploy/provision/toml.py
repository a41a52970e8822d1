"""Writing TOML: tables of tables of plain values, which is all that a door's configuration has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def dump(value: Mapping[str, Any]) -> str:
    """The text; reading it back gives an equal value."""
    return "\n".join(_table(value, ())) + "\n"


def _table(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path and any(not isinstance(v, Mapping) for v in value.values()):
        yield f"\n[{'.'.join(path)}]"
    for key, item in value.items():
        if not isinstance(item, Mapping):
            yield f"{key} = {_plain(item)}"
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _table(item, (*path, key))


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return repr(value)
