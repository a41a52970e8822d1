"""`python -m deploy.community --config FILE`: the stand-in community server and its page.

`… --config FILE manager add NAME --role owner` says who may use the page, and prints a link that signs in once.
`… --config FILE rollout start BUNDLE --stage 1 --stage all` brings a release to the doors.

Exit codes: 0 done, or stopped as asked; 1 something failed; 2 the command line is wrong; 3 the configuration is wrong;
4 a database cannot be used; 8 the port of the page or of the bundles cannot be had; 130 a command was stopped (Ctrl-C).
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyseto
from flask import Blueprint

from agent.command_line import Parser, ended, own_streams
from agent.console.local import LocalServer
from agent.core.commands import Action
from agent.core.updates import Bundle
from agent.errors import ConfigError, DoorAgentError
from agent.stopping import stop_on_signal
from deploy.community import rollout_command
from deploy.community.bundle_server import BundleServer, server_context
from deploy.community.commander import Commander
from deploy.community.consumer import Consumer
from deploy.community.database import Connection, SqliteConnection
from deploy.community.feed import Feed
from deploy.community.history import History
from deploy.community.key_files import check_keys
from deploy.community.key_news import KeyNews
from deploy.community.ledger import Ledger
from deploy.community.manager_command import add_parser, manage
from deploy.community.news import News
from deploy.community.office import Office
from deploy.community.orders import Order, Orders
from deploy.community.page import PageParts, serve
from deploy.community.people import People
from deploy.community.phone_open import PhoneOpenings, blueprint
from deploy.community.publisher import Publisher
from deploy.community.rollout_desk import ACTOR, RaiseAlarm, RolloutDesk
from deploy.community.rollout_store import RolloutStore
from deploy.community.settings import Settings, load
from deploy.community.visitor_passes import PassDesk


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; or answer one command."""
    words = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        own_streams(words)
    return ended("community", words, lambda: _answer(words))


def _answer(words: list[str]) -> int:
    parser: ArgumentParser = Parser(
        prog="python -m deploy.community", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, type=Path, help="TOML file, see deploy/community/README.md")
    commands = parser.add_subparsers(dest="what", metavar="COMMAND")
    add_parser(commands)
    rollout_command.add_parser(commands)
    given = parser.parse_args(words)
    settings = load(given.config)
    if given.what == "manager":
        manage(given, Office(database(settings.managers_database)), _page_url(settings))
    elif given.what == "rollout":
        rollout_command.rollout(given, settings, Office(database(settings.managers_database)))
    else:
        run(settings)
    return 0


def run(settings: Settings) -> None:
    """Start everything, wait for the signal, stop in order.

    Raises:
        DoorAgentError: a thread ended by a fault; better no server, which somebody notices, than half of one.
    """
    sys.stderr.writelines(check_keys(settings))
    done = stop_on_signal()
    broken = end_with_any_thread(done)
    ledger = Ledger(database(settings.database))
    feed = Feed(ledger.newest(200), ledger.doors())
    commander = _commander(settings)
    office = Office(database(settings.managers_database))
    orders = None if commander is None else Orders(_order(commander), office, feed)

    people = People(settings.people_dir)
    history = History(lambda: database(settings.database))

    def tell(news: News) -> None:
        if orders is not None:
            orders.hear(news)
        if news.kind == "order":
            return
        feed.add(news)
        publisher.hear(news)
        keys.hear(news)
        if commander is not None:
            commander.hear(news)

    consumer = Consumer(settings.consumer(), ledger, tell)
    keys = KeyNews(settings.keys_file, consumer.send_command, consumer.alarm)
    feed.site_keys = keys.number
    publisher = _publisher(settings, people, ledger, consumer.alarm, history)
    if commander is not None:
        commander.connect(consumer.send_command)
    publisher.connect(consumer.send_roster, consumer.send_command)
    passes = PassDesk(people, settings.pass_key_file) if settings.pass_key_file else None
    more = () if commander is None else (_phones(settings, people, commander, feed, consumer),)
    server = _serve(
        settings,
        PageParts(feed, office, history, people, orders, passes, settings.public_url,
                  settings.frame_ancestors, more, settings.timezone),
    )  # fmt: skip
    rollouts = _rollouts(settings, commander, feed, consumer.alarm)
    consumer.start()
    publisher.start()
    sys.stdout.write(f"community server ready: {_page_url(settings) + '/' if server else 'no page'}\n")
    if server and not office.managers():
        sys.stdout.write("nobody may sign in yet: add `manager add NAME --role owner` to this command\n")
    sys.stdout.flush()
    done.wait()
    rollouts.close()
    if orders is not None:
        orders.close()
    publisher.stop()
    consumer.stop()
    feed.close()
    if server is not None:
        server.close()
    history.close()
    office.close()
    if broken:
        raise DoorAgentError(f"{broken[0]}; this is a fault of the server, please report it. Start it again.")


def _rollouts(settings: Settings, commander: Commander | None, feed: Feed, alarm: RaiseAlarm) -> contextlib.ExitStack:
    """Both halves of a roll-out, where this server is set up for it; what ends them. Raises DoorAgentError."""
    ends = contextlib.ExitStack()
    cert, key = settings.bundles_cert_file, settings.bundles_key_file
    if not settings.bundles_port or commander is None or cert is None or key is None:
        return ends

    def order(device: str, action: Action, bundle: Bundle | None) -> dict[str, Any]:
        more = {} if bundle is None else {"bundle": bundle.to_json()}
        return commander.order(device, action, ACTOR, **more)

    store = RolloutStore(settings.releases_dir)
    desk = RolloutDesk(store, feed, order, alarm)
    context = server_context(settings.ca_file, cert, key)
    bundles = BundleServer(settings.bundles_host, settings.bundles_port, context, store, desk.may_fetch)
    desk.start()
    ends.callback(desk.stop)
    ends.callback(bundles.close)
    return ends


def end_with_any_thread(done: threading.Event) -> list[str]:
    """From now on `done` is set when any thread ends by an exception; the list says which and why, the log where."""
    broken: list[str] = []

    def ended(fault: threading.ExceptHookArgs) -> None:
        name = fault.thread.name if fault.thread is not None else "a thread"
        sys.stderr.write("".join(traceback.format_exception(fault.exc_type, fault.exc_value, fault.exc_traceback)))
        broken.append(f"thread {name} ended: {fault.exc_type.__name__}: {fault.exc_value}"[:300])
        done.set()

    threading.excepthook = ended
    return broken


def _order(commander: Commander) -> Order:
    def order(device: str, action: Action, actor: str, for_s: float | None) -> dict[str, Any]:
        return commander.order(device, action, actor, **({} if for_s is None else {"for_s": for_s}))

    return order


def _phones(settings: Settings, people: People, commander: Commander, feed: Feed, consumer: Consumer) -> Blueprint:
    """The resident's "open" button."""

    def open_(device: str, actor: str, claims: Mapping[str, bool]) -> dict[str, Any]:
        return commander.order(device, Action.OPEN, actor, **claims)

    def high_security(device: str) -> bool | None:
        said = (feed.state(device) or {}).get("high_security")
        return said if isinstance(said, bool) else None

    def alarm(device: str, person_id: str) -> None:
        consumer.alarm(device, "duress", f"{person_id} pressed open under duress, and it did not open")

    return blueprint(PhoneOpenings(people, open_, settings.timezone, high_security, alarm))


def _page_url(settings: Settings) -> str:
    return settings.public_url or f"http://{settings.http_host}:{settings.http_port}"


def _publisher(settings: Settings, people: People, ledger: Ledger, alarm: RaiseAlarm, history: History) -> Publisher:
    keep = (settings.expired_keep_days, settings.passes_keep_days, settings.proof_keep_days)
    handed_on = [people.receipts_read()]

    def hourly() -> None:
        people.forget(*keep)
        people.read_receipts(handed_on[0])  # what came an hour ago has been taken since
        handed_on[0] = history.newest_id()

    try:
        key = pyseto.Key.new(version=4, purpose="public", key=settings.signing_key_file.read_bytes())
        publisher = Publisher(people, key, settings.ca_file.read_bytes(), alarm, hourly)
    except (OSError, ValueError) as e:
        raise ConfigError(f"{settings.signing_key_file}, {settings.ca_file}: cannot be used ({e})") from e
    known = handed_on[0] if handed_on[0] <= history.newest_id() else 0  # another database, or all of it forgotten
    for device, body in ledger.of_rosters(known):  # a receipt that came while this server was being killed
        with contextlib.suppress(Exception):  # what is wrong with it was told when it came
            publisher.receipt(device, body)
    return publisher


def _commander(settings: Settings) -> Commander | None:
    """Orders can be signed only where the key for them is."""
    if settings.command_key_file is None:
        return None
    try:
        return Commander(settings.command_key_file.read_bytes(), settings.command_key_id)
    except OSError as e:
        raise ConfigError(f"command_key_file {settings.command_key_file}: cannot be read ({e.strerror})") from e


def _serve(settings: Settings, parts: PageParts) -> LocalServer | None:
    if not settings.http_port:
        return None
    return serve(parts, settings.http_host, settings.http_port, settings.http_proxy)


def database(where: str) -> Connection:
    """A connection by file name or URL. Raises StoreError when there is none to be had."""
    if where.startswith(("postgresql://", "postgres://")):
        from deploy.community.postgres import PostgresConnection

        return PostgresConnection(where)
    return SqliteConnection(Path(where))


if __name__ == "__main__":
    sys.exit(main())
