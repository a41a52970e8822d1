"""What is well on this device: systemd's word on the services, the guard's own, and the report of the release's doctor.

A release under test is judged with it, so nothing that the release says or does may end the judgement: a doctor that
hangs, dies or talks nonsense is one that is not well.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from deploy.device.commands import call, quiet
from deploy.device.guard_end import GuardEnd
from deploy.device.install import CONFIG, ROOT

SERVICES: Final = ("door-guard", "door-agent", "door-vision")
NEEDED: Final = frozenset({"service door-guard", "service door-agent", "guard answers"})  # well before or not
# of doctor's checks, those that depend on what is outside this device: after a power cut the whole house is still down
OUTSIDE: Final = frozenset({"server", "clock"})
DOCTOR_S: Final = 120.0
VERDICT_S: Final = 45.0
LONGEST_START_S: Final = 240.0  # above every TimeoutStartSec of systemd/: a long journal is read, models are converted
_SETTLED_S: Final = 6.0  # a service that dies at once is restarted within it, which is seen
_REPORT: Final = "doctor"
_AGENT_HOME: Final = "/var/lib/door-agent"  # what it keeps of converted networks; root's own it may not look into


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report."""

    name: str
    ok: bool
    found: str
    expected: str
    do_this: str = ""


def health() -> dict[str, bool]:
    """Name of what was looked at -> whether it is well."""
    restarts = {unit: _restarts(unit) for unit in SERVICES}
    report = doctor()
    found = {one.name: one.ok for one in report}
    found[_REPORT] = bool(report) and report[0].name != _REPORT
    found["guard answers"] = _guard_answers()
    time.sleep(_SETTLED_S)
    for unit in SERVICES:
        found[f"service {unit}"] = quiet("systemctl", "is-active", unit) and _restarts(unit) == restarts[unit]
    return found


def ailing(well: Iterable[str], leave_out: Collection[str] = ()) -> list[str]:
    """What was well, or has to be, and is not now, after a fair time; a service that is still starting gets its own.

    A check that this release does not know says nothing; without a report all of them are ill.
    """
    wanted, began_s = (set(well) | NEEDED) - set(leave_out), time.monotonic()
    while True:
        now = health()
        ill = sorted(name for name in wanted if not now.get(name, now[_REPORT]))
        over_s = time.monotonic() - began_s
        if not ill or over_s > LONGEST_START_S or (over_s > VERDICT_S and not any(map(_starting, SERVICES))):
            return ill
        time.sleep(2)


def doctor() -> list[Result]:
    """What the current release's own doctor says, asked as the agent's user. Never raises for what it does."""
    command = [f"{ROOT}/current/venv/bin/door-agent", "doctor", "--json", "--config", str(CONFIG)]
    try:
        said = as_agent(command, timeout_s=DOCTOR_S)
    except subprocess.TimeoutExpired:
        return [_no_report(f"no answer within {DOCTOR_S:.0f} s")]
    except (OSError, LookupError) as error:  # not there; its user is not there
        return [_no_report(str(error))]
    try:
        checks = json.loads(said.stdout)["checks"]
        return [Result(**{key: one[key] for key in ("name", "ok", "found", "expected", "do_this")}) for one in checks]
    except (ValueError, LookupError, TypeError):
        return [_no_report((said.stdout + said.stderr).strip()[-300:])]


def _no_report(found: str) -> Result:
    return Result(_REPORT, ok=False, found=found, expected="a report", do_this="on the device: sudo door-agent doctor")


def as_agent(
    command: list[str], *, timeout_s: float, group: str = "door", told: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program of a release as the agent's user, who may look at the cameras too.

    Raises:
        subprocess.TimeoutExpired, OSError, KeyError: it hangs, or it or its user is not there.
    """
    return subprocess.run(  # noqa: S603  our own programs
        command, capture_output=True, text=True, check=False, timeout=timeout_s, cwd="/", input=told, errors="replace",
        user="door-agent", group=group, extra_groups=["video"], env=os.environ | {"HOME": _AGENT_HOME},
    )  # fmt: skip


def busy() -> str:
    """Who or what is at the door, in words; empty when it is quiet or there is no guard to ask."""
    try:
        guard = GuardEnd()
    except OSError:
        return ""  # an update may be what it needs
    guard.close()
    if guard.hello.get("relay"):
        return "the lock is released"
    inputs: dict[str, Any] = guard.hello.get("inputs", {})
    if active := [name for name in ("contact", "exit", "fire") if inputs.get(name)]:
        return f"{active[0]} is active"
    said = _agent_says()
    return said.removeprefix("busy: ") if said.startswith("busy: ") else ""


def not_left_alone() -> str:
    """Why a door may not be updated with nobody watching, in words; empty when guard and agent both say it is quiet.

    Stricter than `busy`: a lock-down, an alarm, a fault, and a part that does not answer count too.
    """
    said = _agent_says()
    if said != "quiet":
        return said.partition(": ")[2] or "the agent does not say that it is quiet"
    return busy() or ("" if _guard_answers() else "no guard answers")


def _agent_says() -> str:
    return call("systemctl", "show", "-p", "StatusText", "--value", "door-agent").strip()


def _guard_answers() -> bool:
    try:
        guard = GuardEnd()
    except OSError:
        return False
    guard.close()
    return "relay" in guard.hello


def _starting(unit: str) -> bool:
    return call("systemctl", "show", "-p", "SubState", "--value", unit).strip() in {"start", "start-pre", "start-post"}


def _restarts(unit: str) -> str:
    return call("systemctl", "show", "-p", "NRestarts,MainPID", unit)
