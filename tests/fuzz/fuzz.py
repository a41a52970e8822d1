"""Hostile bytes for everything that parses: no exception, no file, no process, no socket, no query may come of them.

python -m tests.fuzz.fuzz --n 10000000 --processes 2      (`make fuzz N=10000000`)
python -m tests.fuzz.fuzz --engine atheris --seconds 60 --target ack      guided by coverage, see guided.py

Inputs are seeds with bytes changed, taken out, doubled, spliced with another, and JSON values swapped for nasty ones.
Every input is counted once, when its target has returned. The last line is one JSON object: inputs, faults, per target.
A fault is printed with the input in base64.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import get_context
from typing import Any

from agent.command_line import as_program, count
from tests.fuzz import guided
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS, Target

_NASTY: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"0", b"1e999", b"-1e999", b"1e-999", b"9007199254740993", b"1" + b"0" * 400, b'"\\ud800"',
    b'"\\u0000"', b'"\' OR 1=1; --"', b'"$(reboot)"', b'"../../etc/shadow"', b"[" * 300, b'{"a":' * 300, b"{}", b"[]",
    b"NaN", b"Infinity", b'""', b'"' + b"A" * 3000 + b'"', b'"\\u202e"', b"\xff\xfe", b"\xed\xa0\x80", b"\x00",
    b"1.7976931348623157e308", b"4294967296", b"-0.0", b'"%s%n"', b"PK\x03\x04", b"\x1f\x8b\x08",
)  # fmt: skip
_FORBIDDEN = frozenset({
    "open", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.remove",
    "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.listdir",
    "os.scandir", "sqlite3.connect", "socket.connect", "socket.bind", "socket.getaddrinfo", "shutil.rmtree",
    "shutil.copyfile", "ctypes.dlopen", "pickle.find_class", "webbrowser.open",
})  # fmt: skip
MAX_BYTES = 8192
_KEPT_FAULTS = 20
_TOLD_EVERY = 200_000  # a run that is stopped has said how far it was


class Watch:
    """Notes whatever a target does to the world (Python's audit events); they can't be switched off again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in _FORBIDDEN:
            self.seen.append(f"{event}{arguments!r}"[:200])

    def call(self, target: Target, data: bytes) -> str | None:
        """What went wrong, or None."""
        self.seen.clear()
        self.on = True
        try:
            target(data)
        except Exception as e:  # noqa: BLE001  that is what is looked for
            self.on = False
            return f"{type(e).__name__}: {e}"[:200]
        finally:
            self.on = False
        return self.seen[0] if self.seen else None


def changed(rng: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One input."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, way = rng.randrange(len(data) + 1), rng.randrange(8)
        if way == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif way == 1 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif way == 2:
            del data[at : at + rng.choice((1, 2, 10, 100))]
        elif way == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 64)))
        elif way == 4:
            data[at:at] = data[at : at + 50] * rng.choice((1, 2, 20))
        elif way == 5:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            data[at:] = other[cut:]
        elif way == 6:
            data[at:at] = rng.choice(_NASTY)
        else:
            _swap_value(rng, data)
    return bytes(data[:MAX_BYTES])


def _swap_value(rng: random.Random, data: bytearray) -> None:
    """A JSON value (what stands between a colon and the next comma or brace) for a nasty one."""
    colons = [n for n, byte in enumerate(data) if byte == ord(":")]
    if not colons:
        return
    begin = rng.choice(colons) + 1
    ends = [n for n in (data.find(b",", begin), data.find(b"}", begin)) if n >= 0]
    data[begin : min(ends, default=len(data))] = rng.choice(_NASTY)


def warm_up(names: Iterable[str]) -> None:
    """Imports and caches of a first call are not an input's doing."""
    for name in names:
        for data in SEEDS[name]:
            TARGETS[name](data)


def _tell(text: str) -> None:
    print(f"fuzz: {text}", file=sys.stderr, flush=True)  # noqa: T201


def attempt(seed: int, inputs: int, names: tuple[str, ...]) -> dict[str, Any]:
    """One process's part: as many inputs, shared out evenly over the targets."""
    rng, watch = random.Random(seed), Watch()  # noqa: S311  repeatable
    counts: Counter[str] = Counter()
    faults: dict[str, dict[str, str]] = {}  # one of a kind
    warm_up(names)
    for number in range(inputs):
        name = names[number % len(names)]
        data = changed(rng, SEEDS[name])
        wrong = watch.call(TARGETS[name], data)
        counts[name] += 1
        if wrong is not None and len(faults) < _KEPT_FAULTS and name + wrong[:40] not in faults:
            fault = {"target": name, "fault": wrong, "input": base64.b64encode(data).decode()}
            faults[name + wrong[:40]] = fault
            _tell(json.dumps(fault))
        if (number + 1) % _TOLD_EVERY == 0:
            _tell(f"{number + 1} of {inputs}, {len(faults)} faults")
    return {"counts": dict(counts), "faults": list(faults.values())}


def run(inputs: int, *, seed: int = 1, processes: int = 1, names: tuple[str, ...] = tuple(TARGETS)) -> dict[str, Any]:
    """All parts, added up."""
    started_s = time.monotonic()
    parts = [(seed * 1000 + n, inputs // processes + (n < inputs % processes), names) for n in range(processes)]
    if processes == 1:
        reports = [attempt(*parts[0])]
    else:
        with get_context("spawn").Pool(processes) as pool:
            reports = pool.starmap(attempt, parts)
    counts: Counter[str] = sum((Counter(r["counts"]) for r in reports), Counter())
    faults = [fault for r in reports for fault in r["faults"]]
    seconds = round(time.monotonic() - started_s, 1)
    return {"inputs": counts.total(), "faults": faults, "per_target": dict(counts), "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=count, default=100_000, help="inputs (default 100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=count, default=1)
    parser.add_argument("--target", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    parser.add_argument("--seconds", type=count, default=60, help="with atheris: so long for each target (default 60)")
    arguments = parser.parse_args()
    names = (arguments.target,) if arguments.target else tuple(TARGETS)
    if arguments.engine == "atheris":
        return guided.run(names, arguments.seconds, arguments.seed)
    result = run(arguments.n, seed=arguments.seed, processes=arguments.processes, names=names)
    print(json.dumps(result))  # noqa: T201
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(as_program("fuzz", main))
