"""On the device, as root: drills that need the device's own clock and lines. `drills.py NAME FACTS`, FACTS as JSON.

Standard library only. The last line printed is one JSON object. Times are CLOCK_BOOTTIME seconds.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import probe
from fault_drill import faults
from feeder import order_from_afar
from lines import now_s, press
from tester import GUARD, Bench, all_up, ctl, kill, wait_for


def edges(facts: dict[str, Any]) -> dict[str, Any]:
    """Starts, stops, reloads and crashes; at every second of them somebody is going out."""
    bench, units, counts = Bench(facts), facts["units"], dict.fromkeys(("starts", "stops", "reloads", "crashes"), 0)
    chance = random.Random(facts.get("seed", 1))  # noqa: S311  repeatable, not secret
    all_up(*units)
    for n in range(facts["rounds"]):
        for k, act in enumerate(("stops", "reloads", "crashes")):
            if (n + k) % 2:
                bench.push_exit()
                wait_for(bench.relay_on, 2.0, "the exit button releases")
            if act == "stops":
                ctl("stop", *units)
                time.sleep(0.2)
                ctl("start", *units)
                counts["starts"] += 1
            elif act == "reloads":
                ctl("daemon-reload")
                ctl("reload-or-restart", *units)
            else:
                for unit in chance.choice(([GUARD], units[1:], units)):
                    kill(unit, signal.SIGKILL)
            counts[act] += 1
            all_up(*units)
            wait_for(lambda: not bench.relay_on(), bench.release_s + 1, "the relay drops")
    rises, orders = bench.rises(), len(bench.orders)
    return {**counts, "orders": orders, "rises": len(rises), "unordered_rises": len(bench.unordered())}


@dataclass(frozen=True)
class Pressed:
    """One press: when, how long until the relay line was energised, how often it was energised because of it."""

    at_s: float
    took_s: float
    rises: int


def latency(facts: dict[str, Any]) -> dict[str, Any]:
    """From the hand on the line to the energised relay, while a process takes all the computing time it can get."""
    bench = Bench(facts)
    helpers = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]),
        subprocess.Popen([sys.executable, probe.__file__]),
    ]
    try:
        fire = [one_press(bench, "fire", 0.0) for _ in range(facts["fires"])]
        exits = [one_press(bench, "exit", bench.release_s) for _ in range(facts["exits"])]
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
    return {
        "fire": summary(fire),
        "exit": summary(exits),
        "unordered_rises": sum(abs(p.rises - 1) for p in fire + exits),
    }


def one_press(bench: Bench, line: str, release_s: float) -> Pressed:
    """Press, wait for the relay, let go."""
    wait_for(lambda: not bench.relay_on(), release_s + 10, "dropped before the press")
    bench.scope.clear()
    hand(steady=True)
    at_s = press(bench.pins[line], high=False)
    hand(steady=False)
    wait_for(bench.relay_on, 5.0, f"{line} releases")
    time.sleep(0.06)  # longer than the debounce time, so that the next press is an edge again
    press(bench.pins[line], high=True)
    time.sleep(0.06)
    rises = bench.rises(at_s)
    # none: something else had energised it a moment before, which is as wrong as a second time
    return Pressed(at_s, rises[0] - at_s if rises else math.inf, len(rises))


def hand(*, steady: bool) -> None:
    """A person's hand does not wait for the device's scheduler between being timed and pressing."""
    policy = os.SCHED_FIFO if steady else os.SCHED_OTHER
    os.sched_setscheduler(0, policy, os.sched_param(10 if steady else 0))


def boot(facts: dict[str, Any]) -> dict[str, Any]:
    """What the scope saw since power-on, and whether the relay is energised now."""
    bench = Bench(facts, keep=True)
    return {"rises": len(bench.rises()), "energised": bench.relay_on()}


def forget(facts: dict[str, Any]) -> dict[str, Any]:
    """Clear the scope."""
    Bench(facts)
    return {}


def secured(facts: dict[str, Any]) -> dict[str, Any]:
    """Wait until the relay has been energised and dropped; what the scope saw."""
    bench = Bench(facts, keep=True)
    wait_for(lambda: bool(bench.rises()), 10, "the relay is energised")
    wait_for(lambda: not bench.relay_on(), 12, "the relay drops")
    return boot(facts)


def rest(facts: dict[str, Any]) -> dict[str, Any]:
    """Wait until the door is itself: services ready, relay dropped, nobody's release still to be accounted for."""
    bench = Bench(facts)
    all_up(*facts["units"])
    wait_for(lambda: not bench.relay_on(), 12, "the relay drops")
    time.sleep(1.0)
    return {}


def live(facts: dict[str, Any]) -> dict[str, Any]:
    """Do the acts at their moments; what was done when, every relay edge and every row of the journal since."""
    bench, done = Bench(facts), []
    last_row, began_s = newest_row(), now_s()
    for act in facts["acts"]:
        time.sleep(max(0.0, began_s + act["at_s"] - now_s()))
        if act["line"] == "wait":
            continue
        if act["line"] == "order":
            threading.Thread(target=order_from_afar, args=(act["words"],), daemon=True).start()
            continue
        if act["line"] == "guard":
            ctl("start" if act["active"] else "stop", GUARD)
            continue
        at_s = press(bench.pins[act["line"]], high=not act["active"])
        done.append({"at_s": at_s, "line": act["line"], "active": act["active"]})
        if act["line"] == "exit" and not act.get("held"):
            time.sleep(0.1)
            at_s = press(bench.pins["exit"], high=True)
            done.append({"at_s": at_s, "line": "exit", "active": False})
    time.sleep(facts["settle_s"])
    ended_s, relay = now_s(), bench.scope.changes(bench.pins["relay"])
    edges_ = [(at_s, level == bench.energised) for at_s, level in relay]
    return {"began_s": began_s, "ended_s": ended_s, "acts": done, "relay": edges_, "rows": rows_since(last_row)}


def newest_row() -> int:
    """The id of the journal's newest row."""
    with closing(journal()) as db:
        return int(db.execute("SELECT max(id) FROM rows").fetchone()[0])


def rows_since(last: int) -> list[dict[str, Any]]:
    """The journal's rows after `last`; of each what the twin has too."""
    found = []
    with closing(journal()) as db:
        for at_ms, kind, text in db.execute(
            "SELECT boottime_ms, kind, body FROM rows WHERE id > ? ORDER BY id", [last]
        ):
            body = json.loads(text)
            shown = {k: v for k, v in body.items() if k in {"state", "why", "cause", "reason", "faults"}}
            found.append({"at_s": at_ms / 1000, "kind": kind, "body": body, "shown": {"kind": kind, **shown}})
    return found


def journal() -> sqlite3.Connection:
    """For reading."""
    return sqlite3.connect("file:/var/lib/door-agent/journal.db?mode=ro", uri=True)


def summary(presses: list[Pressed]) -> dict[str, Any]:
    """Percentiles in milliseconds, by nearest rank: of all presses, and of those in which the rig itself did not stall.

    The device is a process on a machine with other work. While it is not run at all, nothing in it can be measured:
    the probe, of a higher priority than anything of ours, notes each time it was woken more than probe.STALL_S late.
    """
    stalls = probe.stalls_seen()
    fair = [p for p in presses if not any(a < p.at_s + p.took_s and b > p.at_s for a, b in stalls)]
    worst = max((b - a for a, b in stalls), default=0.0)
    raw, judged = sorted(p.took_s for p in presses), sorted(p.took_s for p in fair)
    return {
        "n": len(raw),
        "max_ms": rank_ms(raw, 1.0),
        "p999_of_all_ms": rank_ms(raw, 0.999),
        "rig_stalled_in": len(raw) - len(judged),
        "worst_rig_stall_ms": round(worst * 1000, 1),
        "p50_ms": rank_ms(judged, 0.5),
        "p99_ms": rank_ms(judged, 0.99),
        "p999_ms": rank_ms(judged, 0.999),
    }


def rank_ms(ordered: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 1) if ordered else math.inf


if __name__ == "__main__":
    drills = (edges, faults, latency, boot, forget, secured, rest, live)
    drill = {d.__name__: d for d in drills}[sys.argv[1]]
    sys.stdout.write(json.dumps(drill(json.loads(sys.argv[2]))) + "\n")
