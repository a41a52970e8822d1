"""door-agent relay-off: drop the relay and let go of it, whatever happened before."""

from __future__ import annotations

import argparse

from agent.cli.common import add_command, print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    add_command(subparsers, "relay-off", "Drop the relay line now and exit (systemd calls it after the guard stopped).")


def run(arguments: argparse.Namespace) -> int:
    """0 dropped; 3 wrong configuration; 5 the line cannot be had (another process still holds it)."""
    from hardware.relay_off import drop
    from hardware.settings import load_settings

    drop(load_settings(arguments.config))
    if arguments.json:
        print_json({"ok": True, "relay": "dropped"})
    else:
        print("relay: dropped")
    return 0
