"""The demo's manager: an owner of the community page, made on the server's command line as a person would be."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

_TIMEOUT_S = 10.0


class DemoManager:
    """Asks the community server over HTTP, signed in like a browser. Safe for any thread."""

    def __init__(self, config: Path, url: str) -> None:
        self._config, self._url = config, url
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self._csrf = ""
        self._known = False

    def link(self) -> str:
        """A link that signs one browser in, once."""
        with self._making:
            words = ["link", "demo"] if self._known else ["add", "demo", "--role", "owner"]
            where = ["--config", str(self._config)]
            command = [sys.executable, "-m", "deploy.community", *where, "manager", *words, "--json"]
            told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603  our own
            self._known = True
            return str(told["link"])

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer to a GET, or to a POST of `body`; {"error": …} when there is none."""
        with self._lock:
            try:
                if not self._csrf:
                    self._enter()
                return self._send(path, body)
            except (OSError, ValueError, subprocess.SubprocessError) as e:
                return {"error": str(e)}

    def _enter(self) -> None:
        self._send("/api/enter", {"token": self.link().partition("#")[2]})
        self._csrf = str(self._send("/api/me", None).get("csrf", ""))

    def _send(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self._csrf}
        request = Request(f"{self._url}{path}", data=data, headers=headers)  # noqa: S310  our own loopback server
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return dict(json.load(answer))
        except HTTPError as e:
            with contextlib.suppress(ValueError):
                return dict(json.load(e))
            raise
