"""door-agent replay: decide again from the receipts in the journal, and say where the answer differs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.cli.common import add_command, print_json
from agent.core.events import Kind

_WORDS = {"Recognised": "recognised", "Stranger": "stranger", "Spoof": "spoof", "Unclear": "unclear"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "replay", "Decide again on past faces from their receipts in the journal.")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="instead of the one in --config")
    parser.add_argument("--seq", type=int, help="only this row")


def run(arguments: argparse.Namespace) -> int:
    """0 every receipt gives the answer that was given; 1 one does not; 4 there is no usable journal."""
    from agent import outbox_report
    from agent.config import load

    path = arguments.journal or Path(load(arguments.config).store.state_dir) / "journal.db"
    found = []
    for row in outbox_report.listed(path, kind="AccessControl/"):
        receipt = receipt_of(row["body"])
        if receipt is not None and arguments.seq in (None, row["seq"]):
            found.append(_again(row, receipt))
    same = all(one["same"] for one in found)
    if arguments.json:
        print_json({"ok": same, "decisions": found})
        return 0 if same else 1
    for one in found:
        print(f"{one['seq']:7} {one['time']} {one['given']:11} replayed {one['replayed']:11} {one['frames']} frames"
              f"{'' if one['same'] else '   DIFFERS'}")  # fmt: skip
    print(f"{len(found)} decisions, {'all' if same else 'not all'} replay to the answer that was given")
    return 0 if same else 1


def receipt_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The receipt of a row: in the body of a grant, in the detail of a refusal."""
    receipt = body.get("receipt", (body.get("detail") or {}).get("receipt"))
    return receipt if isinstance(receipt, Mapping) and "frames" in receipt else None


def _again(row: Mapping[str, Any], receipt: Mapping[str, Any]) -> dict[str, Any]:
    from agent.core.recognition import replay

    given = {Kind.ACCESS_GRANTED.value: "recognised", Kind.ACCESS_DENIED_UNKNOWN.value: "stranger"}.get(row["kind"])
    if given is None:
        given = "spoof" if row["body"].get("reason") == "Spoof" else "recognised"
    replayed = _WORDS.get(type(replay(receipt)).__name__, "undecided")
    return {
        "seq": row["seq"],
        "time": row["time"],
        "given": given,
        "replayed": replayed,
        "same": given == replayed,
        "frames": len(receipt["frames"]),
    }
