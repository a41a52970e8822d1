"""The `door-agent` command: finds the subcommand, turns errors a person can mend into one message and an exit code."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from agent.command_line import Parser, ended, own_streams

# name of the subcommand -> module with add_parser(subparsers) and run(arguments) -> exit code
COMMANDS = ("run", "demo", "check_config", "enroll", "events", "doctor", "relay_off", "console")
MORE_COMMANDS = ("roster", "models", "evaluate", "bench", "explain", "calibrate", "replay")
DEPLOY_COMMANDS = ("provision", "update", "bundle", "site", "support_bundle")
ALL_COMMANDS = (*COMMANDS, *MORE_COMMANDS, *DEPLOY_COMMANDS)

EXIT_CODES = """\
exit codes:
  0  done
  1  something failed; the message says what to do
  2  the command line is wrong
  3  the configuration is wrong
  4  a database file cannot be used
  5  a camera, GPIO chip or line is missing or busy
  6  face model files are missing or wrong
  7  a picture cannot be used
  8  the server or the broker cannot be reached or refuses this device
  9  a device cannot be reached, is not the one that was pinned, or cannot be set up
  130  stopped by Ctrl-C or SIGTERM
"""


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or only one subcommand of it: a door's daemon must not wait for the demo's imports."""
    parser = Parser(
        prog="door-agent",
        description="Opens a building's door for its residents and accounts for every event.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"door-agent {release()}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ALL_COMMANDS if only is None else (only,):
        importlib.import_module(f"agent.cli.{name}").add_parser(subparsers)
    return parser


def release() -> str:
    """This release's version, or 'unreleased' in a tree that was never installed."""
    try:
        return version("door-agent")
    except PackageNotFoundError:
        return "unreleased"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns its exit code; errors that are a person's to mend become one message."""
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0].replace("-", "_") if words else ""
    if argv is None:
        own_streams(words)
        if first != "run":  # stopped by either signal it puts away what it made; a daemon has its own way
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    return ended("door-agent", words, lambda: _run(first, words))


def _run(first: str, words: Sequence[str]) -> int:
    parser = make_parser(first if first in ALL_COMMANDS else None)
    arguments, strange = parser.parse_known_args(words)
    if strange:
        parser.error(f"{' '.join(strange)}: not known here; see door-agent {arguments.command} --help")
    module = importlib.import_module(f"agent.cli.{arguments.command.replace('-', '_')}")
    return int(module.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
