"""Serves one file at a time to doors: TLS 1.3 with their own certificates, ranges, nothing else.

The program's page has no TLS of its own and is for people; a door needs neither. `GET` or `HEAD` of
`/bundles/SHA256.tar` is all there is, and only for doors that `may` names. A handshake happens on the connection's own
thread with a time limit. Who has not shown a certificate counts apart, and the oldest of too many gives way; a door has
a few connections at most. So neither a stranger nor one door keeps the others out.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final

from agent.errors import ConfigError, LinkError
from deploy.community.rollout_store import RolloutStore

MOST_AT_ONCE: Final = 64  # doors' connections, and as many that have not shown a certificate yet
MOST_OF_ONE_DOOR: Final = 4  # one that fetches, and what a broken cable has left
_SILENT_S: Final = 30.0  # nothing was taken or said for so long
_PATH: Final = re.compile(r"/bundles/([0-9a-f]{64})\.tar")
_RANGE: Final = re.compile(r"bytes=([0-9]{1,12})-")
_CHUNK_BYTES: Final = 1 << 16

# door ("site/door"), SHA-256 -> whether it may have this file now
May = Callable[[str, str], bool]


class BundleServer:
    """Listens from the start; `close` ends it and every transfer."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, store: RolloutStore, may: May) -> None:
        """Raises LinkError when the port is taken."""
        try:
            self._server = _Server((host, port), context, store, may)
        except OSError as e:
            raise LinkError(f"{host}:{port}: bundles can't be served there ({e.strerror}); set bundles_port") from e
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="bundles", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def server_context(ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3; whoever comes needs a certificate of the site. Raises ConfigError for files that can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(cert, key)
    except OSError as e:
        raise ConfigError(f"{ca}, {cert}, {key}: can't be used to serve bundles ({e})") from e
    return context


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, store: RolloutStore, may: May) -> None:
        self.store, self.may, self._context = store, may, context
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, None] = {}  # no certificate so far, the oldest first
        self._doors: dict[socket.socket, str] = {}
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake waits for the connection's own thread: it may take as long as the other end likes."""
        plain, address = self.socket.accept()
        try:
            plain.settimeout(_SILENT_S)
            return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address
        except OSError:  # gone already
            plain.close()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the library's own types
        with self._lock:
            self._strangers[request] = None
            oldest = next(iter(self._strangers)) if len(self._strangers) > MOST_AT_ONCE else None
            if oldest is not None:
                del self._strangers[oldest]
        if oldest is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(oldest, socket.SHUT_RDWR)  # its thread ends by that
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the library's own types
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._strangers.pop(request, None)
                self._doors.pop(request, None)

    def admit(self, request: socket.socket, door: str) -> None:
        """A connection has shown this door's certificate. Raises ConnectionError when it has too many already."""
        with self._lock:
            here = list(self._doors.values())
            if request not in self._strangers or len(here) >= MOST_AT_ONCE or here.count(door) >= MOST_OF_ONE_DOOR:
                raise ConnectionRefusedError
            del self._strangers[request]
            self._doors[request] = door

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the library's own types
        """A handshake that failed, a door that hung up: ends this connection, and nobody else has to know."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    connection: ssl.SSLSocket
    server_version, sys_version = "door-agent", ""
    timeout = _SILENT_S

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()
        self.server.admit(self.request, self._door())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  the library's names
        """Not one line for each try: what a door fetched it says itself."""

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self._answer(content=False)

    def do_GET(self) -> None:
        """The file from the byte asked for to its end."""
        self._answer(content=True)

    def _answer(self, *, content: bool) -> None:
        asked = _PATH.fullmatch(self.path)
        if asked is None or not self.server.may(self._door(), asked[1]):
            self.send_error(HTTPStatus.NOT_FOUND)  # the same for what is not there and who may not have it
            return
        try:
            with self.server.store.bundle(asked[1]).open("rb") as file:
                size = file.seek(0, 2)
                first = self._first()
                if first >= size:
                    self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._head(asked[1], first, size)
                file.seek(first)
                while content and (chunk := file.read(_CHUNK_BYTES)):
                    self.wfile.write(chunk)
        except FileNotFoundError:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _head(self, digest: str, first: int, size: int) -> None:
        self.send_response(HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-tar")
        self.send_header("Content-Length", str(size - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{digest}"')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        self.end_headers()

    def _first(self) -> int:
        """Where to begin. What is no range up to the end is answered with the whole file, as the standard allows."""
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        return int(asked[1]) if asked else 0

    def _door(self) -> str:
        """The name in the certificate that the handshake has checked."""
        subject: Any = (self.connection.getpeercert() or {}).get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]
        return names[0] if len(names) == 1 else ""
