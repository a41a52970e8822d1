"""Bundles signed by a site's release key, the server that serves them by TLS, and a line that breaks."""

import contextlib
import hashlib
import json
import os
import socket
import threading
from pathlib import Path

from agent.core.updates import Bundle
from agent.updates.fetcher import FetchSettings, Patience
from agent.updates.files import UpdateFiles
from deploy.bundle import sign, write_tar
from deploy.community.bundle_server import BundleServer, server_context
from deploy.community.rollout_store import RolloutStore
from deploy.device.offered import this_machine
from deploy.pki import Authority

DOOR = "garden/gate-1"
NEW, OLD = "0.1.1+aaaaaaaaaa", "0.1.0+bbbbbbbbbb"
OTHER_MACHINE = {"machine": "riscv64", "python": "cp313"}


def write_bundle(path, key, *, release=NEW, serial=2, where=None, files=None, size=0, spoil=False, more=()):
    """A bundle as deploy/bundle.py writes one. `key` None: unsigned. `spoil`: a file is not what the manifest says."""
    files = (
        files
        if files is not None
        else {"wheels/door_agent.whl": os.urandom(size), "systemd/door.sysusers": b"g door -\n"}
    )
    stage = path.parent / f".stage-{path.name}"
    for name, data in files.items():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(data)
    named = {n: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for n, data in files.items()}
    described = json.dumps({"version": release, "for": where or this_machine(), "files": named}).encode()
    (stage / "manifest.json").write_bytes(described)
    if key is not None:
        (stage / "signature.json").write_bytes(sign(described, key, serial))
    if spoil:
        name = next(iter(files))
        (stage / name).write_bytes(bytes(reversed(files[name])) + b"")
    for name in more:
        (stage / name).write_bytes(b"more")
    write_tar(stage, path)
    return path


class UpdateSite:
    """A server with bundles, and the folders of one door: state, releases, keys."""

    def __init__(self, folder: Path, authority: Authority | None = None):
        self.folder = folder
        self.authority = authority or Authority(folder / "ca")
        self.release_key = self.authority.signing_key("release")
        pair = self.authority.server("bundles", ("127.0.0.1", "localhost"))
        self.store = RolloutStore(folder / "server-releases")
        context = server_context(self.authority.cert, pair.cert, pair.key)
        self.allowed = True
        self.server = BundleServer("127.0.0.1", 0, context, self.store, lambda *_: self.allowed)
        self.state, self.opt = folder / "state", folder / "opt"
        (self.opt / "releases" / OLD).mkdir(parents=True)
        (self.opt / "releases" / OLD / "serial").write_text("1")
        (self.opt / "current").symlink_to(f"releases/{OLD}")
        self.state.mkdir()

    def offer(self, path: Path, *, rollout: str = "r1", release: str = NEW) -> Bundle:
        """Put a file on the server; the order's word about it."""
        return Bundle(release, self.store.take(path), path.stat().st_size, rollout)

    def bundle(self, **how) -> Bundle:
        key = self.release_key.key if how.pop("signed", True) else None
        path = self.folder / "b.tar"
        return self.offer(write_bundle(path, how.pop("key", key), **how), release=how.get("release", NEW))

    def files(self, state: Path | None = None) -> UpdateFiles:
        return UpdateFiles((state or self.state) / "update", self.opt, self.release_key.cert, "0.1.0")

    def settings(self, *, port: int = 0, bytes_per_s: int = 50_000_000, **patience) -> FetchSettings:
        pair = self.authority.device(DOOR)
        times = Patience(**{"silent_s": 20.0, "first_s": 0.02, "cap_s": 0.1, "give_up_s": 60.0, **patience})
        return FetchSettings(
            "127.0.0.1", port or self.server.port, self.authority.cert, pair.cert, pair.key, bytes_per_s, times
        )

    def close(self):
        self.server.close()


class BreakingLine:
    """Between door and server: every connection is reset after `bytes_each` bytes from the server, `times` times."""

    def __init__(self, target_port: int, bytes_each: int, times: int):
        self._target, self._each, self.left = target_port, bytes_each, times
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._thread.join(20)

    def _accept(self):
        with self._listener, contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                most = self._each if self.left > 0 else None
                self.left -= 1
                threading.Thread(target=self._serve, args=(near, most), daemon=True).start()

    def _serve(self, near, most):
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            up = threading.Thread(target=self._pump, args=(near, far, None))
            up.start()
            self._pump(far, near, most)
            up.join()

    def _pump(self, one, other, most):
        passed = 0
        with contextlib.suppress(OSError):
            while data := one.recv(4096):
                passed += len(data)
                other.sendall(data)
                if most is not None and passed >= most:
                    break
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
