"""Junk orders at a door, a thousand a second through its real broker: how much later does a face open?

python -m tests.attack.flood --rounds 6 --per-s 1000
One demo world, real processes; with and without junk in turns, so that what else the machine does falls on both. The
junk comes from a process with the server's own certificate. Last line: one JSON object with both spreads, the slow-down
in percent, and how many messages were sent.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent.cli.bench_openings import Openings, spread
from agent.cli.demo_world import DOOR, SITE, DemoWorld
from agent.link_settings import tls_context
from deploy.broker import SERVER_NAME

_BATCHES_PER_S = 50


def send(config: Path, per_s: int) -> None:
    """Send until killed; a line with the count each second."""
    with config.open("rb") as file:
        server = tomllib.load(file)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=SERVER_NAME, protocol=mqtt.MQTTv5)
    client.tls_set_context(tls_context(Path(server["ca_file"]), Path(server["cert_file"]), Path(server["key_file"])))
    client.connect(server["broker_host"], server["broker_port"])
    client.loop_start()
    junk = (b"v4.public." + b"A" * 300 + b".eyJraWQiOiJtYW5hZ2VyMSJ9", b"junk", b"\x00" * 600, b'{"action":"open"}')
    sent, began_s = 0, time.monotonic()
    while True:
        for _ in range(per_s // _BATCHES_PER_S):
            client.publish(f"doors/{SITE}/{DOOR}/dn/command", junk[sent % len(junk)], qos=0)
            sent += 1
        if sent % per_s == 0:
            print(sent, flush=True)  # noqa: T201
        time.sleep(max(0.0, began_s + sent / per_s - time.monotonic()))


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
                began_s = time.monotonic()
                sender = _start(world, rate) if rate else None
                took_ms = openings.face()
                times_ms[rate] += [] if took_ms is None else [took_ms]
                if sender is not None:
                    sent += _stop(sender)
                    seconds += time.monotonic() - began_s
    without, with_junk = spread(times_ms[0]), spread(times_ms[per_s])
    slower = (with_junk["median_ms"] or 0) / without["median_ms"] * 100 - 100 if without["median_ms"] else None
    return {
        "without": without, "with_junk": with_junk, "slower_percent": None if slower is None else round(slower, 1),
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
