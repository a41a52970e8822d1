"""`… manager add | link | list | remove | acts`: who may use the manager's page, said on the server's own machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from agent.clock import rfc3339
from agent.command_line import count
from agent.errors import StoreError
from deploy.community.office import ACTS_ON_A_PAGE, EVERY, LINK_MS, Office, Role, sign_in_url


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    manager = subparsers.add_parser("manager", help="who may use the manager's page; prints one-time sign-in links")
    acts = manager.add_subparsers(dest="act", required=True, metavar="ACT")
    for name, help_ in (
        ("add", "somebody new, with a link that signs in once within 30 minutes"),
        ("link", "a new link for somebody"),
        ("remove", "they may not sign in any more, open pages end"),
        ("list", "everybody"),
        ("acts", "what the managers did, newest first; checks the chain, and says a mark to keep"),
    ):
        parser = acts.add_parser(name, help=help_, description=help_)
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        if name in ("add", "link", "remove"):
            parser.add_argument("name", help="as colleagues call them" if name == "add" else "name or number")
        if name == "acts":
            parser.add_argument("--since", metavar="MARK", help="the mark of an earlier run: is its row still there?")
            which = parser.add_mutually_exclusive_group()
            which.add_argument(
                "--before", type=count, default=EVERY, metavar="NUMBER", help=f"the {ACTS_ON_A_PAGE} before this one"
            )
            which.add_argument("--all", action="store_true", help="the whole record")
        if name == "add":
            parser.add_argument("--role", type=Role, choices=list(Role), default=Role.MANAGER, help="default: manager")


def manage(given: argparse.Namespace, office: Office, url: str) -> None:
    """Do it and print it. Raises DoorAgentError for what a person must mend."""
    try:
        told = _do(given, office, url)
        if given.act == "acts":
            fault, mark = _fault(office, given.since), office.mark()
    finally:
        office.close()
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n" if given.json else _words(given.act, told))
    if given.act == "acts":
        if told and len(told) == ACTS_ON_A_PAGE and not given.all:
            sys.stderr.write(f"there may be earlier ones: --before {told[-1]['number']}, or --all\n")
        sys.stderr.write(f"mark of the last row, to keep elsewhere and compare with --since: {mark}\n")
        if fault:
            raise StoreError(f"{fault}; compare with a backup")


def _fault(office: Office, since: str | None) -> str | None:
    broken = office.broken()
    if broken is not None:
        return f"row {broken} of what the managers did was changed or removed"
    if since is not None and not office.holds(since):
        return (
            f"the record of what the managers did no longer has the row of the mark {since[:100]}: its end was cut off"
        )
    return None


def _do(given: argparse.Namespace, office: Office, url: str) -> Any:  # noqa: ANN401  JSON-shaped
    if given.act == "list":
        return [asdict(m) for m in office.managers()]
    if given.act == "acts":
        names = {0: "command line", **office.names()}
        found = office.numbered_acts(before=given.before, count=EVERY if given.all else ACTS_ON_A_PAGE)
        return [{"number": number, **asdict(act), "name": names.get(act.manager, "?")} for number, act in found]
    manager = office.add(given.name, given.role) if given.act == "add" else office.named(given.name)
    office.note(
        None,
        {"add": "add-manager", "link": "sign-in-link", "remove": "remove-manager"}[given.act],
        f"{manager.name} ({manager.role})",
    )
    if given.act == "remove":
        office.remove(manager)
        return asdict(manager)
    return {**asdict(manager), "link": sign_in_url(url, office.link(manager))}


def _words(act: str, told: Any) -> str:  # noqa: ANN401  JSON-shaped
    if act == "list":
        return "".join(f"{m['id']:4}  {m['role']:8}  {m['name']}\n" for m in told) or "nobody may sign in yet\n"
    if act == "acts":
        columns = ("name", "action", "target", "reason", "outcome")
        rows = ((a["number"], rfc3339(a["at_ms"]), *(a[c] or "-" for c in columns)) for a in told)
        return "".join(f"{number:5}  {'  '.join(words)}\n" for number, *words in rows)
    if act == "remove":
        return f"{told['name']} may not sign in any more\n"
    how = f"open this once, within {LINK_MS // 60_000} minutes, on their own device"
    return f"{told['name']}, {told['role']}: {how}:\n\n  {told['link']}\n\n"
