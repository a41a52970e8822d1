"""Attacks on the door's two signed ways in, through the product's own desks, mailbox and stores: none may open.

python -m tests.attack.campaign --n 1000000 --processes 2      (`make attack N=1000000`)

Rounds of good openings (they must open, or the refusals around them prove nothing) and of attacks, over reboots, old
state put back, and clocks at 1970, 2038 and 2099. The last line is one JSON object: attempts, openings (by attack),
by_reason, by_attack, controls, controls_refused. Exit code 1 when anything opened or a good one did not.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from agent.command_line import as_program, count
from agent.core.journal import ClockQuality
from tests.attack.attacked_door import Door
from tests.attack.forged_codes import CodeForger
from tests.attack.forged_commands import CommandForger

_NTP, _RTC, _NONE = ClockQuality.NTP, ClockQuality.RTC, ClockQuality.NONE
# wall time of the door (None: the true one) and what it says of it
CLOCKS: dict[str, tuple[float | None, ClockQuality]] = {
    "true": (None, _NTP),
    "1970, not known": (0.0, _NONE),
    "1970, believed": (0.0, _NTP),
    "1970, from a dead battery": (3600.0, _RTC),
    "2038": (2_147_483_640.0, _NTP),
    "2099": (4_089_000_000.0, _NTP),
    "2099, not known": (4_089_000_000.0, _NONE),
}
_SPOILS = ("none", "none", "reboot", "restore", *[name for name in CLOCKS if name != "true"])


class Siege:
    """One door under attack; `run` goes on until `attempts` reaches what was asked."""

    def __init__(self, folder: Path, seed: int, per_round: int = 400) -> None:
        self._per_round = per_round
        self.rng = random.Random(seed)  # noqa: S311  repeatable
        self.door = Door(folder)
        self.commands, self.codes = CommandForger(self.door), CodeForger(self.door)
        self.attempts = self.openings = self.controls = 0
        self.by_reason: Counter[str] = Counter()
        self.by_attack: Counter[str] = Counter()
        self.opened_by: Counter[str] = Counter()
        self.controls_refused: Counter[str] = Counter()
        self.clock_name = "true"

    def run(self, attempts: int) -> None:
        """Rounds until there were as many attacks."""
        number = 0
        while self.attempts < attempts:
            self._round(_SPOILS[number % len(_SPOILS)], min(self._per_round, attempts - self.attempts))
            number += 1
        self.door.stop()

    def _round(self, spoil: str, attacks: int) -> None:
        if spoil == "restore":
            self.door.back_up("backup")
        obeyed = self.commands.obeyed
        self._good_ones()
        self.commands.hold()
        self.codes.film()
        if spoil == "reboot":
            self.door.reboot(self.rng.choice([1.0, 20.0, 4000.0]))
        elif spoil == "restore":
            self.door.restore("backup", self.rng.choice([1.0, 6.0, 20.0, 4000.0]))
            self.commands.obeyed = obeyed
            self.codes.used_visits.clear()  # what a door forgot with its folder no door can know: deploy/SECURITY.md
        elif spoil in CLOCKS:
            self._set_clock(spoil)
        self.commands.forget_challenge()
        for _ in range(attacks):
            self._attack()
            self.door.clock.advance(self.rng.expovariate(2))
        if spoil in CLOCKS:
            self._good_ones()
            self._set_clock("true")
        self.door.wait(40.0)  # codes of this round are stale in the next, whatever the clock did

    def _set_clock(self, name: str) -> None:
        self.clock_name = name
        utc_s, said = CLOCKS[name]
        self.door.post()  # a loop turns four times a second
        self.door.clock.set_to(utc_s, said)
        self.door.wait(11.0)

    # ------------------------------------------------------------ what must open

    def _good_ones(self) -> None:
        """An order from afar opens under every clock, a phone while its time is the door's or the door knows none."""
        command = self.commands.good()
        self._must_open(f"command, clock {self.clock_name}", self.door.command, command)
        self._strike(("command", "duplicated"), lambda: self.door.command(command))
        self.commands.note_used(command)
        self.door.wait(12.0)
        if self.clock_name in ("true", "1970, not known", "1970, from a dead battery"):
            code = self.codes.good()
            self._must_open(f"phone, clock {self.clock_name}", self.door.code, code)
            self._strike(("code", "duplicated"), lambda: self.door.code(code))
            self.codes.note_used(code)
            self.door.wait(12.0)
        if self.clock_name == "true":
            visit = self.codes.visit()
            self._must_open("visitor, clock true", self.door.code, visit)
            self._strike(("code", "duplicated"), lambda: self.door.code(visit))
            self.codes.used_visits.append(visit)
            self.door.wait(6.0)  # from here on a used code is judged again

    def _must_open(self, what: str, deliver: Callable[[bytes], str], payload: bytes) -> None:
        self.controls += 1
        reason = deliver(payload)
        if reason:
            self.controls_refused[f"{what}: {reason}"] += 1

    # ------------------------------------------------------------ what must not

    def _attack(self) -> None:
        if self.rng.random() < 0.5:
            name = self.rng.choice(list(self.commands.make))
            payload, retained = self.commands.make[name](self.rng)
            self._strike(("command", name), lambda: self.door.command(payload, retained=retained))
        else:
            name = self.rng.choice(self._code_attacks())
            code = self.codes.make[name](self.rng)
            self._strike(("code", name), lambda: self.door.code(code))

    def _code_attacks(self) -> list[str]:
        """Without a clock a door believes any step that rises and no visitor: what a film is worth then is written."""
        names = list(self.codes.make)
        if CLOCKS[self.clock_name][1] is not _NTP:
            names.remove("from the future")
        return names

    def _strike(self, what: tuple[str, str], deliver: Callable[[], str]) -> None:
        self.attempts += 1
        reason = deliver()
        self.by_attack[": ".join(what)] += 1
        if reason:
            self.by_reason[f"{what[0]}: {reason}"] += 1
        else:
            self.openings += 1
            self.opened_by[f"{what[0]}: {what[1]}, clock {self.clock_name}"] += 1

    def report(self) -> dict[str, Any]:
        """What happened here."""
        return {
            "attempts": self.attempts,
            "openings": self.openings,
            "controls": self.controls,
            "by_reason": dict(self.by_reason),
            "by_attack": dict(self.by_attack),
            "opened_by": dict(self.opened_by),
            "controls_refused": dict(self.controls_refused),
        }


def besiege(seed: int, attempts: int, per_round: int = 400) -> dict[str, Any]:
    """One process's part."""
    with tempfile.TemporaryDirectory() as folder:
        siege = Siege(Path(folder) / "door", seed, per_round)
        siege.run(attempts)
        return siege.report()


def run(attempts: int, *, seed: int = 1, processes: int = 1) -> dict[str, Any]:
    """All parts, added up."""
    share = [attempts // processes + (n < attempts % processes) for n in range(processes)]
    parts = [(seed * 1000 + n, size) for n, size in enumerate(share)]
    started_s = time.monotonic()
    if processes == 1:
        reports = [besiege(*parts[0])]
    else:
        with get_context("spawn").Pool(processes) as pool:
            reports = pool.starmap(besiege, parts)
    total: dict[str, Any] = {name: sum(r[name] for r in reports) for name in ("attempts", "openings", "controls")}
    for name in ("by_reason", "by_attack", "opened_by", "controls_refused"):
        counted: Counter[str] = sum((Counter(r[name]) for r in reports), Counter())
        total[name] = dict(sorted(counted.items()))
    return {**total, "seconds": round(time.monotonic() - started_s, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=count, default=20_000, help="attacks (default 20,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=count, default=1)
    arguments = parser.parse_args()
    result = run(arguments.n, seed=arguments.seed, processes=arguments.processes)
    print(json.dumps(result))  # noqa: T201
    return int(bool(result["openings"] or result["controls_refused"]))


if __name__ == "__main__":
    sys.exit(as_program("campaign", main))
