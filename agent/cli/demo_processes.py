"""Children of the demo: started, watched, started again when they die, ended in order."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_RESTART_S = 0.3
_STOP_S = 5.0


class Child:
    """One process of the demo, kept alive like systemd would: started again 0.3 s after it dies."""

    def __init__(self, name: str, module_and_arguments: Sequence[str], log_folder: Path) -> None:
        self.name, self._log = name, log_folder / f"{name}.log"
        setpriv = shutil.which("setpriv")  # a killed demo must not leave its children behind
        prefix = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        self._command = [*prefix, sys.executable, "-m", *module_and_arguments]
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self.starts = 0

    def start(self) -> None:
        """Begin, and keep it running."""
        self._spawn()
        self._keeper = threading.Thread(target=self._keep, name=f"keep-{self.name}", daemon=True)
        self._keeper.start()

    def kill(self) -> None:
        """SIGKILL, as a fault would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it, by force after 5 s."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for a message."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").strip().splitlines()[-lines:])
        return ""

    def _spawn(self) -> None:
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own modules with our own arguments
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def _keep(self) -> None:
        while not self._stopping.is_set():
            if self._process is not None:
                self._process.wait()
            if self._stopping.wait(_RESTART_S):
                return
            self._spawn()


class Uplink:
    """A cable that can be pulled: forwards a loopback port to another one while it is plugged in."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._plugged = threading.Event()
        self._plugged.set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="uplink", daemon=True).start()

    @property
    def plugged(self) -> bool:
        """Whether packets pass."""
        return self._plugged.is_set()

    def cut(self) -> None:
        """Pull it: connections break, new ones are closed at once."""
        self._plugged.clear()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Plug it in again."""
        self._plugged.set()

    def close(self) -> None:
        """End."""
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to_port), timeout=2) if self.plugged else None
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            far.settimeout(None)
            self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()


def wait_for(path: Path, timeout_s: float) -> bool:
    """Whether `path` appeared in time."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if path.exists():
            return True
        time.sleep(0.02)
    return False
