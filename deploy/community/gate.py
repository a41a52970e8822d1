"""Who gets past: every address of the manager's page needs a session whose role suffices, unless it is marked open.

Deny by default: a view without `needs(role)` or `open_to_all` answers nobody. What changes something must come from the
page itself (same origin, and the session's token in a header), so another site can't act through a manager's browser.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, g, jsonify, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from agent.console.local import LOOPBACK
from deploy.community.limits import PerMinute
from deploy.community.office import SESSION_MS, Office, Role, Session

CSRF_HEADER: Final = "X-CSRF-Token"
_COOKIE: Final = "community"
_SIGN_INS = 10  # a minute and address; not of all together, or a few strangers would shut the managers out
_REQUESTS = 600  # a minute and session: a page that runs wild
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
_View = TypeVar("_View", bound=Callable[..., Any])


def needs(role: Role) -> Callable[[_View], _View]:
    """Mark a view: only for sessions of at least this role."""

    def mark(view: _View) -> _View:
        view.__dict__["role"] = role
        return view

    return mark


def open_to_all(view: _View) -> _View:
    """Mark a view that needs no session."""
    view.__dict__["role"] = None
    return view


def json_object() -> dict[str, Any]:
    """What this request brought; {} for what is no JSON object, however deep it is nested."""
    try:
        found = request.get_json(silent=True)
    except RecursionError:  # the library takes only a ValueError for bad JSON
        return {}
    return found if isinstance(found, dict) else {}


def session() -> Session:
    """The session of this request, in a view that `needs` one."""
    found: Session = g.session
    return found


class Gate:
    """Installed once per application. `public_url` is the https address behind a proxy, None on loopback."""

    def __init__(self, office: Office, public_url: str | None, frame_ancestors: str) -> None:
        self._office, self._public = office, urlsplit(public_url) if public_url else None
        self._ancestors = frame_ancestors
        self._sign_ins = PerMinute(_SIGN_INS)
        self._requests = PerMinute(_REQUESTS)
        # the prefix makes browsers refuse such a cookie from anybody but this very host, over https
        self.cookie = f"__Host-{_COOKIE}" if public_url else _COOKIE

    def install(self, app: Flask) -> None:
        """Checks before, headers after, and the two addresses that sign in and out."""
        app.before_request(self._right_address)
        app.before_request(self._known)
        app.after_request(self._headers)
        app.register_error_handler(HTTPException, _as_json)
        app.add_url_rule("/api/enter", view_func=open_to_all(self._enter), methods=["POST"])
        app.add_url_rule("/api/leave", view_func=needs(Role.VIEWER)(self._leave), methods=["POST"])

    # ------------------------------------------------------------ before and after

    def _right_address(self) -> None:
        asked = urlsplit(f"//{request.host}")
        if self._public is None:
            # a foreign name that points at this machine (DNS rebinding) must not open doors through somebody's browser
            if asked.hostname not in LOOPBACK:
                abort(403, "open this page as http://127.0.0.1 or http://localhost")
        elif request.host != self._public.netloc or request.scheme != "https":
            abort(403, f"open this page as {self._public.geturl()}")

    def _known(self) -> AnyResponse | None:
        if request.endpoint is None or request.blueprint is not None:
            return None  # nothing is there; or a blueprint (the phone's page), which has rules of its own
        role = getattr(_view(), "role", Role.OWNER)
        if role is None:
            return None
        found = self._office.session(request.cookies.get(self.cookie, ""))
        if found is None:
            if request.path == "/":
                return redirect("/enter")
            abort(401, "sign in first")
        if not self._requests.allows(str(found.manager.id)):
            abort(429, "too many requests; wait a minute")
        if not found.manager.role.covers(role):
            abort(403, f"only for the role {role}")
        if request.method not in ("GET", "HEAD"):
            self._from_this_page()
            if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), found.csrf.encode()):
                abort(403, "not from this page")
        g.session = found
        return None

    def _from_this_page(self) -> None:
        own = f"{request.scheme}://{request.host}"
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if site != "same-origin" or request.headers.get("Origin", own) != own or not request.is_json:
            abort(403, "not from this page")

    def _headers(self, response: Response) -> Response:
        wanted = {
            "Content-Security-Policy": _POLICY + self._ancestors,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **({"Strict-Transport-Security": "max-age=31536000"} if self._public else {}),
        }
        for name, value in wanted.items():
            response.headers.setdefault(name, value)  # the phone page sets its own, stricter in some
        return response

    # ------------------------------------------------------------ in and out

    def _enter(self) -> Response:
        self._from_this_page()
        if not self._sign_ins.allows(request.remote_addr or ""):
            abort(429, "too many attempts; wait a minute")
        token = json_object().get("token")
        found = self._office.enter(token) if isinstance(token, str) and token.isascii() and len(token) <= 100 else None  # noqa: PLR2004
        if found is None:
            abort(403, "this link was used already or is older than 30 minutes; ask for a new one")
        secret, opened = found
        self._office.note(opened.manager, "sign-in")
        response = jsonify({"name": opened.manager.name})
        response.set_cookie(
            self.cookie, secret, max_age=SESSION_MS // 1000, path="/", secure=self._public is not None, httponly=True,
            samesite="Strict",
        )  # fmt: skip
        return response

    def _leave(self) -> Response:
        self._office.leave(request.cookies.get(self.cookie, ""))
        self._office.note(session().manager, "sign-out")
        response = jsonify({})
        response.delete_cookie(self.cookie, path="/", secure=self._public is not None, httponly=True, samesite="Strict")
        return response


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _as_json(error: HTTPException) -> tuple[Response, int]:
    """An error page says what it is in JSON as well: the page shows the words."""
    code = error.code or 500
    return jsonify({"error": error.description}), code
