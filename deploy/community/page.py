"""The manager's page: doors, live events, alarms, orders, the managers themselves. Flask behind waitress, one stream.

`gate.py` decides who gets past; what is said here comes from the feed, the ledger's history and the managers' book.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Blueprint, Flask, Response, abort, jsonify, request, send_from_directory

from agent.console.local import LocalServer
from agent.console.server import STATIC as CONSOLE_STATIC
from agent.core.commands import Action
from agent.errors import DoorAgentError, LinkError
from deploy.community.feed import Feed
from deploy.community.gate import Gate, needs, open_to_all, session
from deploy.community.history import DAY_MOST, History
from deploy.community.limits import PerMinute
from deploy.community.office import Manager, Office, Role, sign_in_url
from deploy.community.people import People
from deploy.community.people_page import add_people
from deploy.community.visitor_passes import PassDesk
from deploy.phone.serve import blueprint

_FOLDER: Final = Path(__file__).parent / "page"
_SHARED: Final = frozenset({"theme.css", "words.js", "sentences.js", "icon.svg"})  # the console's
_THREADS: Final = 24  # an open page holds one
_MAX_STREAMS: Final = 16
_MAX_BODY_BYTES: Final = 64 * 1024
_QUIET_S: Final = 15.0  # a comment line this often keeps proxies from closing an idle stream
_ORDERS_PER_MINUTE: Final = 30
_REASON: Final = range(3, 201)  # characters
_FROM_HERE: Final = frozenset(Action) - {Action.UPDATE, Action.CANCEL_UPDATE}  # those two: by the command `rollout`
_HOLD_S: Final = range(60, 8 * 3600 + 1)

# device, action, actor, seconds -> the door's first answer
Order = Callable[[str, Action, str, float | None], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the page is made of. `order`, `passes` None: no key for them, the page says so."""

    feed: Feed
    office: Office
    history: History
    people: People
    order: Order | None = None
    passes: PassDesk | None = None
    public_url: str | None = None
    frame_ancestors: str = "'self'"
    more: tuple[Blueprint, ...] = ()  # other pages of this server, with rules of their own


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
    _add_history(app, parts)
    _add_orders(app, parts)
    _add_managers(app, parts)
    add_people(app, parts.office, parts.people, parts.passes, parts.public_url)
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
            {"name": own.manager.name, "role": own.manager.role, "csrf": own.csrf, "can_order": parts.order is not None,
             "names": names}
        )  # fmt: skip

    @app.get("/api/now")
    @needs(Role.VIEWER)
    def now() -> Response:
        return jsonify(parts.feed.snapshot())

    @app.get("/api/stream")
    @needs(Role.VIEWER)
    def stream() -> Response:
        if not streams.acquire(blocking=False):
            return Response("too many open pages", 503)
        number, secret = request.args.get("after", 0, type=int), request.cookies.get(gate.cookie, "")
        told = _stream(parts.feed, number, lambda: parts.office.session(secret) is not None)
        response = Response(told, mimetype="text/event-stream")
        response.call_on_close(streams.release)
        return response


def _stream(feed: Feed, number: int, welcome: Callable[[], bool]) -> Iterator[str]:
    yield "retry: 2000\n\n"
    while welcome() and not feed.closed:
        entries = feed.after(number, _QUIET_S)
        if not entries:
            yield ": still here\n\n"
        for entry in entries:
            number = entry["number"]
            yield f"data: {json.dumps(entry)}\n\n"


def _add_history(app: Flask, parts: PageParts) -> None:
    @app.get("/api/day")
    @needs(Role.VIEWER)
    def day() -> Response:
        from_ms, to_ms = _span(1)
        found = []
        for event in parts.history.between(from_ms, to_ms, request.args.get("door") or None):
            found.append(event)
            if len(found) > DAY_MOST:
                break
        return jsonify({"events": found[:DAY_MOST], "more": len(found) > DAY_MOST})

    @app.get("/api/events.csv")
    @needs(Role.MANAGER)
    def events_csv() -> Response:
        from_ms, to_ms = _span(request.args.get("days", 1, type=int))
        door = request.args.get("door") or None
        parts.office.note(session().manager, "export", door or "all doors", f"{request.args.get('from')} +{days()} d")
        lines = parts.history.as_csv(from_ms, to_ms, door)
        name = f"doors-{request.args.get('from')}.csv"
        return Response(lines, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def days() -> int:
        return request.args.get("days", 1, type=int)


def _span(days: int) -> tuple[int, int]:
    """[from, to) in milliseconds UTC from the query: `from` a date, `zone` an IANA name."""
    try:
        first = datetime.fromisoformat(request.args.get("from", ""))
        zone = ZoneInfo(request.args.get("zone", "UTC"))
    except (ValueError, ZoneInfoNotFoundError, OSError):
        abort(400, "from=YYYY-MM-DD and zone=Asia/Shanghai are needed")
    if not 1 <= days <= 400:  # noqa: PLR2004  a year and a month
        abort(400, "days: 1 to 400")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    end = begin + timedelta(days=days)  # on the wall clock of that zone, whatever its summer time does
    return tuple(int(at.astimezone(UTC).timestamp() * 1000) for at in (begin, end))  # type: ignore[return-value]  # two


def _add_orders(app: Flask, parts: PageParts) -> None:
    limit = PerMinute(_ORDERS_PER_MINUTE)

    @app.post("/api/doors/<site>/<door>/orders")
    @needs(Role.MANAGER)
    def order(site: str, door: str) -> tuple[Response, int]:
        manager, device = session().manager, f"{site}/{door}"
        action, reason, for_s = _order_asked()
        if parts.order is None:
            return jsonify({"error": "no command_key_file on this server: it can't order doors"}), 501
        if not parts.feed.knows(device):
            abort(404, f"no door {device} has reported to this server")
        if not limit.allows(str(manager.id)):
            abort(429, "too many orders; wait a minute")
        parts.office.note(manager, action, device, reason, "asked")  # first: what can't be written is not ordered
        told = parts.order(device, action, manager.actor, for_s)
        outcome = ": ".join(str(told[key]) for key in ("stage", "reason") if told.get(key))
        parts.office.note(manager, action, device, reason, outcome)
        return jsonify(told), 202


def _order_asked() -> tuple[Action, str, float | None]:
    body = request.get_json(silent=True)
    body = body if isinstance(body, dict) else {}
    action, reason, for_s = body.get("action"), body.get("reason", ""), body.get("for_s")
    if action not in _FROM_HERE:
        abort(400, f"action: one of {', '.join(a for a in Action if a in _FROM_HERE)}")
    reason = " ".join(reason.split()) if isinstance(reason, str) else ""
    if action != Action.IDENTIFY and len(reason) not in _REASON:
        abort(400, f"reason: {_REASON.start} to {_REASON.stop - 1} characters; it is kept with your name")
    if (action == Action.HOLD_OPEN) != (type(for_s) is int and for_s in _HOLD_S):
        abort(400, f"for_s: {_HOLD_S.start} to {_HOLD_S.stop - 1}, for hold-open only")
    return Action(action), reason, for_s


def _add_managers(app: Flask, parts: PageParts) -> None:
    office = parts.office

    @app.get("/api/acts")
    @needs(Role.MANAGER)
    def acts() -> Response:
        names = {0: "", **office.names()}
        rows = [{**asdict(act), "name": names.get(act.manager, "?")} for act in office.acts()]
        seen = request.args.get("seen", "")  # the mark that this browser kept
        return jsonify(
            {
                "acts": rows,
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
        body = request.get_json(silent=True)
        name, role = (body.get("name"), body.get("role")) if isinstance(body, dict) else (None, None)
        if not isinstance(name, str) or role not in set(Role):
            abort(400, f"name, and role: one of {', '.join(Role)}")
        return _with_link(office.add(name, Role(role)), "add-manager")

    @app.post("/api/managers/<int:number>/link")
    @needs(Role.OWNER)
    def link(number: int) -> Response:
        return _with_link(office.named(str(number)), "sign-in-link")

    @app.delete("/api/managers/<int:number>")
    @needs(Role.OWNER)
    def remove(number: int) -> Response:
        manager = office.named(str(number))
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
