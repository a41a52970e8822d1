"""What the subcommands share: options that mean the same everywhere, and printing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agent.command_line import port

DEFAULT_CONFIG = "/etc/door-agent/door.toml"


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    *,
    config: bool = True,
    as_json: str = "print one JSON document instead of text",
) -> argparse.ArgumentParser:
    """A subcommand with --json and, where it reads one, --config."""
    parser = subparsers.add_parser(name, help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help=as_json)
    if config:
        parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Which device on the network, as which door of which site, with which bundle."""
    parser.add_argument("host", metavar="USER@HOST", help="for example pi@door-3.local")
    parser.add_argument("--site", required=True, type=Path, metavar="FILE", help="site.toml")
    parser.add_argument("--door", required=True, metavar="NAME", help="which [doors.NAME] of it this device is")
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE", help="default: the newest fitting one beside the site file"
    )
    parser.add_argument("--port", type=port, default=22, help="of SSH (default 22)")
    parser.add_argument("--identity", type=Path, metavar="FILE", help="SSH key; default: the site's installer key")


def print_json(value: Any) -> None:  # noqa: ANN401  JSON-shaped
    """One JSON document, readable in any language."""
    print(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True))
