"""door-agent update: another release on a door over SSH, judged there and taken back there if it is not well."""

from __future__ import annotations

import argparse
import sys

from agent.cli.common import add_command, add_device, print_json
from agent.cli.provision import Screen, ask


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers, "update", "Another release on a door over SSH; back by itself if ill.", config=False
    )
    add_device(parser)
    parser.add_argument("--now", action="store_true", help="even with somebody at the door: it is you")
    parser.add_argument("--allow-older", action="store_true", help="take a release older than the one that runs")


def run(arguments: argparse.Namespace) -> int:
    """0 the new release runs and is well; 1 or 9 refused or taken back, the door is as before; 3 the site file."""
    from deploy.provision.provision import Provision, Wish

    wish = Wish(
        host=arguments.host,
        site_file=arguments.site,
        door=arguments.door,
        port=arguments.port,
        bundle=arguments.bundle,
        identity=arguments.identity,
        now=arguments.now,
    )
    confirm = ask if sys.stdin.isatty() and not arguments.json else None
    try:
        done = Provision(wish, Screen(quiet=arguments.json).show, confirm).update(older=arguments.allow_older)
    except KeyboardInterrupt:
        sys.stderr.write("what the device has begun it ends by itself; the same command again says how\n")
        return 130
    end = done.outcome.end
    if arguments.json:
        print_json({key: value for key, value in end.items() if key != "t"})
    elif end["release"] == end["from"]:
        print(f"release {end['release']} runs here already: nothing was done")
    else:
        print(f"release {end['release']} runs and is well; the guard was away for {end['seconds_down']} s")
    return 0
