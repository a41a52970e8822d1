"""door-agent run: the daemon of one door."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time

from agent.cli.common import add_command


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    words = "Run this door until SIGTERM (systemd starts it; guard and vision run beside it)."
    add_command(subparsers, "run", words, as_json="also that it runs as a JSON line; rows of the journal always are")


def run(arguments: argparse.Namespace) -> int:
    """0 stopped as asked; 3 to 8: could not start, the message says why."""
    from agent.app import DoorAgent
    from agent.cli.main import release
    from agent.config import load

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config = load(arguments.config)
    with DoorAgent(config, release()) as agent:
        line = {"state": "running", "door": f"{config.door.site}/{config.door.id}", "at_s": time.monotonic()}
        print(json.dumps(line) if arguments.json else f"door {line['door']}: running", flush=True)
        agent.run()
    return 0
