"""door-agent support-bundle: what a support person needs to see, redacted and encrypted to her key."""

from __future__ import annotations

import argparse
import json
import secrets
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from agent.cli.common import add_command, print_json
from agent.errors import DoorAgentError

if TYPE_CHECKING:
    from agent.config import Config

_NEWEST_ROWS = 500
_TOO_SHORT = 2  # a word that is everywhere


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "support-bundle", "Logs, checks and events, redacted, encrypted to a support key.")
    parser.add_argument("--recipient", required=True, metavar="age1…", help="the support person's public age key")
    parser.add_argument("--out", type=Path, default=Path("support.tar.gz.age"), metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """0 written; 2 that is no recipient; 3 the configuration is wrong."""
    from agent import support
    from agent.config import load
    from deploy.pki import write_file

    config = load(arguments.config)
    redact = support.Redactor(_names(config), secrets.token_bytes(16), _logins(config))
    files = dict(support.outputs(redact))
    files["config.json"] = json.dumps(redact.value(config.model_dump()), indent=1, ensure_ascii=False)
    files["doctor.json"] = json.dumps(redact.value(_doctor(config, arguments.config)), indent=1, ensure_ascii=False)
    files["release.txt"] = f"{Path('/opt/door-agent/current').resolve().name}\n"
    try:
        files["events.jsonl"] = support.events(Path(config.store.state_dir) / "journal.db", _NEWEST_ROWS, redact)
    except (DoorAgentError, sqlite3.Error) as error:
        files["events.jsonl"] = redact.text(f"not readable: {error}\n")
    sealed = support.encrypt(support.pack(files), arguments.recipient)
    write_file(arguments.out, sealed, 0o600)
    if arguments.json:
        print_json({"file": str(arguments.out), "bytes": len(sealed), "holds": sorted(files)})
    else:
        holds = ", ".join(sorted(files))
        print(f"{arguments.out.resolve()}: {len(sealed) >> 10} KiB, {holds}; only the recipient can open it")
    return 0


def _names(config: Config) -> tuple[str, ...]:
    """Everybody enrolled here, by name and by id."""
    from agent.roster.store import RosterStore

    folder = Path(config.store.state_dir)
    if not (folder / "roster.db").exists():
        return ()
    try:
        store = RosterStore(folder)
    except DoorAgentError:
        return ()
    try:
        from agent.residents import Residents

        people = Residents(store).roster.persons.values()
        return tuple(word for p in people for word in (p.name, p.id) if len(word) > 1)
    finally:
        store.close()


def _logins(config: Config) -> tuple[str, ...]:
    """The camera's login as it stands in its address, whatever it is made of, and its password by itself."""
    login, _, _ = config.camera.source.partition("://")[2].rpartition("@")
    words = (login, login.partition(":")[2])
    return tuple(word for one in words for word in (one, unquote(one)) if len(word) > _TOO_SHORT)


def _doctor(config: Config, path: str) -> list[dict[str, object]]:
    from agent.cli.doctor import all_checks

    return [asdict(check) for check in all_checks(config, path)]
