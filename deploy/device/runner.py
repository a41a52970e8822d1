"""The program that provisioning runs on a device: `python3 runner.pyz VERB`, as root, Python 3.11 and nothing else.

setup             the plan is the first line of standard input; talks one JSON object a line
undo              operating system settings as before the first run; the door's own files stay
install BUNDLE    only the release (see deploy/device/install.py)
update BUNDLE     another release, with the health gate and the way back (see deploy/device/update.py); goes on without
                  the connection that started it; --allow-older, --now
staged            by door-update.path: a release that the agent fetched (see deploy/device/staged.py)
settle            at boot: finish or take back what a power cut interrupted
ssh-back          by a timer: SSH as it was before a change that nobody confirmed
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.device import access, boot, install, staged, update
from deploy.device.commands import InstallError, quiet
from deploy.device.detached import detached, unheard
from deploy.device.setup import Setup
from deploy.device.steps import STATE, Talk, note, undo

LOCK = Path("/run/door-agent-setup.lock")
LOCK_WAIT_S = update.GATE_WITHIN_S


COUNT_AGAIN = (
    "systemctl daemon-reexec",
    "systemctl restart systemd-journald",
    "systemctl reload ssh",
    "sysctl --system",
)
FAULTS = (InstallError, OSError, subprocess.SubprocessError, tarfile.TarError, ValueError)


def setup() -> int:
    """The verb."""
    talk = Talk()
    plan = json.loads(sys.stdin.readline())
    began_s = time.monotonic()
    try:
        with one_at_a_time(talk):
            job = Setup(plan, talk)
            tested = job.run()
    except FAULTS as error:
        talk.tell("failed", why=str(error))
        return 1
    if not plan.get("dry_run") and job.runner.done:
        note("end", "all")
    seconds = round(time.monotonic() - began_s, 1)
    talk.tell("end", steps=job.runner.seen, steps_done=job.runner.done, seconds=seconds, tested=tested)
    return 0


@contextlib.contextmanager
def one_at_a_time(talk: Talk) -> Iterator[None]:
    """Two runs at one device: the second waits, because the first may be one whose laptop has gone."""
    end_s = time.monotonic() + LOCK_WAIT_S
    with LOCK.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end_s:
                    raise InstallError("somebody else is setting up this device; wait and try again") from error
            talk.tell("progress", what="another run is still busy here; waiting for it")
            time.sleep(3)
        if talk.deaf:
            raise InstallError("whoever asked for this has gone")
        yield


def run_update(words: list[str]) -> int:
    """The verb update: BUNDLE [--allow-older] [--now]."""
    talk = Talk()
    began_s = time.monotonic()
    older, now = "--allow-older" in words, "--now" in words
    try:
        with one_at_a_time(talk):
            if said := unheard():
                talk.tell("note", words=f"what ran here last had lost its laptop; it {said}")
            facts = detached(lambda its: update.update(Path(words[0]), its, older=older, now=now), talk)
    except FAULTS as error:
        talk.tell("failed", why=str(error))
        return 1
    talk.tell("end", seconds=round(time.monotonic() - began_s, 1), **facts)
    return 0


def run_staged() -> int:
    """The verb staged: what the agent asks for by a file, if there is anything."""
    talk = Talk()
    try:
        with one_at_a_time(talk):
            staged.take(talk)
    except FAULTS as error:
        talk.tell("failed", why=str(error))
        return 1
    return 0


def settle() -> int:
    """The verb: SSH as somebody came in by it, and a verdict for an update that has none."""
    talk = Talk()
    try:
        access.take_back()
        with one_at_a_time(talk):
            update.finish(talk)
    except FAULTS as error:
        sys.stderr.write(f"not settled, the next start tries again: {error}\n")
        return 1
    return 0


def take_back() -> int:
    """The verb undo."""
    talk = Talk()
    try:
        with one_at_a_time(talk):
            access.take_back()  # what is on trial would come back by its timer
            did = [str(boot.BOOT_CONFIG)] if boot.take_out_block() else []
            did += undo()
            (STATE / access.CONFIRMED).unlink(missing_ok=True)
    except FAULTS as error:
        talk.tell("failed", why=str(error))
        return 1
    for command in COUNT_AGAIN:
        quiet(*command.split())
    talk.tell("end", steps_done=len(did), restored=did)
    return 0


def main() -> None:
    """Pick the verb."""
    # sudo hands down what the account or its image has, perhaps 077; the door's users have to run what is made here.
    # What is for few gets its mode where it is written
    os.umask(0o022)
    verb, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if verb == "setup":
        sys.exit(setup())
    if verb == "undo":
        sys.exit(take_back())
    if verb == "update":
        sys.exit(run_update(rest))
    if verb == "staged":
        sys.exit(run_staged())
    if verb == "ssh-back":
        access.take_back()
        sys.exit(0)
    if verb == "settle":
        sys.exit(settle())
    if verb == "install":
        sys.exit(install.main(rest))
    sys.stderr.write(__doc__ or "")
    sys.exit(2)
