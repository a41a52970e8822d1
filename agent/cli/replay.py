"""door-agent replay: decide again from the receipts in the journal, and say where the answer differs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.cli.common import add_command, print_json
from agent.command_line import count

if TYPE_CHECKING:
    from agent.core.recognition import Verdict

_REMARKS: Final = {True: "", False: "   DIFFERS", None: "   (receipt of an earlier release)"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "replay", "Decide again on past faces from their receipts in the journal.")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="instead of the one in --config")
    parser.add_argument("--seq", type=count, help="only this row")


def run(arguments: argparse.Namespace) -> int:
    """0 every receipt gives the answer that was given; 1 one does not; 4 there is no usable journal.

    Receipts of an earlier release, whose rules were others, are counted and not judged.
    """
    from agent.config import load
    from agent.journal import report as outbox_report

    path = arguments.journal or Path(load(arguments.config).store.state_dir) / "journal.db"
    found = []
    for row in outbox_report.listed(path, kind="AccessControl/"):
        receipt = receipt_of(row["body"])
        if receipt is not None and arguments.seq in (None, row["seq"]):
            found.append(_again(row, receipt))
    same = all(one["same"] is not False for one in found)
    if arguments.json:
        print_json({"ok": same, "decisions": found})
        return 0 if same else 1
    for one in found:
        print(f"{one['seq']:7} {one['time']} {one['given']:11} replayed {one['replayed']:11} {one['frames']} frames"
              f"{_REMARKS[one['same']]}")  # fmt: skip
    print(f"{len(found)} decisions, {'all' if same else 'not all'} replay to the answer that was given")
    return 0 if same else 1


def receipt_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The receipt of a row: in the body of a grant, in the detail of a refusal."""
    receipt = _said(body).get("receipt")
    return receipt if isinstance(receipt, Mapping) and "frames" in receipt else None


def _said(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a row says of the finding."""
    detail = body.get("detail")
    return detail if isinstance(detail, Mapping) else body


def _again(row: Mapping[str, Any], receipt: Mapping[str, Any]) -> dict[str, Any]:
    from agent.core.evidence import RECEIPT_VERSION
    from agent.core.recognition import replay

    given, whose = _said(row["body"]).get("verdict", "unknown"), row["body"].get("person_id")
    replayed, same = "not judged", None  # a receipt of another release's rules
    if receipt.get("v") == RECEIPT_VERSION:
        try:
            verdict = replay(receipt)
        except ValueError:
            replayed, same = "unreadable", False
        else:
            replayed = type(verdict).__name__.lower()
            same = given == replayed and (whose is None or whose in _people(verdict))
    return {
        "seq": row["seq"],
        "time": row["time"],
        "given": given,
        "replayed": replayed,
        "same": same,
        "frames": len(receipt["frames"]),
    }


def _people(verdict: Verdict) -> tuple[str, ...]:
    """Whom a verdict names."""
    from agent.core.recognition import Doubtful, Recognised

    if isinstance(verdict, Recognised):
        return (verdict.person_id,)
    return verdict.person_ids if isinstance(verdict, Doubtful) else ()
