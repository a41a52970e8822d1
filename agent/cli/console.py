"""door-agent console: a link that signs one browser in at the door's page, for whoever may read the door's files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent.cli.common import add_command, print_json
from agent.clock import SystemClock
from agent.config import load
from agent.console.entry import LINK_S, SESSION_S, ConsoleKey
from agent.console.server import link
from agent.errors import ConfigError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    add_command(subparsers, "console", "Print a one-time link to the page at this door (with sudo).")


def run(arguments: argparse.Namespace) -> int:
    """0, once the person has ended it: in a terminal it waits, so that the SSH tunnel that it was called through stays.

    Raises:
        ConfigError: the door has no console, or this user may not read its key.
    """
    config = load(Path(arguments.config))
    if config.console is None:
        raise ConfigError(f"{arguments.config}: has no [console]; add it with a port, and restart door-agent")
    key = ConsoleKey.read(Path(config.store.state_dir), SystemClock())
    address = link(f"http://127.0.0.1:{config.console.port}/", key)
    if arguments.json:
        print_json({"link": address, "within_s": LINK_S})
        return 0
    how = (
        f"open this within {LINK_S / 60:g} minutes, once; that browser then stays signed in for {SESSION_S / 3600:g} h"
    )
    sys.stdout.write(f"{how}:\n\n  {address}\n\n")
    if sys.stdin.isatty():
        sys.stdout.write("keep this terminal open while you use the page through it (Enter ends it)\n")
        sys.stdout.flush()
        sys.stdin.readline()
    return 0
