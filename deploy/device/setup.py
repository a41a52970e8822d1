"""Everything one door needs, in order: what the runner does for `door-agent provision`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.device import install, selftest
from deploy.device.access import access_steps
from deploy.device.boot import boot_steps, clock_step, free_mib
from deploy.device.files import ensure_folder, replace
from deploy.device.install import CONFIG, ROOT, Installer, InstallError, call, mark_restart
from deploy.device.keys import key_steps
from deploy.device.steps import STATE, Look, Runner, Step, Talk, broken_off, file_step

TESTED = "tested.json"
NEEDED_FACTOR = 4  # the bundle, unpacked, installed, and room to breathe


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
        self.runner.take([clock_step(self.plan["utc"])])
        self.runner.take(self._software())
        self.runner.take(key_steps(self.plan, Path(self.python), self.talk))
        self.runner.take(self._settings())
        self.runner.take(boot_steps(self.plan))
        self.runner.take([self._services()])
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
        Installer(bundle, None, note=lambda what: self.talk.tell("progress", what=what)).run(start=False)
        replace(STATE / f"release-{self.release.name}", b"", 0o600)
        bundle.unlink()
        return f"installed {self.release.name}"

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
            down = [u for u in units if not install.quiet("systemctl", "is-active", u) or not (wanted / u).is_symlink()]
            return Look(
                not due and not down, "newer files than what runs" if due and not down else ", ".join(down) or "up"
            )

        def do() -> str:
            installer = Installer(Path(), None, note=lambda _: None)
            installer.manifest = {"version": self.release.name}
            installer.install_units()
            installer.start()
            return "enabled and started"

        return Step("services", "guard, agent, vision up", look, do, "started at every boot, restarted for ever")

    def _people(self) -> Iterator[Step]:
        person = self.plan.get("enrol")
        if not person:
            return
        agent = ["runuser", "-u", "door-agent", "-g", "door", "--", str(self.release / "venv/bin/door-agent"), "enroll"]

        def look() -> Look:
            if not Path(agent[6]).exists():
                return Look(ok=False, found="nobody")
            people = json.loads(call(*agent, "--list", "--json"))["people"]
            return Look(any(p["name"] == person["name"] for p in people), f"{len(people)} people")

        def do() -> str:
            folder = Path(self.talk.ask("pictures")["path"])
            pictures = sorted(str(p) for p in folder.iterdir())
            try:
                call(*agent, person["name"], *pictures, "--consent")
            finally:
                shutil.rmtree(folder)
            return "enrolled from the pictures, which were deleted"

        yield Step("first resident", "enrolled", look, do, "somebody must be able to come in")

    def _test(self) -> Step:
        tested = STATE / TESTED
        stamp = hashlib.sha256((self.release.name + self.plan["config"]).encode()).hexdigest()

        def look() -> Look:
            if not tested.exists() or (before := json.loads(tested.read_text()))["of"] != stamp:
                return Look(ok=False, found="not tested as it is now")
            well = sum(one["ok"] for one in before["results"])
            return Look(not self.plan.get("test_again") or before.get("run") == self.plan["utc"],
                        f"{well} of {len(before['results'])} well at {before['at']}")  # fmt: skip

        def do() -> str:
            results = selftest.doctor()
            for one in results:
                self.talk.tell("result", **asdict(one))
            if self.plan["open"]:
                self.talk.ask("eyes", words=f"watch the lock: it opens for {selftest.OPEN_S:.0f} s")
                results.append(selftest.open_once())
                self.talk.tell("result", **asdict(results[-1]))
            if self.plan.get("wires"):
                results += selftest.wires(self.talk)
            at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            facts = {"of": stamp, "at": at, "run": self.plan["utc"], "results": [asdict(one) for one in results]}
            replace(tested, json.dumps(facts).encode(), 0o600)
            if self.plan["open"] and not any(one.ok for one in results if one.name == "opened once"):
                tested.unlink()
                raise InstallError("the door did not open: " + results[-1].found)
            return f"{sum(one.ok for one in results)} of {len(results)} well"

        return Step("self-test", "done with this release and configuration", look, do, "a door that was seen to open")
