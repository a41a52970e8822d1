"""Everything one door needs, in order: what the runner does for `door-agent provision`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.device import health, install, selftest, update
from deploy.device.access import access_steps
from deploy.device.boot import boot_steps, clock_step, free_mib
from deploy.device.commands import InstallError, call, quiet
from deploy.device.detached import detached
from deploy.device.files import ensure_folder, replace
from deploy.device.install import CONFIG, ROOT, Installer, mark_restart
from deploy.device.keys import key_steps, own
from deploy.device.steps import STATE, Look, Runner, Step, Talk, broken_off, file_step

TESTED = "tested.json"
NEEDED_FACTOR = 4  # the bundle, unpacked, installed, and room to breathe
PICTURES = Path("/run/door-agent-pictures")  # memory, not the card; made by the installer's user for itself alone
ENROL_S = 600.0
_PAGE_S = 60.0


class Setup:
    """Everything one door needs, in order; `plan` is what the laptop wrote (deploy/provision/provision.py)."""

    def __init__(self, plan: Mapping[str, Any], talk: Talk) -> None:
        self.plan, self.talk = plan, talk
        self.runner = Runner(talk, dry_run=bool(plan.get("dry_run")))
        self.release = ROOT / "releases" / plan["release"]
        self.python = str(self.release / "venv/bin/python")

    def run(self) -> dict[str, Any]:
        """Take every step; returns what the report needs."""
        if step := broken_off():
            self.talk.tell("resumed", step=step)
        if not self.runner.dry_run:
            shutil.rmtree(PICTURES, ignore_errors=True)  # of a run that was broken off
            update.keep_runner()
        self.runner.take([clock_step(self.plan["utc"])])
        self.runner.take(self._software())
        self.runner.take(key_steps(self.plan, Path(self.python), self.talk))
        self.runner.take(self._settings())
        self.runner.take(boot_steps(self.plan))
        self.runner.take([self._services()])
        self._page()
        self.runner.take(self._people())
        self.runner.take(access_steps(self.plan, self.talk))
        self.runner.take([self._test()])
        os.sync()  # what was copied in must survive a plug pulled right now
        tested = STATE / TESTED
        return json.loads(tested.read_text()) if tested.exists() else {}

    def _software(self) -> Iterator[Step]:
        key = self.plan["release_key"].encode()
        yield file_step("key for releases", install.RELEASE_KEY, key, 0o644, why="only this site's bundles from now on")
        yield Step("release", self.release.name, self._release_look, self._release_do, "program, units, weights")

    def _release_look(self) -> Look:
        current = ROOT / "current"
        have = Path(os.readlink(current)).name if current.is_symlink() else "none"  # noqa: PTH115  compared as text
        whole = (self.release / ".complete").exists() and (STATE / f"release-{self.release.name}").exists()
        return Look(have == self.release.name and whole, have)

    def _release_do(self) -> str:
        bundle = Path(self.talk.ask("bundle")["path"])
        needed = NEEDED_FACTOR * (bundle.stat().st_size >> 20)
        if free_mib() < needed and not self.release.exists():
            raise InstallError(f"the disk has {free_mib()} MiB free, the release needs {needed}: use a larger card")
        if in_use() and update.current() != self.release.name:
            # residents rely on it: another release is tried as one, and goes back by itself
            now = bool(self.plan.get("now"))
            detached(lambda talk: update.update(bundle, talk, now=now), self.talk)
            did = f"updated to {self.release.name}, which is well"
        else:
            # older than what a run before this one began with will do: nobody relies on it yet
            installer = Installer(bundle, None, older=True, note=lambda what: self.talk.tell("progress", what=what))
            installer.run(start=False)
            did = f"installed {self.release.name}"
        replace(STATE / f"release-{self.release.name}", b"", 0o600)
        bundle.unlink()
        return did

    def _settings(self) -> Iterator[Step]:
        data = self.plan["config"].encode()
        step = file_step("configuration", CONFIG, data, 0o640, why="from the site file")

        def do() -> str:
            draft = ensure_folder(STATE) / "door.toml"
            replace(draft, data, 0o600)
            call(str(self.release / "venv/bin/door-agent"), "check-config", "--config", str(draft))
            mark_restart()
            did = step.do()
            shutil.chown(CONFIG, "root", "door")
            return did

        yield Step(step.name, step.expected, step.look, do, step.why)

    def _services(self) -> Step:
        units = ["door-guard.service", "door-agent.service", "door-vision.service"]

        def look() -> Look:
            due, wanted = install.RESTART_DUE.exists(), install.UNITS / "multi-user.target.wants"
            down = [u for u in units if not quiet("systemctl", "is-active", u) or not (wanted / u).is_symlink()]
            return Look(
                not due and not down, "newer files than what runs" if due and not down else ", ".join(down) or "up"
            )

        def do() -> str:
            if in_use() and not self.plan.get("now"):
                update.wait_until_quiet(self.talk)
            installer = Installer(Path(), None, note=lambda _: None)
            installer.manifest = {"version": self.release.name}
            installer.install_units()
            installer.install_own_units()
            installer.start()
            return "enabled and started"

        return Step("services", "guard, agent, vision up", look, do, "started at every boot, restarted for ever")

    def _page(self) -> None:
        """A link to the door's own page, for the laptop's browser through the tunnel, where there is a [console]."""
        program = str(self.release / "venv/bin/door-agent")
        if self.plan.get("dry_run") or not Path(program).exists():
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired, KeyError, ValueError):  # the door matters more
            said = health.as_agent([program, "console", "--json"], timeout_s=_PAGE_S)
            if said.returncode == 0:
                link = json.loads(said.stdout)["link"]
                self.talk.tell("note", words=f"the door's page, while this runs (the link works once): {link}")

    def _people(self) -> Iterator[Step]:
        person = self.plan.get("enrol")
        if not person:
            return
        program = str(self.release / "venv/bin/door-agent")

        def enroll(*words: str) -> str:
            said = health.as_agent([program, "enroll", *words], timeout_s=ENROL_S)
            if said.returncode:
                raise InstallError(f"nobody was enrolled: {(said.stderr or said.stdout).strip()[-1000:]}")
            return said.stdout

        def look() -> Look:
            if not Path(program).exists():
                return Look(ok=False, found="nobody")
            people = json.loads(enroll("--list", "--json"))["people"]
            return Look(any(p["name"] == person["name"] for p in people), f"{len(people)} people")

        def do() -> str:
            try:
                self.talk.ask("pictures", folder=str(PICTURES))
                own(PICTURES, *PICTURES.iterdir())
                enroll(person["name"], *sorted(str(p) for p in PICTURES.iterdir()), "--consent")
            finally:
                shutil.rmtree(PICTURES, ignore_errors=True)
            return "enrolled from the pictures, which were deleted"

        yield Step("first resident", "enrolled", look, do, "somebody must be able to come in")

    def _test(self) -> Step:
        tested = STATE / TESTED
        stamp = hashlib.sha256((self.release.name + self.plan["config"]).encode()).hexdigest()

        def look() -> Look:
            if not tested.exists() or (before := json.loads(tested.read_text()))["of"] != stamp:
                return Look(ok=False, found="not tested as it is now")
            well = sum(one["ok"] for one in before["results"])
            found = f"{well} of {len(before['results'])} well at {before['at']}"
            this_run = before.get("run") == self.plan["utc"]
            if self.plan.get("test_again") and not this_run:
                return Look(ok=False, found=found)
            seen = any(one["ok"] for one in before["results"] if one["name"] == selftest.OPENED)
            return Look(seen or this_run or self.plan["open"] == "no", found if seen else f"{found}, never opened")

        def do() -> str:
            results = selftest.run(self.plan, self.talk)
            at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            facts = {"of": stamp, "at": at, "run": self.plan["utc"], "results": [asdict(one) for one in results]}
            for one in results:
                if one.name == selftest.OPENED and not one.ok and not one.found.startswith(selftest.NOT_TRIED):
                    tested.unlink(missing_ok=True)
                    raise InstallError(f"the door did not open: {one.found}. Do this: {one.do_this}")
            replace(tested, json.dumps(facts).encode(), 0o600)
            return f"{sum(one.ok for one in results)} of {len(results)} well"

        return Step("self-test", "done with this release and configuration", look, do, "a door that was seen to open")


def in_use() -> bool:
    """Whether the door was started once: residents may rely on it."""
    started = install.UNITS / "multi-user.target.wants" / "door-agent.service"
    return (ROOT / "current").is_symlink() and CONFIG.exists() and started.is_symlink()
