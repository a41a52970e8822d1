"""door-agent check-config: is this configuration file right?"""

from __future__ import annotations

import argparse

from agent.cli.common import add_command, print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    add_command(subparsers, "check-config", "Check a configuration file: keys, bounds, pins used twice.")


def run(arguments: argparse.Namespace) -> int:
    """0 right, 3 wrong (each fault with file, line, key, value and what is allowed)."""
    from agent.config import load

    config = load(arguments.config)
    if arguments.json:
        print_json({"ok": True, "config": config.model_dump()})
    else:
        door = config.door
        print(
            f"{arguments.config}: right. Door {door.id} of {door.site}, {door.lock_type}, camera {config.camera.source}"
        )
    return 0
