"""Junk orders at a door, a thousand a second through its real broker: how much later does a face open?

python -m tests.attack.flood --rounds 6 --per-s 1000
One demo world, real processes; with and without junk in turns, so that what else the machine does falls on both. The
junk comes from a process with the server's own certificate. Last line: one JSON object with both spreads, the slow-down
in percent, and how many messages were sent.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

from agent.cli.bench_openings import Openings, spread
from agent.cli.demo_world import DOOR, SITE, DemoWorld
from agent.link_settings import tls_context
from deploy.broker import SERVER_NAME

_BATCHES_PER_S = 50
_JUNK = (b"v4.public." + b"A" * 300 + b".eyJraWQiOiJtYW5hZ2VyMSJ9", b"junk", b"\x00" * 600, b'{"action":"open"}')


def send(config: Path, per_s: int) -> None:
    """Send until killed; a line with the count each second.

    MQTT packets made once and written to the socket as they are: a client library took so much of a shared core for
    each message that 568 of 1,000 a second left it.
    """
    with config.open("rb") as file:
        server = tomllib.load(file)
    tls = tls_context(Path(server["ca_file"]), Path(server["cert_file"]), Path(server["key_file"]))
    address = (server["broker_host"], server["broker_port"])
    with tls.wrap_socket(socket.create_connection(address), server_hostname=address[0]) as broker:
        broker.sendall(_packet(0x10, _text(b"MQTT") + b"\x05\x02\x00\x00\x00" + _text(SERVER_NAME.encode())))
        answer = broker.recv(64)
        if answer[:1] != b"\x20" or answer[3] != 0:
            raise SystemExit(f"the broker refuses the sender: {answer.hex()}")
        topic = _text(f"doors/{SITE}/{DOOR}/dn/command".encode())
        batch = per_s // _BATCHES_PER_S
        packets = b"".join(_packet(0x30, topic + b"\x00" + _JUNK[n % len(_JUNK)]) for n in range(batch))
        sent, began_s = 0, time.monotonic()
        while True:
            broker.sendall(packets)
            sent += batch
            if sent % per_s == 0:
                print(sent, flush=True)  # noqa: T201
            time.sleep(max(0.0, began_s + sent / per_s - time.monotonic()))


def _text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def _packet(first: int, body: bytes) -> bytes:
    """A whole MQTT 5 packet; bodies here are below 16,384 bytes, so their length takes one byte or two."""
    length = len(body)
    return bytes((first, length)) + body if length < 128 else bytes((first, length & 127 | 128, length >> 7)) + body


def run(rounds: int, per_s: int) -> dict[str, Any]:
    """The comparison."""
    times_ms: dict[int, list[float]] = {0: [], per_s: []}
    sent, seconds = 0, 0.0
    with DemoWorld(None, lambda _: None) as world:
        if not world.wait_ready(120.0, threading.Event()):
            raise SystemExit("the simulated door did not get ready; try door-agent demo to see why")
        world.children["server"].stop()  # the broker lets nobody else order, and a name in once; a door needs no server
        openings = Openings(world)
        for _ in range(rounds):
            for rate in times_ms:
                openings.settle()
                time.sleep(6.0)  # the same person is let in again
                sender = _start(world, rate) if rate else None
                began_s = time.monotonic()
                took_ms = openings.face()
                times_ms[rate] += [] if took_ms is None else [took_ms]
                if sender is not None:
                    sent += _stop(sender) - rate  # less the second before
                    seconds += time.monotonic() - began_s
    without, with_junk = spread(times_ms[0]), spread(times_ms[per_s])
    slower = (with_junk["median_ms"] or 0) / without["median_ms"] * 100 - 100 if without["median_ms"] else None
    return {
        "without": without, "with_junk": with_junk, "slower_percent": None if slower is None else round(slower, 1),
        "times_ms": {str(rate): found for rate, found in times_ms.items()},
        "junk_sent": sent, "junk_per_s": round(sent / seconds) if seconds else 0,
    }  # fmt: skip


def _start(world: DemoWorld, per_s: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.attack.flood",
        "--send",
        world.folder / "community.toml",
        "--per-s",
        str(per_s),
    ]
    sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    sender.stdout.readline()  # it has sent for a second
    return sender


def _stop(sender: subprocess.Popen[str]) -> int:
    sender.kill()
    lines = sender.communicate(timeout=10)[0].split()
    return int(lines[-1]) if lines else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--per-s", type=int, default=1000)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send is not None:
        send(arguments.send, arguments.per_s)
    print(json.dumps(run(arguments.rounds, arguments.per_s)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
