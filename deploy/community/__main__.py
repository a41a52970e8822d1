"""`python -m deploy.community --config FILE`: the stand-in community server and its page."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import pyseto

from agent.console.local import LocalServer
from agent.core.commands import Action
from agent.core.events import Kind
from agent.errors import ConfigError, DoorAgentError
from deploy.community.commander import Commander
from deploy.community.consumer import Consumer, News
from deploy.community.feed import Feed
from deploy.community.ledger import Connection, Ledger, SqliteConnection
from deploy.community.page import OpenDoor, serve
from deploy.community.people import People
from deploy.community.publisher import Publisher
from deploy.community.settings import Settings, load

_ORDERS_AT_ONCE = 4


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
    commander = _commander(settings)

    people = People(settings.people_dir)
    publisher = _publisher(settings, people, ledger, feed)

    orders = threading.BoundedSemaphore(_ORDERS_AT_ONCE)

    def tell(news: News) -> None:
        if news.kind == "order":
            _obey(commander, orders, news)
            return
        feed.add(news)
        publisher.hear(news)
        if commander is not None:
            commander.hear(news)

    consumer = Consumer(settings.consumer(), ledger, tell)
    if commander is not None:
        commander.connect(consumer.send_command)
    publisher.connect(consumer.send_roster, consumer.send_command)
    open_door = None if commander is None else partial(commander.order, action=Action.OPEN, actor="manager")
    server = _serve(settings, feed, open_door)
    consumer.start()
    publisher.start()
    where = f"http://{settings.http_host}:{settings.http_port}/" if server else "no page"
    sys.stdout.write(f"community server ready: {where}\n")
    sys.stdout.flush()
    done.wait()
    publisher.stop()
    consumer.stop()
    if server is not None:
        server.close()


def _publisher(settings: Settings, people: People, ledger: Ledger, feed: Feed) -> Publisher:
    try:
        key = pyseto.Key.new(version=4, purpose="public", key=settings.signing_key_file.read_bytes())
        publisher = Publisher(people, key, settings.ca_file.read_bytes(), feed.add)
    except (OSError, ValueError) as e:
        raise ConfigError(f"{settings.signing_key_file}, {settings.ca_file}: cannot be used ({e})") from e
    for device, body in ledger.bodies(Kind.ROSTER):  # a receipt that came while this server was being killed
        with contextlib.suppress(ValueError, KeyError):
            publisher.receipt(device, body)
    return publisher


def _obey(commander: Commander | None, orders: threading.BoundedSemaphore, news: News) -> None:
    """An order from Home Assistant, on a thread of its own until the door has answered; too many at once fall away."""
    if commander is None or not orders.acquire(blocking=False):
        return

    def order() -> None:
        try:
            commander.order(news.device, Action(news.what["action"]), str(news.what["actor"]))
        finally:
            orders.release()

    threading.Thread(target=order, name="order", daemon=True).start()


def _commander(settings: Settings) -> Commander | None:
    """Orders can be signed only where the key for them is."""
    if settings.command_key_file is None:
        return None
    try:
        return Commander(settings.command_key_file.read_bytes(), settings.command_key_id)
    except OSError as e:
        raise ConfigError(f"command_key_file {settings.command_key_file}: cannot be read ({e.strerror})") from e


def _serve(settings: Settings, feed: Feed, open_door: OpenDoor | None) -> LocalServer | None:
    if not settings.http_port:
        return None
    return serve(feed, settings.http_host, settings.http_port, open_door, settings.frame_ancestors)


def database(where: str) -> Connection:
    """A connection by file name or URL. Raises StoreError when there is none to be had."""
    if where.startswith(("postgresql://", "postgres://")):
        from deploy.community.postgres import PostgresConnection

        return PostgresConnection(where)
    return SqliteConnection(Path(where))


if __name__ == "__main__":
    sys.exit(main())
