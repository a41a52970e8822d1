"""door-agent models: which face networks are on this machine, and how to get the others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agent.cli.common import add_command, print_json
from agent.errors import DoorAgentError

_ACTIONS = (
    "list: every network, whether its files are here, and their addresses; verify: the same, exit 6 if one has the "
    "wrong bytes; add: copy files from a folder (a USB stick), checked; pull: fetch the recommended ones, or those "
    "named, from their publishers, checked"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers, "models", "List, verify, add or pull the files of the face networks.", config=False
    )
    parser.add_argument("action", choices=("list", "verify", "add", "pull"), help=_ACTIONS)
    parser.add_argument(
        "what", nargs="*", metavar="FOLDER|NAME", help="add: the folder; pull: names, default: recommended ones"
    )
    parser.add_argument("--weights", type=Path, default=None, help="folder that holds the files")


def run(arguments: argparse.Namespace) -> int:
    """0 done; 6 a file is missing, wrong or cannot be had."""
    from models.store import Store

    store = Store(arguments.weights)
    if arguments.action in ("add", "pull"):
        names = store.add(Path(_one(arguments.what))) if arguments.action == "add" else store.pull(arguments.what)
        if arguments.json:
            print_json({"installed": names})
        else:
            print("\n".join(f"installed {name}" for name in names) or "nothing to do: everything is here")
        return 0
    found = store.verify()
    rows: list[dict[str, Any]] = [
        {
            "name": s.entry.name,
            "part": str(s.entry.part),
            "state": s.state,
            "licence": s.entry.licence,
            "detail": s.detail,
            "publisher": s.entry.publisher,
            "files": [
                {
                    "name": file.name,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "address": file.url or f"Python package {file.package}",
                }
                for file in s.entry.files
            ],
        }
        for s in found
    ]
    if arguments.json:
        print_json({"models": rows})
    else:
        for row in rows:
            print(f"{row['state']:8} {row['name']:24} {row['part']:10} {row['licence']:12} {row['detail']}")
            print("\n".join(f"         {file['bytes']:>11,} bytes  {file['address']}" for file in row["files"]))
    bad = arguments.action == "verify" and any(row["state"] == "damaged" for row in rows)
    return 6 if bad else 0


def _one(what: list[str]) -> str:
    if len(what) != 1:
        raise DoorAgentError("add takes one folder: door-agent models add /media/usb/weights", exit_code=2)
    return what[0]
