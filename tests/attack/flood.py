"""Junk orders at a door, a thousand a second through its real broker: how much later does a face open?

python -m tests.attack.flood --rounds 20 --per-s 1000
One demo world, real processes; each round opens once with junk and once without, in changing order, so that what else
the machine does falls on both. The junk comes from a process with the server's own certificate, and not by the demo's
cable: that is a thread of the process that plays the scenes. Last line: one JSON object with both spreads, the
slow-down of the median in percent with its 95 % interval (rounds resampled), whether that shows less than 10 %, how
many messages were sent, and what of a core each process took. Exit status 1 when an opening is missing or 10 % is
exceeded for sure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.cli.bench_openings import spread
from agent.cli.bench_ways import Ways
from agent.cli.demo_world import DOOR, SITE, DemoWorld
from agent.command_line import as_program, count
from agent.link.settings import tls_context
from deploy.broker import SERVER_NAME

BOUND_PERCENT = 10.0
_BATCHES_PER_S = 50
_SAME_PERSON_S = 10.0  # the same person is let in again
_RESAMPLES = 4000
_WAITED = "waited"  # seconds beside the processes' own
_JUNK = (b"v4.public." + b"A" * 300 + b".eyJraWQiOiJtYW5hZ2VyMSJ9", b"junk", b"\x00" * 600, b'{"action":"open"}')


def send(config: Path, per_s: int) -> None:
    """Send until killed; a line with the count after each batch.

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
    pairs: list[dict[int, float | None]] = []
    sent, seconds, load = 0, 0.0, [os.getloadavg()[0]]
    took_s: dict[int, Counter[str]] = {0: Counter(), per_s: Counter()}
    with DemoWorld(None, lambda _: None) as world:
        _need_ready(world)
        text = world.config.read_text(encoding="utf-8")
        world.config.write_text(text.replace(f"port = {world.uplink.port}\n", f"port = {world.broker.port}\n"))
        world.uplink.cut()
        world.children["agent"].kill()  # and up again, by the broker's own port
        _need_ready(world)
        world.children["server"].stop()  # the broker lets nobody else order, and a name in once; a door needs no server
        ways = Ways(world)
        for number in range(rounds):
            times_ms: dict[int, float | None] = {}
            for rate in (0, per_s) if number % 2 else (per_s, 0):
                ways.settle()
                again_s = time.monotonic() + _SAME_PERSON_S
                sender = _start(world, rate) if rate else None
                began_s, before = time.monotonic(), _cpu_s()
                times_ms[rate] = ways.face().took_ms
                took_s[rate].update(_cpu_s() - before)
                took_s[rate][_WAITED] += time.monotonic() - began_s
                if sender is not None:
                    sent += _stop(sender) - rate  # less the second before
                    seconds += time.monotonic() - began_s
                time.sleep(max(0.0, again_s - time.monotonic()))
            pairs.append(times_ms)
            print(f"flood: round {number + 1} of {rounds}", file=sys.stderr, flush=True)  # noqa: T201
    load.append(os.getloadavg()[0])
    both = [(took[0], took[per_s]) for took in pairs]
    return {
        "rounds": rounds, "missing": sum(None in pair for pair in both),
        "without": spread([quiet for quiet, _ in both if quiet is not None]),
        "with_junk": spread([noisy for _, noisy in both if noisy is not None]),
        **slower([(quiet, noisy) for quiet, noisy in both if quiet is not None and noisy is not None]),
        "times_ms": both, "junk_sent": sent, "junk_per_s": round(sent / seconds) if seconds else 0,
        "percent_of_a_core": {"without": _percents(took_s[0]), "with_junk": _percents(took_s[per_s])},
        "load_before_and_after": load,
    }  # fmt: skip


def slower(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """How much later the median is, in percent, from (without, with) in ms of each round; `below_bound` None: open."""
    if not pairs:
        return {"slower_percent": None, "slower_percent_95": None, "below_bound": None}
    chance = random.Random(0)  # noqa: S311  resampling
    again = sorted(_percent(chance.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    low, high = again[round(0.025 * _RESAMPLES)], again[round(0.975 * _RESAMPLES) - 1]
    below = True if high < BOUND_PERCENT else False if low >= BOUND_PERCENT else None
    return {
        "slower_percent": round(_percent(pairs), 1),
        "slower_percent_95": [round(low, 1), round(high, 1)],
        "below_bound": below,
    }


def _percent(pairs: Sequence[tuple[float, float]]) -> float:
    quiet, noisy = zip(*pairs, strict=True)
    return statistics.median(noisy) / statistics.median(quiet) * 100 - 100


def _need_ready(world: DemoWorld) -> None:
    if not world.wait_ready(120.0, threading.Event()):
        raise SystemExit("the simulated door did not get ready; try door-agent demo to see why")


def _cpu_s() -> Counter[str]:
    """Processor time so far: of this process, which plays the scenes, and of each process that it started."""
    spent: Counter[str] = Counter(scenes=time.process_time())
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            except OSError:
                continue  # it ended meanwhile
            name = words[2] if words[1:2] == ["-m"] else Path(words[0]).name
            spent[name] += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return spent


def _percents(spent: Counter[str]) -> dict[str, float]:
    return {name: round(100 * s / spent[_WAITED], 1) for name, s in spent.items() if name != _WAITED}


def _start(world: DemoWorld, per_s: int) -> subprocess.Popen[str]:
    send = ["--send", str(world.folder / "community.toml"), "--per-s", str(per_s)]
    command = [sys.executable, "-m", "tests.attack.flood", *send]
    sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    while int(sender.stdout.readline() or per_s) < per_s:
        pass  # the first second is no part of what is measured
    return sender


def _stop(sender: subprocess.Popen[str]) -> int:
    sender.kill()
    lines = sender.communicate(timeout=10)[0].split()
    return int(lines[-1]) if lines else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=count, default=20)
    parser.add_argument("--per-s", type=count, default=1000)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send is not None:
        send(arguments.send, arguments.per_s)
    report = run(arguments.rounds, arguments.per_s)
    print(json.dumps(report))  # noqa: T201
    return 1 if report["missing"] or report["below_bound"] is False else 0


if __name__ == "__main__":
    sys.exit(as_program("flood", main))
