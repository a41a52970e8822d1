"""The guard of a played device, as its socket shows it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path


class PlayedGuard:
    """Says hello to whoever knocks: dropped, quiet; tells of the one pulse that a signal to the agent brings."""

    def __init__(self, path: Path, device: Path) -> None:
        self._device, self._energised = device, False
        self._looked = threading.Event()  # somebody asked while it was energised: no need to stay so
        self.inputs: dict[str, bool] = {}
        self.lamps: tuple[str, ...] = ()
        self.news: list[dict[str, object]] = []
        self.shown: list[str] = []
        self.hears = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(path))
        self._socket.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                knock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(knock,), daemon=True).start()

    def _talk(self, knock: socket.socket) -> None:
        heard = len(self.news)
        with knock, contextlib.suppress(OSError):
            lines = [*self.inputs, *self.lamps]
            self._say(knock, {"type": "hello", "relay": self._energised, "inputs": self.inputs, "lines": lines})
            if self._energised:
                self._looked.set()
            knock.settimeout(0.01)
            while not (self._device / "opened").exists():
                for message in self.news[heard:]:
                    self._say(knock, message)
                    heard += 1
                with contextlib.suppress(TimeoutError):
                    if not (packet := knock.recv(1000)):
                        return
                    with self.hears:
                        self.shown.append(json.loads(packet[1:])["indication"])
                        self.hears.notify()
            if self._energised:
                return
            for energised in (True, False):
                self._energised = energised
                self._looked.clear()
                now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                self._say(knock, {"type": "relay", "energised": energised, "why": "released", "at_s": now_s})
                self._looked.wait(5.0 if energised else 0.1)
            (self._device / "opened").rename(self._device / "has-opened")

    def _say(self, knock: socket.socket, message: dict[str, object]) -> None:
        knock.send(b"J" + json.dumps(message).encode())

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
