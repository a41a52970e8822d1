"""Pages for the person at this machine only: served on loopback; other sites, names and frames get nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import warnings
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request
from waitress import create_server, wasyncore

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-src {frames}; frame-ancestors {ancestors}"
)


class LocalServer:
    """Serves an application from its making to `close`. Raises OSError when the port is taken; port 0 takes a free one.

    `threads` bounds how many answers are under way at once: a stream holds one as long as its page is open. `more` are
    waitress' own settings, for a page behind a proxy.
    """

    def __init__(
        self, app: Flask, host: str, port: int, threads: int, name: str, more: Mapping[str, Any] | None = None
    ) -> None:
        listener = socket.create_server((host, port), backlog=64)
        self._address = (host, int(listener.getsockname()[1]))
        self._sockets: dict[int, Any] = {}
        with warnings.catch_warnings():  # send_bytes is deprecated, but without it an event waits for 18 KB more
            warnings.simplefilter("ignore", DeprecationWarning)
            self._server = create_server(
                app, sockets=[listener], threads=threads, ident="", map=self._sockets, send_bytes=1, **(more or {})
            )
        self._closing = threading.Event()
        self._loop = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop.start()

    @property
    def url(self) -> str:
        """Address of the first page."""
        return f"http://{self._address[0]}:{self._address[1]}/"

    def close(self) -> None:
        """Close the port and every connection. Answers under way have 2 s to notice that they should end."""
        self._server.task_dispatcher.shutdown(timeout=2)
        self._closing.set()
        with contextlib.suppress(OSError):  # somebody at the port wakes the loop
            socket.create_connection(self._address, timeout=1).close()
        self._loop.join(2)

    def _run(self) -> None:
        """The server's own loop has no end; sockets are closed by the thread that uses them."""
        while not self._closing.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._sockets, count=1)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()


def protect(app: Flask, ancestors: str, frames: str = "'none'") -> None:
    """Checks before and headers after every request. `ancestors`, `frames`: Content-Security-Policy source lists."""
    policy = _POLICY.format(frames=frames, ancestors=ancestors)
    app.before_request(_only_loopback_names)

    @app.after_request
    def add(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response


def only_own_page() -> None:
    """In a view that changes something or gives a secret: no other site's page, form or script may ask."""
    own = f"http://{request.host}"
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site != "same-origin" or request.headers.get("Origin", own) != own:
        abort(403, "not from this page")


def _only_loopback_names() -> None:
    """A foreign name that points at this machine (DNS rebinding) gets nothing; any port, because tunnels change it."""
    if urlsplit(f"//{request.host}").hostname not in LOOPBACK:
        abort(403, "open this page as http://127.0.0.1 or http://localhost")
