"""On the device: the smallest agent there can be. It feeds the guard's leases and knows nothing else.

feeder.py serve      runs as the unit door-agent when the real agent is not what is tested
open_door(seconds)   asks it for one release
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

GUARD_SOCKET = "/run/door-guard/guard.sock"
OPENER = ("10.0.2.100", 9999)
WISHES = "/run/rig-feeder.sock"
FEED_EVERY_S = 0.25
LEASE_MS = 800


def order_from_afar(words: str = "open") -> str:
    """Have the site's manager give a signed order; returns the last stage that she was told."""
    with socket.create_connection(OPENER, timeout=10) as s:
        s.sendall(words.encode())
        return s.recv(64).decode()


def open_door(seconds: float) -> None:
    """Ask the feeder for a release of `seconds`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(str(seconds).encode(), WISHES)


def serve() -> None:
    """Keep a connection to the guard; feed it while a release lasts."""
    Path(WISHES).unlink(missing_ok=True)
    wishes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    wishes.bind(WISHES)
    wishes.settimeout(FEED_EVERY_S)
    guard, until_s, number = connect(), 0.0, 0
    notify("READY=1")
    while True:
        try:
            wish = float(wishes.recv(64))
            until_s, number = time.clock_gettime(time.CLOCK_BOOTTIME) + wish, number + 1
        except TimeoutError:
            pass
        if time.clock_gettime(time.CLOCK_BOOTTIME) < until_s:
            release = {"type": "release", "lease_ms": LEASE_MS, "hold": False, "id": f"{os.getpid()}-{number}"}
            guard = send(guard, {**release, "until_s": until_s})


def connect() -> socket.socket:
    """The guard, as soon as it is there."""
    while True:
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            guard.connect(GUARD_SOCKET)
        except OSError:
            guard.close()
            time.sleep(0.05)
        else:
            return guard


def send(guard: socket.socket, message: dict[str, object]) -> socket.socket:
    """Send, on a new connection if the old one is gone."""
    try:
        guard.send(b"J" + json.dumps(message).encode())
    except OSError:
        guard.close()
        guard = connect()
    return guard


def notify(state: str) -> None:
    """sd_notify."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(state.encode(), address)


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    serve()
