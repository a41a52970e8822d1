"""`… rollout start BUNDLE --stage 1 --stage 10% --stage all | status | stop`: a release for many doors, in stages."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.core.updates import MAX_BUNDLE_BYTES, Bundle
from agent.errors import ConfigError, DoorAgentError
from deploy.community.office import Office
from deploy.community.rollout import Plan, Progress, check_stages
from deploy.community.rollout_store import RolloutStore
from deploy.community.settings import Settings

HEALTHY: Final = "1h"
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = subparsers.add_parser("rollout", help="a signed release for many doors, in stages")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, help_ in (
        ("start", "begin: the first stage is ordered within seconds"),
        ("status", "each door of it, and what it waits for"),
        ("stop", "no further door; what is fetched or waits is called off"),
    ):
        verb = verbs.add_parser(name, help=help_, description=help_)
        verb.add_argument("--json", action="store_true", help="machine-readable output")
        if name == "start":
            verb.add_argument("bundle", type=Path, metavar="BUNDLE", help="a signed bundle of `door-agent bundle`")
            verb.add_argument(
                "--stage",
                action="append",
                required=True,
                metavar="N",
                help="1, 10%% or all; each counts the ones before in",
            )
            verb.add_argument("--healthy", default=HEALTHY, metavar="TIME", help="before the next stage: 30m, 2h, 1d")
            verb.add_argument(
                "--first", action="append", default=[], metavar="SITE/DOOR", help="this door before others"
            )


def rollout(given: argparse.Namespace, settings: Settings, office: Office) -> None:
    """Do it and print it; what was begun and stopped is in the managers' record, written before it is done.

    Raises:
        DoorAgentError: for what a person must mend.
    """
    store = RolloutStore(settings.releases_dir)
    try:
        if given.verb == "status":
            plan = store.plan()
            told = {} if plan is None else _told(plan, store.progress(plan))
        elif given.verb == "stop":
            told = _stop(store, office)
        else:
            told = _start(given, settings, store, office)
    finally:
        office.close()
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n" if given.json else _words(told))


def _start(given: argparse.Namespace, settings: Settings, store: RolloutStore, office: Office) -> dict[str, Any]:
    from deploy.provision.bundles import read

    if not settings.bundles_port or settings.command_key_file is None:
        raise ConfigError(
            "this server rolls nothing out: set bundles_port, bundles_cert_file, bundles_key_file and command_key_file"
            " (`door-agent site server` with [all.updates] in the site file does)"
        )
    if fault := check_stages(tuple(given.stage)):
        raise DoorAgentError(fault, exit_code=2)
    healthy_s = _span(given.healthy)
    plan = store.plan()
    if plan is not None and not plan.stopped and not store.progress(plan).ended:
        raise DoorAgentError(f"{plan.bundle.release} is being rolled out; `rollout stop` first", exit_code=2)
    bundle = read(given.bundle)
    if not bundle.signed:
        raise DoorAgentError(f"{given.bundle} is not signed; no door would take it", exit_code=2)
    size = given.bundle.stat().st_size
    if size > MAX_BUNDLE_BYTES:
        raise DoorAgentError(f"{given.bundle} has {size} bytes, at most {MAX_BUNDLE_BYTES} are taken", exit_code=2)
    name = secrets.token_hex(6)
    begun = Plan(
        name, Bundle(bundle.release, store.take(given.bundle), size, name), str(bundle.target), tuple(given.stage),
        healthy_s, tuple(given.first), time.time_ns() // 1_000_000,
    )  # fmt: skip
    office.note(None, "rollout-start", bundle.release, " ".join(given.stage))
    store.write_plan(begun)
    return _told(begun, Progress(name))


def _stop(store: RolloutStore, office: Office) -> dict[str, Any]:
    plan = store.plan()
    if plan is None:
        raise DoorAgentError("there is no roll-out", exit_code=2)
    if not plan.stopped and not store.progress(plan).ended:
        plan = replace(plan, stopped="stopped by command")
        office.note(None, "rollout-stop", plan.bundle.release)
        store.write_plan(plan)
    return _told(plan, store.progress(plan))


def _span(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise DoorAgentError(f"--healthy {text}: a number and s, m, h or d, for example 30m", exit_code=2)
    return int(found[1]) * _SECONDS[found[2]]


def _told(plan: Plan, progress: Progress) -> dict[str, Any]:
    ended = progress.ended or ("stopped" if plan.stopped else "")
    doors = progress.to_json()["members"]
    return {
        "rollout": plan.id, "release": plan.bundle.release, "for": plan.machine, "stages": list(plan.stages),
        "stage": progress.stage + 1, "healthy_s": plan.healthy_s, "state": ended or "running",
        "why": progress.why or plan.stopped, "doors": doors,
    }  # fmt: skip


def _words(told: dict[str, Any]) -> str:
    if not told:
        return "there is no roll-out\n"
    state = f"{told['state']}: {told['why']}" if told["why"] else told["state"]
    stage = told["stages"][told["stage"] - 1]
    lines = [f"{told['release']} for {told['for']}: {state}; stage {told['stage']} of {len(told['stages'])} ({stage})"]
    for door, one in sorted(told["doors"].items()):
        said = one["said"] or ("ordered" if one["asked_ms"] else "not ordered yet")
        since = "" if one["healthy_ms"] is None else f", healthy for {_since(one['healthy_ms'])} min"
        lines.append(f"  {door}  {said}{': ' + one['why'] if one['why'] else ''}{since}")
    if not told["doors"] and told["state"] == "running":
        lines.append("  no connected door takes releases from afar and fits it yet ([updates] in its configuration)")
    return "\n".join(lines) + "\n"


def _since(at_ms: int) -> int:
    return max(0, time.time_ns() // 1_000_000 - at_ms) // 60_000
