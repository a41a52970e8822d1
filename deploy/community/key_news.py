"""Hands each door the site's keys that its offline root signed, until the door says that it has them.

This server need not be believed for it, and can't make such a list: a door checks the root's signature. What the door
has stands in its state, so nothing is asked for twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.core.site_keys import number_of
from agent.errors import ConfigError
from deploy.community.news import News

_AGAIN_S: Final = 5.0
_CORRELATION: Final = b"site-keys"

Send = Callable[[str, bytes, bytes], None]  # device, document, correlation: on dn/command
Tell = Callable[[str, str, str], object]  # device, word, detail: an alarm


class KeyNews:
    """`hear` takes the consumer's news, from one thread. `file` absent: nothing was ever replaced here.

    Raises:
        ConfigError: the file is there and no list of keys.
    """

    def __init__(self, file: Path, send: Send, alarm: Tell) -> None:
        self._send, self._alarm = send, alarm
        self._document = file.read_bytes() if file.exists() else b""
        number = number_of(self._document) if self._document else 0
        if number is None:
            raise ConfigError(
                f"keys_file {file}: is no list of keys; copy it again from the site's folder (pki/site.keys)"
            )
        self.number = number  # 0: no list
        self._sent_s: dict[str, float] = {}

    def hear(self, news: News) -> None:
        """A door that tells of itself gets the list if it has an older one; why it takes it not, is an alarm."""
        if news.kind == "state" and news.what.get("online") and self._older(news.what.get("keys")):
            now_s = time.monotonic()
            if now_s - self._sent_s.get(news.device, -_AGAIN_S) >= _AGAIN_S:
                self._sent_s[news.device] = now_s
                self._send(news.device, self._document, _CORRELATION)
        elif (news.kind, news.what.get("id"), news.what.get("stage")) == ("reply", f"keys-{self.number}", "refused"):
            self._alarm(news.device, "keys", f"the door does not take the site's keys: {news.what.get('reason')}")

    def _older(self, held: object) -> bool:
        """A door of an older release says nothing of keys: it would take the list for a forged order."""
        return isinstance(held, int) and held < self.number
