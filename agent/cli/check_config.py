"""door-agent check-config: is this configuration file right?"""

from __future__ import annotations

import argparse

from agent.cli.common import add_command, print_json
from hardware.address import without_login


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "check-config", "Check a configuration file: keys, bounds, pins used twice.")
    parser.add_argument(
        "--camera-network",
        action="store_true",
        help="print the drop-in for door-vision that a network camera needs, and nothing else (systemd/README.md)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 right, 3 wrong (each fault with file, line, key, value and what is allowed)."""
    from agent.config import load

    config = load(arguments.config)
    camera = without_login(config.camera.source)
    if arguments.camera_network:
        from deploy.device.camera_network import drop_in

        text = drop_in(config.camera.source)
        print_json({"drop_in": text}) if arguments.json else print(text, end="")
    elif arguments.json:
        shown = config.model_dump()
        shown["camera"]["source"] = camera
        print_json({"ok": True, "config": shown})
    else:
        door = config.door
        print(f"{arguments.config}: right. Door {door.id} of {door.site}, {door.lock_type}, camera {camera}")
    return 0
