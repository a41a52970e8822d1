"""The browser of the page tests as a phone: its size, a finger, and a page that is opened again."""

import json
import time

from tests.browser import Browser


class HandHeld(Browser):
    """One Chromium with an empty profile, the size of a phone. Scripts are bodies of functions."""

    def __init__(self) -> None:
        super().__init__()
        self._scripts: list[str] = []
        self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def open(self, url: str, *, dark: bool = False) -> None:
        super().open(url, width=390, height=780, phone=True, dark=dark)

    def reload(self) -> None:
        self.js("window.isFromBefore = true")
        self.call("Page.reload")
        self.until("!window.isFromBefore && document.readyState === 'complete'")

    def run(self, body: str):
        """What it returns; promises are awaited."""
        return self.js(f"(async () => {{ {body} }})()")

    def wait(self, body: str):
        """The first true value, looked at until the bound."""
        self.until(f"(() => {{ {body} }})()")
        return self.run(body)

    def shown(self, selector: str) -> bool:
        return self.js(f"document.querySelector({json.dumps(selector)}).checkVisibility()")

    def touch(self, selector: str, held_ms: int = 60) -> None:
        """A finger on the middle of an element for so long."""
        box = self.run(
            f"const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView({{block: 'nearest'}});"
            "const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]"
        )
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": box[0], "y": box[1]}])
        time.sleep(held_ms / 1000)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def on_new_page(self, script: str) -> None:
        """Runs before a page's own scripts, until `forget`."""
        self._scripts.append(self.call("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"])

    def forget(self) -> None:
        while self._scripts:
            self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=self._scripts.pop())

    def complaints(self) -> list[str]:
        """What the page complained of since it was opened or this was last asked, broken policies among it."""
        self.js("0")  # its events come before the answer
        found = list(self.problems)
        self.problems.clear()
        return found
