"""The manager's page: doors, live events, alarms. Flask behind waitress, server-sent events, no state of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, request

from agent.console.local import LOOPBACK, LocalServer
from agent.errors import LinkError
from deploy.community.feed import Feed
from deploy.phone.serve import blueprint

_FOLDER = Path(__file__).parent / "page"
_THREADS = 24  # an open page holds one
_MAX_STREAMS = 16
_QUIET_S = 15.0  # a comment line this often keeps proxies from closing an idle stream
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

OpenDoor = Callable[[str], dict[str, Any]]


def build(
    feed: Feed, open_door: OpenDoor | None = None, frame_ancestors: str = "'self'", *, local: bool = False
) -> Flask:
    """The application. `open_door` orders an opening (device name -> first answer); without it the button says so.

    `local`: served on loopback, so only loopback names may ask.
    """
    app = Flask("community", static_folder=str(_FOLDER), static_url_path="/page")
    app.register_blueprint(blueprint())
    streams = threading.BoundedSemaphore(_MAX_STREAMS)

    _protect(app, frame_ancestors, local=local)

    @app.get("/")
    def index() -> Response:
        return app.send_static_file("index.html")

    @app.get("/api/now")
    def now() -> Response:
        return jsonify({**feed.snapshot(), "can_open": open_door is not None})

    @app.get("/api/stream")
    def stream() -> Response:
        if not streams.acquire(blocking=False):
            return Response("too many open pages", 503)
        number = request.args.get("after", 0, type=int)
        response = Response(_stream(feed, number), mimetype="text/event-stream")
        response.call_on_close(streams.release)
        return response

    @app.post("/api/doors/<site>/<door>/open")
    def open_(site: str, door: str) -> tuple[Response, int]:
        # a form or an image on another page can't send this header, so it can't open a door
        if request.headers.get("X-Requested-By") != "community-page":
            return jsonify({"error": "not from this page"}), 403
        if open_door is None:
            return jsonify({"error": "remote opening is not set up on this server"}), 501
        return jsonify(open_door(f"{site}/{door}")), 202

    return app


def _protect(app: Flask, frame_ancestors: str, *, local: bool) -> None:
    """Who may ask, and what a browser may do with the answer."""
    policy = _HEADERS["Content-Security-Policy"] + frame_ancestors

    @app.before_request
    def known_name() -> None:
        # a foreign name that points at this machine (DNS rebinding) must not open doors through somebody's browser
        if local and urlsplit(f"//{request.host}").hostname not in LOOPBACK:
            abort(403, "open this page as http://127.0.0.1 or http://localhost")

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in {**_HEADERS, "Content-Security-Policy": policy}.items():
            response.headers.setdefault(name, value)  # the phone page sets its own, stricter in some
        return response


def _stream(feed: Feed, number: int) -> Iterator[str]:
    yield "retry: 2000\n\n"
    while True:
        entries = feed.after(number, _QUIET_S)
        if not entries:
            yield ": still here\n\n"
        for entry in entries:
            number = entry["number"]
            yield f"data: {json.dumps(entry, ensure_ascii=False)}\n\n"


def serve(
    feed: Feed, host: str, port: int, open_door: OpenDoor | None = None, frame_ancestors: str = "'self'"
) -> LocalServer:
    """Serve the page in the background. Raises LinkError when the port is taken."""
    app = build(feed, open_door, frame_ancestors, local=host in LOOPBACK)
    try:
        return LocalServer(app, host, port, _THREADS, "page")
    except OSError as e:
        raise LinkError(f"{host}:{port}: the page can't be served there ({e.strerror}); set http_port") from e
