"""Provisioning and an update broken off on the virtual device: no laptop any more, a killed runner, a pulled plug."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from tests.device.campaigns.powercut import copy_card, entry_ends
from tests.device.harness.bench import Bench
from tests.device.harness.variants import variant

BOOT_LOOK = r"""
for i in $(seq 60); do [ -e /opt/door-agent/trial.json ] || systemctl is-active -q door-agent && break; sleep 1; done
for i in $(seq 120); do [ -e /opt/door-agent/trial.json ] || break; sleep 1; done
# a release that was taken back is just starting then
for i in $(seq 60); do systemctl is-active -q door-agent && break; sleep 1; done
readlink /opt/door-agent/current; systemctl is-active door-guard door-agent
cat /run/gpio/GPIO17/value; cd /
runuser -u door-agent -- /opt/door-agent/current/venv/bin/door-agent events verify --json | tr -d '\n'; echo
"""


def kills(bench: Bench, size: int) -> dict[str, Any]:
    """`size` kills over as many devices as needed; each device is finished and compared with an undisturbed one."""
    chance = random.Random(7)  # noqa: S311  repeatable, not secret
    began_s = time.monotonic()
    undisturbed = bench.call("provision")
    longest_s, wanted = time.monotonic() - began_s, bench.state()
    done, in_steps = {"laptop": 0, "runner": 0, "plug": 0}, Counter[str]()
    different, unfinished = [], [] if undisturbed.code == 0 else [f"undisturbed: {undisturbed.errors[-300:]}"]
    while sum(done.values()) < size and not unfinished:
        bench.fresh()
        while sum(done.values()) < size:
            how, after_s = chance.choice(["laptop", "laptop", "runner", "plug"]), chance.uniform(1.0, longest_s)
            if not kill(bench, how, after_s, str(chance.randrange(1000))):
                break  # the door was ready before
            done[how] += 1
            step = killed_in(bench)
            in_steps[step] += 1
            sys.stderr.write(f"kill {sum(done.values())}/{size}: {how} after {after_s:.0f} s, in: {step}\n")
        last = bench.call("provision")
        if last.code:
            unfinished.append(f"{last.said.get('error')} {last.errors[-300:]}")
        elif (found := bench.state()) != wanted:
            different.append(sorted(set(found.splitlines()) ^ set(wanted.splitlines()))[:8])
        elif bench.call("provision").said.get("steps_done") != 0:
            different.append(["a second run had something to do"])
    broken = ["same end state"] * bool(different) + ["resumed"] * bool(unfinished)
    return {
        "kills": done, "in_steps": in_steps, "undisturbed_s": round(longest_s),
        "different": different, "unfinished": unfinished, "broken_promises": broken,
    }  # fmt: skip


def killed_in(bench: Bench) -> str:
    """What the runner's journal says last: the step that was broken off, or the last one done."""
    lines = bench.guest.run("tail -n 1 /var/lib/door-agent-setup/journal.jsonl", check=False)
    try:
        last = json.loads(lines)
    except ValueError:  # none yet, or torn
        return "before the first step"
    return str(last["step"]) if last["what"] == "begin" else f"after {last['step']}"


def kill(bench: Bench, how: str, after_s: float, keep: str) -> bool:
    """One run that is killed after a while; false when it ended before."""
    with bench.typing("provision") as typed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            typed.wait(after_s)
        if typed.poll() is not None:
            return False
        if how == "runner":
            bench.guest.run("pkill -9 -f '[p]ython3 /var/tmp/door-agent-setup/runner.pyz' || true")
        if how == "plug":
            bench.guest.cut(keep)
    if how == "plug":
        bench.guest.start()
    return True


def cuts(bench: Bench, size: int) -> dict[str, Any]:
    """One update recorded write by write; the plug pulled at `size` random writes; each card booted and looked at."""
    bench.call("provision", "--no-open")
    guest, chance = bench.guest, random.Random(size)  # noqa: S311  repeatable, not secret
    guest.off()
    card, before = guest.folder / "card.raw", bench.site / "before.raw"
    copy_card(card, before)
    guest.start()
    old = bench.release
    rows = events(bench)
    new = variant(
        bench.bundle, bench.site / "new.tar", key=bench.authority.folder / "release.sign.key",
        serial=int(time.time()) + 10, mark="new",
    )  # fmt: skip
    began = len(entry_ends(guest.folder / "writes.log"))
    taken = bench.call("update", "--bundle", str(bench.site / "new.tar"))
    guest.cut("all")
    log = (guest.folder / "writes.log").rename(bench.site / "kept.log")
    ends = entry_ends(log)
    came_up, bad = {old: 0, new: 0}, [] if taken.code == 0 else [f"{taken.said} {taken.errors[-300:]}"]
    # most of the log is the copy of the bundle; half of the cuts fall into its last tenth, where things are switched
    for n in range(size):
        first = began if n % 2 else len(ends) - (len(ends) - began) // 10
        upto = chance.randrange(first, len(ends) + 1)
        copy_card(before, card)
        command = [guest.rig / "lose-writes", log, card, ("none", "all", str(n))[n % 3], str(upto)]
        subprocess.run(command, check=True, capture_output=True)
        guest.start()
        found = guest.run(BOOT_LOOK, check=False, timeout_s=400).splitlines()
        guest.cut("none")
        came_up_with = found[0].split("/")[-1] if found else "nothing"
        well = came_up_with in came_up and found[1:4] == ["active", "active", "0"] and verified(found[4:], rows)
        came_up[came_up_with] = came_up.get(came_up_with, 0) + 1
        if not well:
            bad.append({"upto": upto, "of": len(ends), "found": found})
        sys.stderr.write(f"cut {n + 1}/{size} at {upto}/{len(ends)}: {came_up_with} {'well' if well else found}\n")
    log.unlink()
    return {"cuts": size, "came_up": came_up, "rows_before": rows, "bad": bad, "broken_promises": ["cut"] * bool(bad)}


def events(bench: Bench) -> int:
    """Rows in the journal now."""
    said = bench.guest.run(
        "cd /; runuser -u door-agent -- /opt/door-agent/current/venv/bin/door-agent events verify --json"
    )
    return int(json.loads(said)["rows"])


def verified(lines: list[str], rows: int) -> bool:
    """Whether the journal is whole and has at least the rows from before."""
    try:
        said = json.loads(lines[0])
    except (IndexError, ValueError):
        return False
    return bool(said["ok"]) and int(said["rows"]) >= rows
