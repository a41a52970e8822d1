"""What the subcommands share: options that mean the same everywhere, and printing."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

DEFAULT_CONFIG = "/etc/door-agent/door.toml"


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, *, config: bool = True
) -> argparse.ArgumentParser:
    """A subcommand with --json and, where it reads one, --config."""
    parser = subparsers.add_parser(name, help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    if config:
        parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    return parser


def print_json(value: Any) -> None:  # noqa: ANN401  JSON-shaped
    """One JSON document, readable in any language."""
    print(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `do_this` is empty when it is well."""

    name: str
    ok: bool
    found: str
    expected: str
    do_this: str = ""
