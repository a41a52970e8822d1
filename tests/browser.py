"""A headless Chromium driven over its debugging pipe: no driver program, no package, no port."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.programs import needed

# --no-sandbox: tests run as root in containers; the others: no look-ups of the maker's hosts
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--lang=en-GB"),
]


class NavigatedError(AssertionError):
    """The page went away under an expression."""


class Browser:
    """One browser with one page."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="door-agent-browser-")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        own = (f"--user-data-dir={self._profile}", "--remote-debugging-pipe", "about:blank")
        arguments = [needed("chromium"), *FLAGS, *own]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *arguments],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.problems: list[str] = []  # errors of the page, collected from its events
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(30)
            if answer.get("id") == self._number:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise NavigatedError(method)
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False) -> None:
        """Show a page and wait until it is loaded."""
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, still])
        self.leave()
        self.problems.clear()
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def enter(self, console: Any, query: str = "lang=en", **size: Any) -> None:
        """Show the console's page as somebody who has its link."""
        self.open(console.link(query), **size)
        self.until("location.pathname === '/' && document.readyState === 'complete'")

    def leave(self) -> None:
        """Show nothing, so that a page does not complain about a server that its test ends."""
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, timeout_s: float = 15.0) -> None:
        """Wait until an expression is true."""
        end_s = time.monotonic() + timeout_s
        while not self._true(expression):
            assert time.monotonic() < end_s, f"never became true: {expression}"
            time.sleep(0.02)

    def _true(self, expression: str) -> bool:
        try:
            return bool(self.js(expression))
        except NavigatedError:  # a sign-in or a redirect was under way: ask the page that came
            return False

    def text(self, selector: str) -> str:
        """What a person reads in an element."""
        return str(self.js(f"document.querySelector({json.dumps(selector)}).innerText"))

    def picture(self, *, whole: bool = False) -> bytes:
        """PNG of what is on the screen, or of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """The picture as a file."""
        path.write_bytes(self.picture(whole=whole))
        return path

    def names(self, role: str) -> list[str]:
        """Names of every element with this role, as a screen reader gets them."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        found = [n for n in nodes if not n.get("ignored") and n.get("role", {}).get("value") == role]
        return [str(n.get("name", {}).get("value", "")) for n in found]

    def _next(self, timeout_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], timeout_s)
            assert ready, "the browser does not answer"
            data = os.read(self._from, 1 << 20)
            assert data, "the browser is gone"
            self._buffer += data
        first, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(first)

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.problems.append(f"{details.get('text')} {details.get('exception', {}).get('description')}")
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error"} as entry}}:
                self.problems.append(f"{entry['text']} {entry.get('url', '')}")
