"""The manager's page: doors, live events, alarms, orders, the managers themselves. Flask behind waitress, one stream.

`gate.py` decides who gets past; what is said here comes from the feed, the ledger's history and the managers' book.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, Response, abort, jsonify, request, send_from_directory

from agent.console.local import LocalServer
from agent.console.server import STATIC as CONSOLE_STATIC
from agent.errors import DoorAgentError, LinkError
from deploy.community.feed import Feed
from deploy.community.gate import Gate, json_object, needs, open_to_all, session
from deploy.community.history import History
from deploy.community.history_page import add_history, shown
from deploy.community.office import ACTS_ON_A_PAGE, EVERY, HOME_ASSISTANT, Manager, Office, Role, sign_in_url
from deploy.community.orders import Orders
from deploy.community.orders_page import add_orders
from deploy.community.people import People
from deploy.community.people_page import add_lists, add_people
from deploy.community.visitor_passes import PassDesk
from deploy.phone.serve import blueprint

_FOLDER: Final = Path(__file__).parent / "page"
_SHARED: Final = frozenset({"theme.css", "words.js", "language.js", "sentences.js", "icon.svg"})  # the console's
_THREADS: Final = 24  # an open page holds one
_MAX_STREAMS: Final = 16
_MAX_BODY_BYTES: Final = 64 * 1024
_QUIET_S: Final = 15.0  # so often at least something is said: the page takes three times that for a lost connection


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the page is made of. `orders`, `passes` None: no key for them, the page says so."""

    feed: Feed
    office: Office
    history: History
    people: People
    orders: Orders | None = None
    passes: PassDesk | None = None
    public_url: str | None = None
    frame_ancestors: str = "'self'"
    more: tuple[Blueprint, ...] = ()  # other pages of this server, with rules of their own
    timezone: str = "Asia/Shanghai"  # of the doors: every time on the page is theirs


def build(parts: PageParts) -> Flask:
    """The application."""
    app = Flask("community", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.register_blueprint(blueprint())
    for other in parts.more:
        app.register_blueprint(other)
    gate = Gate(parts.office, parts.public_url, parts.frame_ancestors)
    gate.install(app)
    _add_files(app)
    _add_seeing(app, parts, gate)
    add_history(app, parts.office, parts.history, parts.feed)
    add_orders(app, parts.feed, parts.orders)
    _add_managers(app, parts)
    add_people(app, parts.office, parts.people, parts.passes, parts.public_url)
    add_lists(app, parts.office, parts.people, parts.feed)
    app.register_error_handler(DoorAgentError, lambda error: (jsonify({"error": str(error)}), 400))
    return app


def _add_files(app: Flask) -> None:
    @app.get("/")
    @needs(Role.VIEWER)
    def index() -> Response:
        return send_from_directory(_FOLDER, "index.html")

    @app.get("/enter")
    @open_to_all
    def enter() -> Response:
        return send_from_directory(_FOLDER, "enter.html")

    @app.get("/page/<name>")
    @open_to_all
    def file(name: str) -> Response:
        return send_from_directory(CONSOLE_STATIC if name in _SHARED else _FOLDER, name)


def _add_seeing(app: Flask, parts: PageParts, gate: Gate) -> None:
    streams = threading.BoundedSemaphore(_MAX_STREAMS)

    @app.get("/api/me")
    @needs(Role.VIEWER)
    def me() -> Response:
        own = session()
        names = {f"manager-{number}": name for number, name in parts.office.names().items()}
        return jsonify(
            {"name": own.manager.name, "role": own.manager.role, "csrf": own.csrf,
             "can_order": parts.orders is not None, "zone": parts.timezone,
             "names": {**names, HOME_ASSISTANT.actor: HOME_ASSISTANT.name}}
        )  # fmt: skip

    @app.get("/api/now")
    @needs(Role.VIEWER)
    def now() -> Response:
        told = parts.feed.snapshot()
        role = session().manager.role
        return jsonify({**told, "entries": [entry for entry in told["entries"] if shown(entry, role)]})

    @app.get("/api/stream")
    @needs(Role.VIEWER)
    def stream() -> Response:
        if not streams.acquire(blocking=False):
            return Response("too many open pages", 503)
        number, secret = request.args.get("after", 0, type=int), request.cookies.get(gate.cookie, "")
        role = session().manager.role
        told = _stream(parts.feed, number, lambda: parts.office.session(secret) is not None, role)
        response = Response(told, mimetype="text/event-stream")
        response.call_on_close(streams.release)
        return response


def _stream(feed: Feed, number: int, welcome: Callable[[], bool], role: Role) -> Iterator[str]:
    yield "retry: 2000\n\n"
    while welcome() and not feed.closed:
        entries = feed.after(number, _QUIET_S)
        if entries is None:
            return  # the page begins anew: a state that it missed would stand wrong for as long as nothing changes
        if not entries:
            yield 'data: {"type": "still"}\n\n'
        for entry in entries:
            number = entry["number"]
            if shown(entry, role):
                yield f"data: {json.dumps(entry)}\n\n"


def _add_managers(app: Flask, parts: PageParts) -> None:
    office = parts.office

    @app.get("/api/acts")
    @needs(Role.MANAGER)
    def acts() -> Response:
        names = {0: "", **office.names()}
        found = office.numbered_acts(before=request.args.get("before", EVERY, type=int))
        rows = [{"number": number, **asdict(act), "name": names.get(act.manager, "?")} for number, act in found]
        seen = request.args.get("seen", "")  # the mark that this browser kept
        return jsonify(
            {
                "acts": rows,
                "more": len(rows) == ACTS_ON_A_PAGE,
                "broken": office.broken(),
                "mark": office.mark(),
                "cut": bool(seen) and not office.holds(seen),
            }
        )

    @app.get("/api/managers")
    @needs(Role.OWNER)
    def managers() -> Response:
        return jsonify([asdict(m) for m in office.managers()])

    @app.post("/api/managers")
    @needs(Role.OWNER)
    def add() -> Response:
        body = json_object()
        name, role = body.get("name"), body.get("role")
        if not isinstance(name, str) or role not in list(Role):
            abort(400, f"name, and role: one of {', '.join(Role)}")
        return _with_link(office.add(name, Role(role)), "add-manager")

    @app.post("/api/managers/<int:number>/link")
    @needs(Role.OWNER)
    def link(number: int) -> Response:
        return _with_link(office.named(number), "sign-in-link")

    @app.delete("/api/managers/<int:number>")
    @needs(Role.OWNER)
    def remove(number: int) -> Response:
        manager = office.named(number)
        office.remove(manager)
        office.note(session().manager, "remove-manager", manager.name)
        return jsonify({})

    def _with_link(manager: Manager, action: str) -> Response:
        office.note(session().manager, action, f"{manager.name} ({manager.role})")
        base = (parts.public_url or request.host_url).rstrip("/")
        return jsonify({**asdict(manager), "link": sign_in_url(base, office.link(manager))})


def serve(parts: PageParts, host: str, port: int, trusted_proxy: str | None = None) -> LocalServer:
    """Serve the page in the background. Raises LinkError when the port is taken."""
    proxy: dict[str, Any] = {}
    if trusted_proxy is not None:
        names = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
        proxy = {"trusted_proxy": trusted_proxy, "trusted_proxy_headers": names, "clear_untrusted_proxy_headers": True}
    try:
        return LocalServer(build(parts), host, port, _THREADS, "page", proxy)
    except OSError as e:
        raise LinkError(f"{host}:{port}: the page can't be served there ({e.strerror}); set http_port") from e
