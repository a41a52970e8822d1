"""Headless Chromium over plain WebDriver HTTP: the few calls that these tests need."""

import base64
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync",
)  # fmt: skip
_PHONE = {"deviceMetrics": {"width": 390, "height": 780, "pixelRatio": 2.0, "touch": True, "mobile": True}}


class Browser:
    """One Chromium with an empty profile, the size of a phone."""

    def __init__(self, chromium: str, driver: str, profile: Path, language: str):
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "LANGUAGE": language},
        )  # fmt: skip
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        self._scripts: list[str] = []
        self._url = f"http://127.0.0.1:{found[1]}/session"
        options = {
            "binary": chromium, "args": [*_FLAGS, f"--user-data-dir={profile}", f"--lang={language}"],
            "mobileEmulation": _PHONE, "prefs": {"intl.accept_languages": language},
        }  # fmt: skip
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        started = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._url += "/" + started["sessionId"]

    def close(self):
        self._ask("DELETE", "")
        self._driver.terminate()
        self._driver.wait(10)
        self._driver.stdout.close()

    def open(self, url: str):
        self._ask("POST", "/url", {"url": url})

    def reload(self):
        self._ask("POST", "/refresh", {})

    def run(self, script: str, *arguments):
        """The value of a JavaScript function's body; promises are awaited."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, bound_s: float = 10.0):
        """The first true value of a body, looked at until the bound."""
        end_s = time.monotonic() + bound_s
        while not (value := self.run(script)):
            assert time.monotonic() < end_s, f"never true within {bound_s} s: {script}"
            time.sleep(0.05)
        return value

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def shown(self, selector: str) -> bool:
        return self.run("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def touch(self, selector: str, held_ms: int = 60):
        """A finger on an element for so long."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        moves = [
            {"type": "pointerMove", "duration": 0, "origin": {_ELEMENT: element[_ELEMENT]}, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0}, {"type": "pause", "duration": held_ms},
            {"type": "pointerUp", "button": 0},
        ]  # fmt: skip
        finger = {"type": "pointer", "id": "finger", "parameters": {"pointerType": "touch"}, "actions": moves}
        self._ask("POST", "/actions", {"actions": [finger]})

    def screenshot(self) -> bytes:
        """PNG of what a phone's owner sees."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def devtools(self, command: str, **parameters) -> dict:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def on_new_page(self, script: str):
        """Runs before a page's own scripts, until `forget`."""
        self._scripts.append(self.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"])

    def forget(self):
        while self._scripts:
            self.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=self._scripts.pop())

    def complaints(self) -> list[str]:
        """What the console said since the last call, broken policies among it."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310  our own driver
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.read().decode()[:500]}") from None
