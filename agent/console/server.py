"""The door's console: a page for the installer, on loopback only (through an SSH tunnel), off unless asked.

The console shows what its source says and hands on what was asked; it decides nothing and keeps nothing. Its threads
never hold the controller: they wait on the source's own snapshots.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from flask import Flask, Response, abort, jsonify, request

from agent.clock import Clock, SystemClock
from agent.console import metrics
from agent.console.entry import ConsoleKey, Entry
from agent.console.local import LOOPBACK, LocalServer, only_own_page, protect
from agent.errors import ConfigError

STATIC: Final = Path(__file__).parent / "static"
TOKEN_HEADER: Final = "X-Door-Console"  # noqa: S105  a header's name
_THREADS: Final = 16  # an open page holds two: its stream and its picture
_MAX_STREAMS: Final = 6
_MAX_BODY_BYTES: Final = 4096
_WAIT_S: Final = 0.5  # how long an answer waits for news: a closed page or a stop is noticed within it
_STREAM_EVERY_S: Final = 0.1


class ConsoleSource(Protocol):
    """What the page shows and asks. Every method may be called from several threads at once."""

    def snapshot(self) -> Mapping[str, Any]:
        """Everything the door knows of itself, JSON-shaped, with its `version`."""

    def wait(self, version: int, timeout_s: float) -> Mapping[str, Any] | None:
        """The snapshot once it is newer than `version`, or None after `timeout_s`."""

    def wait_picture(self, number: int, timeout_s: float) -> tuple[int, bytes] | None:
        """Number and JPEG of the newest preview once it is newer than `number`, or None after `timeout_s`."""

    def act(self, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """Ask for one of agent.enrolment.REQUESTS (README) or relay_test {}.

        Says at once {"ok": bool, "why"?: str}.
        """


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Where it listens. `port` 0 takes a free one. `token`: what a POST must carry; random unless given."""

    port: int
    key: ConsoleKey = field(repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    host: str = "127.0.0.1"
    frame_ancestors: str = "'none'"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __post_init__(self) -> None:
        """A console that other machines can reach cannot be made."""
        if self.host not in LOOPBACK:
            raise ConfigError(f"the console listens on this machine only, not on {self.host}: use an SSH tunnel")


class Console:
    """Serves the page from `start` to `stop`."""

    def __init__(self, settings: ConsoleSettings, source: ConsoleSource) -> None:
        self._settings, self._source = settings, source
        self._stopping = threading.Event()
        self._server: LocalServer | None = None

    def start(self) -> None:
        """Listen. Raises ConfigError when the port is taken."""
        app = build(self._settings, self._source, self._stopping)
        host, port = self._settings.host, self._settings.port
        try:
            self._server = LocalServer(app, host, port, _THREADS, "console")
        except OSError as e:
            raise ConfigError(
                f"the console cannot use {host}:{port} ({e.strerror}): another program has it; change [console] port"
            ) from e

    @property
    def url(self) -> str:
        """Address of the page, empty before `start`."""
        return self._server.url if self._server is not None else ""

    def link(self, query: str = "") -> str:
        """An address that signs a browser in, once within ten minutes; `query` goes on to the page."""
        return link(self.url, self._settings.key, query)

    def stop(self) -> None:
        """End open streams and stop listening."""
        self._stopping.set()
        if self._server is not None:
            self._server.close()


def link(url: str, key: ConsoleKey, query: str = "") -> str:
    """See Console.link. The secret stands behind the #: browsers never send that part, so no log has it."""
    return f"{url}enter{'?' if query else ''}{query}#{key.link()}"


def build(settings: ConsoleSettings, source: ConsoleSource, stopping: threading.Event) -> Flask:
    """The application."""
    app = Flask("console", static_folder=str(STATIC), static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    protect(app, settings.frame_ancestors)
    Entry(settings.key, settings.clock).install(app)
    app.add_url_rule("/", view_func=lambda: app.send_static_file("index.html"))
    _add_seeing(app, source, stopping)
    _add_asking(app, source, settings.token)
    return app


def _add_seeing(app: Flask, source: ConsoleSource, stopping: threading.Event) -> None:
    streams = threading.BoundedSemaphore(_MAX_STREAMS)

    @app.get("/api/snapshot")
    def snapshot() -> Response:
        return jsonify(_told(source.snapshot()))

    @app.get("/metrics")
    def prometheus() -> Response:
        text = metrics.prometheus(source.snapshot(), time.clock_gettime(time.CLOCK_BOOTTIME))
        return Response(text, content_type=metrics.TYPE)

    @app.get("/api/stream")
    def stream() -> Response:
        if not streams.acquire(blocking=False):
            return Response("too many open pages", 503)
        response = Response(_changes(source, stopping), mimetype="text/event-stream")
        response.call_on_close(streams.release)
        return response

    @app.get("/api/picture")
    def picture() -> Response:
        found = source.wait_picture(request.args.get("after", 0, type=int), _WAIT_S)
        if found is None:
            return Response(status=204)
        return Response(found[1], mimetype="image/jpeg", headers={"X-Picture": str(found[0])})


def _add_asking(app: Flask, source: ConsoleSource, token: str) -> None:
    @app.get("/api/token")
    def token_() -> Response:
        only_own_page()
        return jsonify({"token": token})

    @app.post("/api/act")
    def act() -> Response:
        only_own_page()
        if not secrets.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode()):
            abort(403, "the token of this console is missing")
        body = request.get_json(silent=True)
        name, arguments = (body.get("name"), body.get("args", {})) if isinstance(body, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(arguments, dict):
            abort(400, 'expected {"name": "...", "args": {...}}')
        return jsonify(dict(source.act(name, arguments)))


def _changes(source: ConsoleSource, stopping: threading.Event) -> Iterator[str]:
    """Server-sent events: everything at first, then the sections that differ, at most ten times a second."""
    yield "retry: 1000\n\n"
    sent: dict[str, Any] = {}
    version = -1
    while not stopping.is_set():
        fresh = source.wait(version, _WAIT_S)
        if fresh is None:
            yield f"data: {json.dumps(_told({}))}\n\n"  # a comment line no script ever hears of
            continue
        version = int(fresh.get("version", version + 1))
        changed = {key: value for key, value in fresh.items() if key not in sent or sent[key] != value}
        sent = dict(fresh)
        yield f"data: {json.dumps(_told(changed), ensure_ascii=False)}\n\n"
        stopping.wait(_STREAM_EVERY_S)


def _told(sections: Mapping[str, Any]) -> dict[str, Any]:
    """With the door's own CLOCK_BOOTTIME, so that the page can tell how long ago `since_s` is."""
    return {**sections, "now_s": time.clock_gettime(time.CLOCK_BOOTTIME)}
