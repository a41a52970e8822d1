"""The laptop's end of the runner: sends the plan, answers questions, shows each step as it goes."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.bundle import make_runner
from deploy.provision.ssh import DeviceError, Session

FOLDER = "/var/tmp/door-agent-setup"  # noqa: S108  on the device, made with mode 0700 by the installer's own user
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Show = Callable[[Mapping[str, Any]], None]


@dataclass
class Outcome:
    """What a run came to."""

    steps: list[Mapping[str, Any]] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)
    end: Mapping[str, Any] = field(default_factory=dict)


def push_runner(session: Session, scratch: Path) -> str:
    """The runner's path on the device."""
    local = scratch / "runner.pyz"
    make_runner(local)
    session.run(f"umask 077; mkdir -p {FOLDER} && chmod 700 {FOLDER} && rm -f {FOLDER}/runner.pyz")
    session.send(local, f"{FOLDER}/runner.pyz")
    return f"{FOLDER}/runner.pyz"


def push_bundle(session: Session, path: Path, show: Show) -> str:
    """The bundle's path on the device, where it was begun before gone on with; what failed runs left of others goes."""
    session.run(f"find {FOLDER} -maxdepth 1 -name '*.tar' ! -name {quote(path.name)} -delete")
    target = f"{FOLDER}/{path.name}"
    session.send(path, target, lambda done, size: show({"t": "copy", "done": done, "of": size}))
    return target


def converse(
    session: Session, command: str, first: Mapping[str, Any], answers: Mapping[str, Answer], show: Show
) -> Outcome:
    """Run one verb of the runner to its end.

    Raises:
        DeviceError: the runner said why it stopped, or the connection broke.
    """
    outcome = Outcome()
    with session.open(f"sudo -n python3 {command}") as runner:
        if runner.stdin is None or runner.stdout is None or runner.stderr is None:
            raise DeviceError("no pipes to ssh")
        _write(runner.stdin, first)
        for line in runner.stdout:
            said = _parse(line)
            match said.get("t"):
                case "ask":
                    answer = answers.get(str(said["what"]))
                    _write(runner.stdin, answer(said) if answer else {"refused": f"nobody answers {said['what']}"})
                case "failed":
                    raise DeviceError(str(said["why"]))
                case "end":
                    outcome.end = said
                case "step":
                    outcome.steps.append(said)
                case "result":
                    outcome.results.append(said)
            show(said)
        if not outcome.end:
            time.sleep(0.2)
            words = runner.stderr.read().strip().splitlines()
            why = words[-1] if words else "the device or the network went away"
            raise DeviceError(f"the connection ended ({why}); run the same command again, it goes on from here")
    return outcome


def _write(pipe: Any, message: Mapping[str, Any]) -> None:  # noqa: ANN401  a text pipe
    try:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()
    except BrokenPipeError as error:
        raise DeviceError("the connection ended; run the same command again, it goes on from here") from error


def _parse(line: str) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {"t": "noise", "words": line.rstrip()}
    return said if isinstance(said, dict) else {"t": "noise", "words": line.rstrip()}


def quote(path: str) -> str:
    """For a shell on the device."""
    return shlex.quote(path)
