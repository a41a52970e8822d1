"""door-agent events: look at this door's journal, also while the agent writes it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.cli.common import add_command, print_json
from agent.command_line import count


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(
        subparsers,
        "events",
        "List, follow, verify, export or report the event journal of this door.",
        as_json="one JSON document instead of text; list, tail: one for each row, a line each; export: as --format",
    )
    actions = ("list", "tail", "verify", "export", "report")
    parser.add_argument("action", choices=actions, help="tail goes on until Ctrl-C; report prints a day as a page")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="instead of the one in --config")
    parser.add_argument("-n", "--newest", type=count, default=20, help="rows of list and tail (default 20)")
    parser.add_argument("--kind", help="only kinds that begin so, such as AccessControl/")
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="of export")
    parser.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="of report, local time (default: today)")
    parser.add_argument("--timezone", help="IANA name for report (default: door.timezone)")


def run(arguments: argparse.Namespace) -> int:
    """0 done (verify: every row holds); 1 verify found a bad row and names it; 4 there is no usable journal."""
    from agent.journal import report as outbox_report
    from agent.journal import verify as outbox_verify

    path = arguments.journal or _configured(arguments.config)
    match arguments.action:
        case "verify":
            return _verify(outbox_verify.verify(path), as_json=arguments.json)
        case "export":
            for line in outbox_report.export(path, arguments.format):
                print(line)
        case "report":
            _report(path, arguments)
        case "tail":
            _print(outbox_report.tail(path, newest=arguments.newest, kind=arguments.kind), as_json=arguments.json)
        case _:
            rows = outbox_report.listed(path, newest=arguments.newest, kind=arguments.kind)
            _print(rows, as_json=arguments.json)
    return 0


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text} is not a day such as 2026-11-23") from e


def _report(path: Path, arguments: argparse.Namespace) -> None:
    from zoneinfo import ZoneInfo

    from agent.config import load
    from agent.day_report import day_report
    from agent.errors import DoorAgentError

    zone = arguments.timezone or load(arguments.config).door.timezone
    try:
        today = dt.datetime.now(ZoneInfo(zone)).date()
    except (ValueError, OSError, KeyError) as e:
        message = f"--timezone {zone}: no such time zone; give an IANA name such as Asia/Shanghai"
        raise DoorAgentError(message, exit_code=2) from e
    day = arguments.day or today
    page = day_report(path, day, zone)
    if arguments.json:
        print_json({"day": day.isoformat(), "timezone": zone, "page": page})
    else:
        print(page)


def _configured(config: str) -> Path:
    from agent.config import load

    return Path(load(config).store.state_dir) / "journal.db"


def _print(rows: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    for row in rows:
        body = {key: value for key, value in row["body"].items() if key not in ("receipt", "detail")}
        if as_json:
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(f"{row['seq']:7} {row['time']} {row['kind']:42} {_words(body)}", flush=True)


def _words(body: dict[str, Any]) -> str:
    return " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in body.items())


def _verify(report: Any, *, as_json: bool) -> int:  # noqa: ANN401  imported late
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        print(f"{report.path}: {report.rows} rows in {report.epochs} epochs, {report.skipped} declared as dropped")
        for bad in report.bad:
            print(f"  from row {bad.seq} on not to be believed ({bad.why})")
        print("every row holds" if report.ok else "keep this file, and ask the server which rows it has")
    return 0 if report.ok else 1
