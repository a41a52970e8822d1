"""Messages between the processes of one door: Unix sockets of type SEQPACKET, one message = one packet.

The first byte of a packet names its kind: `J` + a JSON object (UTF-8, key "type" is text), or `P` + a JPEG's bytes.
What is too large, broken or of no known kind is counted in `Connection.malformed` and dropped: a peer's nonsense never
raises here. Only two things raise: `PeerGoneError` when the other end is gone, `SocketError` when there is no socket.

No call waits unless it is told how long. Peers are judged by the kernel's word on their user (SO_PEERCRED), and the
socket file's mode decides who can knock at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import select
import socket
import stat
import struct
import time
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from hardware.errors import PeerGoneError, SocketError

MAX_JSON_BYTES = 64 * 1024
# A packet must fit the send buffer as a whole; Linux's default net.core.wmem_max (212,992, doubled by the kernel) makes
# that 416 KiB less overhead, and a process without rights cannot raise it. A 1280x720 JPEG has 100 to 250 KiB.
MAX_PICTURE_BYTES = 384 * 1024
_BUFFER_BYTES = 512 * 1024
_PATH_BYTES = 107  # sun_path with its closing zero
_UNMAPPED_UID = 65534  # /proc/sys/kernel/overflowuid, which a hardened unit may not read
_CREDENTIALS = struct.Struct("3i")

Message: TypeAlias = dict[str, Any] | bytes


def own_users(*names: str) -> frozenset[int]:
    """Whom a process of this user believes: itself, root, and the users of these names where the system has them.

    In a user namespace of its own (systemd's PrivateUsers=) every other user has the same number; then only the modes
    of the socket and its folder tell them apart.
    """
    users = {os.geteuid(), 0}
    for name in names:
        with contextlib.suppress(KeyError):
            uid = pwd.getpwnam(name).pw_uid
            users.add(uid if _is_mapped(uid) else _UNMAPPED_UID)
    return frozenset(users)


def _is_mapped(uid: int) -> bool:
    with open("/proc/self/uid_map") as file:  # noqa: PTH123  three numbers a line: first here, first outside, how many
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= uid < first + count for first, _, count in ranges)


class Connection:
    """One end of a connection. Sending never blocks longer than asked; a full peer costs a message, not the caller."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._sock = sock
        self.malformed = 0  # packets received that were no message
        self.unsent = 0  # messages dropped because the peer did not read
        self.peer_pid, self.peer_uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )

    def fileno(self) -> int:
        """For select and poll."""
        return self._sock.fileno()

    def send_json(self, message: Mapping[str, Any], timeout_s: float = 0.0) -> bool:
        """Send one object. False: the peer's buffer stayed full for `timeout_s` and the message is dropped.

        Raises:
            ValueError: larger than MAX_JSON_BYTES or not JSON (the caller's own mistake).
            PeerGoneError: nobody will read this any more.
        """
        data = b"J" + json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
        if len(data) > MAX_JSON_BYTES:
            raise ValueError(f"message of {len(data)} bytes, {MAX_JSON_BYTES} are allowed: send it in parts")
        return self._send(data, timeout_s)

    def send_picture(self, jpeg: bytes, timeout_s: float = 0.0) -> bool:
        """Send one JPEG; the rest as `send_json`, with MAX_PICTURE_BYTES."""
        if len(jpeg) >= MAX_PICTURE_BYTES:
            raise ValueError(
                f"picture of {len(jpeg)} bytes, fewer than {MAX_PICTURE_BYTES} are allowed: compress it more"
            )
        return self._send(b"P" + jpeg, timeout_s)

    def recv(self, timeout_s: float = 0.0) -> Message | None:
        """The next message, or None when none came within `timeout_s`.

        Raises:
            PeerGoneError: the other end is closed and everything it sent was read.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            if not self._wait(select.POLLIN, deadline_s):
                return None
            packet = self._receive()
            if packet is not None and (message := _parse(packet)) is not None:
                return message
            self.malformed += packet is not None
            if time.monotonic() > deadline_s:
                return None

    def close(self) -> None:
        """Close; the other end gets PeerGoneError."""
        self._sock.close()

    def _send(self, data: bytes, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                self._sock.send(data, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline_s):
                    self.unsent += 1
                    return False
            except OSError as error:
                _gone(error)
            else:
                return True

    def _receive(self) -> bytes | None:
        try:
            packet, _, flags, _ = self._sock.recvmsg(MAX_PICTURE_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            _gone(error)
        if not packet:  # also what an empty packet looks like; no honest peer sends one
            raise PeerGoneError("the other end closed the connection")
        return b"" if flags & socket.MSG_TRUNC else packet

    def _wait(self, event: int, deadline_s: float) -> bool:
        if self._sock.fileno() < 0:
            raise PeerGoneError("the connection is closed here")
        poll = select.poll()
        poll.register(self._sock, event)
        return bool(poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000))


class Listener:
    """The waiting end: makes the socket file, lets only `allowed_uids` in, removes its file when it closes.

    `mode` are the file's permissions (its group is the process's own). A file left by a dead process is replaced; one
    whose process still answers is a `SocketError`.
    """

    def __init__(self, path: str, *, allowed_uids: frozenset[int], mode: int = 0o660) -> None:
        self._path = path
        self._allowed = allowed_uids
        self.refused = 0  # connections turned away because of their user
        _check_path(path)
        _remove_stale(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            os.fchmod(self._sock.fileno(), mode)  # the file is born with this mode (less the umask): no moment of more
            self._sock.bind(path)
            os.chmod(path, mode)  # noqa: PTH101  as the other calls here; now without the umask
            self._sock.listen(8)
        except OSError as error:
            self._sock.close()
            raise SocketError(
                f"cannot listen on {path}: {error.strerror}. Is its folder there and ours to write?"
            ) from error

    def fileno(self) -> int:
        """For select and poll: readable when `accept` has somebody."""
        return self._sock.fileno()

    def accept(self, timeout_s: float = 0.0) -> Connection | None:
        """The next allowed peer, or None within `timeout_s`. Others are closed at once and counted in `refused`."""
        deadline_s = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                connection = Connection(self._sock.accept()[0])
                if connection.peer_uid in self._allowed:
                    return connection
                self.refused += 1
                connection.close()
        return None

    def close(self) -> None:
        """Stop listening and remove the file (its folder may already be gone)."""
        self._sock.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108  one system call, in a path that runs at every stop


def connect(path: str, *, allowed_uids: frozenset[int] | None = None) -> Connection:
    """Connect to the listener at `path`, at once or not at all.

    `allowed_uids`: whose listener we believe (None: the file's permissions say enough).

    Raises:
        SocketError: nobody listens there, its queue is full, or it belongs to another user.
    """
    _check_path(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise SocketError(f"nobody can be reached at {path}: {error.strerror}") from error
    connection = Connection(sock)
    if allowed_uids is not None and connection.peer_uid not in allowed_uids:
        connection.close()
        raise SocketError(f"{path} belongs to user {connection.peer_uid}, who is not one of {sorted(allowed_uids)}")
    return connection


def _parse(packet: bytes) -> Message | None:
    kind, body = packet[:1], packet[1:]
    if kind == b"P":
        return body if body.startswith(b"\xff\xd8\xff") else None
    if kind != b"J" or len(packet) > MAX_JSON_BYTES:
        return None
    try:
        message = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _gone(error: OSError) -> NoReturn:
    if error.errno in (errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM):
        raise ValueError(f"the kernel cannot carry a message of this size: {error.strerror}") from error
    raise PeerGoneError(f"the other end is gone: {error.strerror}") from error


def _check_path(path: str) -> None:
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise SocketError(f"socket path {path} is longer than {_PATH_BYTES} bytes: choose a shorter runtime folder")


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):  # noqa: PTH116  must not follow a link
            raise SocketError(f"{path} exists and is not a socket: remove it, or choose another path")
    except FileNotFoundError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)  # noqa: PTH108  as above
    except OSError as error:
        raise SocketError(f"cannot tell who owns {path}: {error.strerror}. Remove it if nobody does") from error
    else:
        raise SocketError(f"another process already listens on {path}: stop it first (systemctl status door-*)")
    finally:
        probe.close()
