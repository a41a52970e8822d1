"""The demo's own page: buttons that act the scene, the door's console and the manager's page side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from flask import Flask, Response, abort, jsonify, redirect, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from agent.console.local import only_own_page, protect
from agent.console.server import STATIC as CONSOLE_STATIC

_STATIC: Final = Path(__file__).parent / "demo_page_static"
_FRAMES: Final = "http://127.0.0.1:*"


class DemoControls(Protocol):
    """What the demo can do. Called from the page's threads."""

    def act(self, name: str) -> Mapping[str, Any]:
        """Do what a button says: {"ok": bool, "why"?, "told"?}, each text or [zh-CN, en]."""

    def capabilities(self) -> Mapping[str, Mapping[str, Any]]:
        """Name -> {"ready": bool, "why": text or [zh-CN, en]}: which buttons work now, and why another does not."""

    def addresses(self) -> Mapping[str, str]:
        """{"console": url, "server": url, "phone": url}."""

    def counters(self) -> Mapping[str, Any]:
        """{"written": rows at the door, "epoch": of its journal, "held": {epoch: rows at the server}, "kills": n}."""

    def console(self, query: str) -> str:
        """A link that signs a browser in at the door's console, once; `query` goes on to its page."""

    def enter(self) -> str:
        """A link that signs a browser in at the server's page, once."""


def make_app(demo: DemoControls) -> Flask:
    """The application, for 127.0.0.1 only. A button without a capability is shown as not there yet."""
    app = Flask("demo", static_folder=str(_STATIC), static_url_path="/static")
    protect(app, "'none'", _FRAMES)

    @app.get("/")
    def index() -> AnyResponse:
        host, _, port = request.host.partition(":")
        if host != "127.0.0.1":  # the framed pages let only 127.0.0.1 frame them
            return redirect(f"http://127.0.0.1:{port or 80}/")
        return app.send_static_file("demo.html")

    @app.get("/shared/<name>")
    def shared(name: str) -> Response:
        return send_from_directory(CONSOLE_STATIC, name)

    @app.get("/api/state")
    def state() -> Response:
        told = {"capabilities": demo.capabilities(), "addresses": demo.addresses(), "counters": demo.counters()}
        return jsonify({name: dict(value) for name, value in told.items()})

    @app.get("/server")
    def server() -> AnyResponse:
        only_own_page()
        address, _, secret = demo.enter().partition("#")
        return redirect(f"{address}?lang={'en' if request.args.get('lang') == 'en' else 'zh-CN'}#{secret}")

    @app.get("/console")
    def console() -> AnyResponse:
        only_own_page()
        return redirect(demo.console(request.query_string.decode()))

    @app.post("/api/act/<name>")
    def act(name: str) -> Response:
        only_own_page()
        if request.headers.get("X-Requested-By") != "demo-page":  # a foreign page cannot send this header unasked
            abort(403, "not from this page")
        return jsonify(dict(demo.act(name)))

    return app
