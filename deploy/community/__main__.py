"""`python -m deploy.community --config FILE`: the stand-in community server and its page."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from agent.errors import DoorAgentError
from deploy.community.consumer import Consumer
from deploy.community.feed import Feed
from deploy.community.ledger import Connection, Ledger, SqliteConnection
from deploy.community.page import serve
from deploy.community.settings import Settings, load


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m deploy.community", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="TOML file, see deploy/community/README.md")
    try:
        run(load(parser.parse_args(arguments).config))
    except DoorAgentError as e:
        sys.stderr.write(f"{e}\n")
        return e.exit_code
    return 0


def run(settings: Settings) -> None:
    """Start everything, wait for the signal, stop in order."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    ledger = Ledger(database(settings.database))
    feed = Feed(ledger.newest(200), ledger.doors())
    consumer = Consumer(settings.consumer(), ledger, feed.add)
    server = serve(feed, settings.http_host, settings.http_port) if settings.http_port else None
    consumer.start()
    where = f"http://{settings.http_host}:{settings.http_port}/" if server else "no page"
    sys.stdout.write(f"community server ready: {where}\n")
    sys.stdout.flush()
    done.wait()
    consumer.stop()
    if server is not None:
        server.close()


def database(where: str) -> Connection:
    """A connection by file name or URL. Raises StoreError when there is none to be had."""
    if where.startswith(("postgresql://", "postgres://")):
        from deploy.community.postgres import PostgresConnection

        return PostgresConnection(where)
    return SqliteConnection(Path(where))


if __name__ == "__main__":
    sys.exit(main())
