"""Who may use the console: whoever may read the door's key file (the agent's user, root), by a link that works once.

Loopback is no protection: every process of the machine reaches it. So the page asks for a session. `door-agent console`
reads the key and makes a link; the link opens a session in one browser; both are the key's word (HMAC-SHA-256) bound to
this boot, so nothing has to be stored. Times are CLOCK_BOOTTIME: a door without a clock has a console too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from flask import Flask, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from agent.clock import Clock
from agent.console.local import only_own_page
from agent.errors import ConfigError

KEY_NAME: Final = "console.key"
LINK_S: Final = 600.0
SESSION_S: Final = 12 * 3600.0
_KEY_BYTES: Final = 32
_MAX_TEXT: Final = 200
_OPEN: Final = frozenset({"/enter", "/api/enter", "/metrics"})  # metrics: counts and states, nobody's name


class ConsoleKey:
    """The secret that links and sessions are made with."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret, self._clock = secret, clock

    @classmethod
    def made(cls, folder: Path, clock: Clock) -> ConsoleKey:
        """The key of a door, made if there is none yet; for its owner's eyes only. Raises OSError."""
        path = folder / KEY_NAME
        if not path.exists():
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                os.fsync(file.fileno())
            new.rename(path)
        return cls.read(folder, clock)

    @classmethod
    def read(cls, folder: Path, clock: Clock) -> ConsoleKey:
        """The key of a door whose agent has run.

        Raises:
            ConfigError: there is none, or this user may not read it.
        """
        path = folder / KEY_NAME
        try:
            secret = path.read_bytes()
        except FileNotFoundError as e:
            raise ConfigError(f"{path}: not there yet; start door-agent with [console] in its configuration") from e
        except OSError as e:
            raise ConfigError(f"{path}: cannot be read ({e.strerror}); run this with sudo") from e
        if len(secret) != _KEY_BYTES:
            raise ConfigError(f"{path}: is damaged; remove it and restart door-agent")
        return cls(secret, clock)

    @property
    def cookie(self) -> str:
        """The session cookie's name: browsers share cookies among the ports of 127.0.0.1, so each door has its own."""
        return f"console-{hashlib.sha256(self._secret).hexdigest()[:8]}"

    def link(self) -> str:
        """What opens one session within ten minutes."""
        return self._token("link", self._clock.now_s())

    def session(self) -> str:
        """A session's cookie, good for twelve hours or until the next boot."""
        return self._token("session", self._clock.now_s())

    def age_s(self, kind: str, text: str) -> float | None:
        """How long ago this was made with this key in this boot; None: it was not."""
        parts = text.split(".") if len(text) <= _MAX_TEXT and text.isascii() else []
        if len(parts) != 3 or not parts[0].isdigit():  # noqa: PLR2004  time, nonce, code
            return None
        known = hmac.compare_digest(parts[2], self._mac(kind, *parts[:2]))
        return self._clock.now_s() - int(parts[0]) / 1000 if known else None

    def _token(self, kind: str, now_s: float) -> str:
        at_ms, nonce = str(int(now_s * 1000)), secrets.token_hex(8)
        return f"{at_ms}.{nonce}.{self._mac(kind, at_ms, nonce)}"

    def _mac(self, *words: str) -> str:
        message = "\n".join(("door console", self._clock.boot_id(), *words))
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()


class Entry:
    """Installed once per application: everything but the way in, its files and /metrics wants a session."""

    def __init__(self, key: ConsoleKey, clock: Clock) -> None:
        self._key, self._clock, self._since_s = key, clock, clock.now_s()
        self._used: dict[str, float] = {}  # link -> when; links from before this start are void

    def install(self, app: Flask) -> None:
        """Checks before every request, and the way in."""
        app.before_request(self._known)
        app.add_url_rule("/enter", "enter", lambda: app.send_static_file("enter.html"))
        app.add_url_rule("/api/enter", "api-enter", self._enter, methods=["POST"])

    def _known(self) -> AnyResponse | None:
        if request.path in _OPEN or request.path.startswith("/static/"):
            return None
        age_s = self._key.age_s("session", request.cookies.get(self._key.cookie, ""))
        if age_s is not None and 0 <= age_s < SESSION_S:
            return None
        if request.path != "/":
            abort(401, "open the link that `door-agent console` prints on the door")
        return redirect("/enter" + (f"?{request.query_string.decode()}" if request.query_string else ""))

    def _enter(self) -> Response:
        only_own_page()
        body = request.get_json(silent=True)
        link = body.get("link") if isinstance(body, dict) else None
        if not isinstance(link, str) or not self._once(link):
            abort(403, "this link was used already or is older than 10 minutes; make a new one")
        response = jsonify({})
        response.set_cookie(
            self._key.cookie, self._key.session(), max_age=int(SESSION_S), path="/", httponly=True, samesite="Strict"
        )
        return response

    def _once(self, link: str) -> bool:
        age_s, now_s = self._key.age_s("link", link), self._clock.now_s()
        self._used = {text: at_s for text, at_s in self._used.items() if now_s - at_s <= LINK_S}
        if age_s is None or not 0 <= age_s < min(LINK_S, now_s - self._since_s) or link in self._used:
            return False
        return self._used.setdefault(link, now_s) == now_s
