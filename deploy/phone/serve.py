"""Serves the resident's phone page at /phone/, as a blueprint for whichever Flask application has https.

A handful of files, read once: a request can only name one of them, never a path. Browsers give the page its key store
(WebCrypto) over https or on localhost only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, request

from deploy.phone import privacy_page

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), screen-wake-lock=(self), clipboard-write=(self)",
    "Cache-Control": "no-cache",  # ask each time when online: a new version must not mix with an old one
}
_FOLDER: Final = Path(__file__).parent
_INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


def blueprint() -> Blueprint:
    """GET and HEAD of /phone/ and its files, with a strict policy; everything else there is 404.

    An application whose own `after_request` writes the same headers must leave those that are set (`setdefault`).
    """
    files = page_files()
    page = Blueprint("phone", __name__, url_prefix="/phone")

    @page.get("/")
    @page.get("/<path:name>")
    def file(name: str = _INDEX) -> Response:
        if name not in files:
            abort(404)
        response = Response(files[name], content_type=_TYPES[Path(name).suffix])
        response.add_etag()
        response.make_conditional(request)
        return response

    @page.post("/api/<word>")  # a server with remote opening has addresses of its own here, which go first
    def no_buttons(word: str) -> Response:  # noqa: ARG001  whatever is asked
        return Response('{"doors":[],"refused":"no-answer"}', content_type="application/json")

    @page.after_request
    def headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return page


def page_files() -> dict[str, bytes]:
    """Path below /phone/ -> bytes. The service worker carries the hash of all: any change reaches installed phones."""
    found = {
        path.relative_to(_FOLDER).as_posix(): path.read_bytes()
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES
    } | {"privacy.html": privacy_page.page(privacy_page.SOURCE.read_text(encoding="utf-8"))}
    found = dict(sorted(found.items()))
    version = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in found.items())).hexdigest()[:16]
    return {**found, "sw.js": found["sw.js"].replace(b"__VERSION__", version.encode())}
