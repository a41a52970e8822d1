"""A bad network between door and broker: connections cut in mid-packet, bytes held back, packets lost.

Below TCP a lost packet is a wait for its repetition, and that is how loss is played here: the machine's own network is
not touched.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

_REPEAT_S = 0.2  # TCP's shortest wait before it repeats


class Proxy:
    """Forwards a loopback port to another one; `loss` is the share of packets that arrive only at the second try."""

    def __init__(self, target_port: int, *, loss: float = 0.0) -> None:
        self._target_port, self._loss = target_port, loss
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._stalled_until_s = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, stall_s: float) -> None:
        """Hold all bytes back for a while, then reset every connection."""
        self._stalled_until_s = time.monotonic() + stall_s
        time.sleep(stall_s)
        for s in list(self._open):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut(stall_s=0.0)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                try:
                    outer = socket.create_connection(("127.0.0.1", self._target_port), 5)
                except OSError:
                    inner.close()
                    continue
                outer.settimeout(None)
                for a, b in ((inner, outer), (outer, inner)):
                    self._open.add(a)
                    threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(1460):
                while random.random() < self._loss:  # noqa: S311  each repetition may be lost as well
                    time.sleep(_REPEAT_S)
                time.sleep(max(self._stalled_until_s - time.monotonic(), 0.0))
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        a.close()
        self._open.discard(a)
