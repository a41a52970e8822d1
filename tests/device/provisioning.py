"""Provisioning and updating on the virtual device, as an installer does it: one command over SSH, no other network.

    python -m tests.device.provisioning bare faults kills=30 update cuts=100 rollout faces
    python -m tests.device.provisioning faces --arch arm64 [--suite trixie]

bare: a bare image to a door that opened, a second run, ports, modes, secrets. faults: what cannot work is said clearly.
kills: killed at random points (laptop, runner, plug), resumed, compared with an undisturbed one. update: the next
release, a sick one, and those that must be refused. cuts: the plug at random writes of an update. rollout: what a
fetched release comes to. faces: a door with a camera, a resident who walks up, a stranger; also on emulated arm64,
which takes hours. See README.md. One JSON line each; exit 1 when a promise was broken, 2 when there is no
virtual device here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.device.faces import faces
from tests.device.harness.bench import Bench, Laptop
from tests.device.harness.image import PYTHON, Kind, why_not
from tests.device.harness.variants import SICK_AGENT, variant
from tests.device.interrupted import cuts, kills
from tests.device.rollout import rollout

MAX_MINUTES = 5.0


def bare(bench: Bench, _size: int) -> dict[str, Any]:
    """One command, then the same again."""
    first = bench.call("provision")
    second = bench.call("provision")
    opened = [one for one in first.said.get("tested", {}).get("results", []) if one["name"] == "opened once"]
    return {
        "steps_done": first.said.get("steps_done"),
        "device_s": first.said.get("seconds"),
        "whole_minutes": first.said.get("minutes"),
        "opened": opened[0]["found"] if opened else "no",
        "second_steps_done": second.said.get("steps_done"),
        "second_s": second.said.get("seconds"),
        "open_ports": bench.open_ports(),
        "private_keys": bench.secrets(),
        "bad_modes": bench.bad_modes(),
        "broken_promises": [
            name
            for name, kept in {
                "provisioned": first.code == 0 and first.said["steps_done"] > 0,
                "opened": bool(opened and opened[0]["ok"]),
                "under 5 minutes": first.code == 0 and first.said["seconds"] < MAX_MINUTES * 60,
                "second run does nothing": second.said.get("steps_done") == 0,
                "only SSH listens": bench.open_ports() == [22],
                "one private key, its own": bench.secrets() == ["/etc/door-agent/keys/device.key"],
                "modes": bench.bad_modes() == [],
            }.items()
            if not kept
        ],
        "errors": first.errors[-1500:] + second.errors[-1500:],
    }


def faults(bench: Bench, _size: int) -> dict[str, Any]:
    """Each: the exit code, the words, and that nothing was set up by it."""
    said: dict[str, str] = {}
    broken: list[str] = []

    def expect(name: str, done: Laptop, words: str) -> None:
        said[name] = str(done.said.get("error", ""))[:300]
        if done.code == 0 or words not in said[name] or "Traceback" in done.errors:
            broken.append(f"{name}: exit {done.code}, {said[name]!r} {done.errors[-300:]}")

    expect("wrong host key", bench.call("provision", words="acid " * 7 + "acid"), "not what --host-key says")
    with Away(bench, "installer_ed25519"):
        expect("unknown key", bench.call("provision"), "takes no password")
        bench.guest.run(
            "echo pi:right-one | chpasswd; sed -i 's/PasswordAuthentication no/PasswordAuthentication yes/' "
            "/etc/ssh/sshd_config.d/rig.conf; systemctl reload ssh"
        )
        secret = bench.site / "password"
        secret.write_text("wrong-one\n")
        expect("wrong password", bench.call("provision", "--password-file", str(secret)), "does not take this password")
        secret.write_text("right-one\n")
        by_password = bench.call("provision", "--password-file", str(secret), "--dry-run")
        if by_password.code:
            broken.append(f"first contact by password: {by_password.said} {by_password.errors[-300:]}")
        # a dry run leaves nothing there, so without the password nobody comes in
        expect("after a dry run", bench.call("provision", "--dry-run"), "not take this password")
    foreign = bench.site / "foreign.tar"
    variant(bench.bundle, foreign, key=bench.authority.folder / "release.sign.key", machine="aarch64")
    expect("wrong architecture", bench.call("provision", "--bundle", str(foreign)), "needs a bundle for x86_64-cp313")
    foreign.unlink()
    bench.guest.run("fallocate -l $(( ($(df -m --output=avail / | tail -1) - 100) ))M /var/full")
    expect("full disk", bench.call("provision"), "MiB free, expected")
    bench.guest.run("rm /var/full")
    site = bench.site / "site.toml"
    text = site.read_text()
    site.write_text(text.replace("pin = 17", "pin = 99"))
    expect("wrong site file", bench.call("provision"), "hardware.relay.pin")
    site.write_text(text.replace('source = "none"', 'source = "v4l2:/dev/video7"'))
    bench.guest.run("date -s '1970-01-02 03:04:05'")
    without = bench.call("provision")
    site.write_text(text)
    steps = {one["name"]: one for one in without.said.get("steps_taken", [])}
    said["clock in 1970"] = str(steps.get("clock", {}).get("found"))
    camera = [one for one in without.said.get("tested", {}).get("results", []) if one["name"] == "camera"]
    said["no camera"] = f"{camera[0]['found']}; {camera[0]['do_this']}" if camera else str(without.said)[:500]
    if without.code or "1970-01-02" not in said["clock in 1970"] or not camera or camera[0]["ok"]:
        broken.append(f"clock in 1970 and no camera: {without.code} {said} {without.errors[-500:]}")
    pins = bench.site / "known_hosts"
    pinned = pins.read_text()
    pins.write_text(pinned[:-6] + "AAAA" + pinned[-2:])
    expect("another device", bench.call("provision"), "not the device that was pinned")
    return {"said": said, "broken_promises": broken}


class Away:
    """The laptop without the site's key for a while: it makes itself a new one."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._paths = [bench.site / name, bench.site / f"{name}.pub"]

    def __enter__(self) -> None:
        self._kept = [path.read_bytes() for path in self._paths]
        for path in self._paths:
            path.unlink()

    def __exit__(self, *exc: object) -> None:
        for path, data in zip(self._paths, self._kept, strict=True):
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)


def update(bench: Bench, _size: int) -> dict[str, Any]:
    """The next release, one that cannot live, and those that must be refused."""
    bench.call("provision")
    key, now = bench.authority.folder / "release.sign.key", int(time.time())
    broken: list[str] = []
    said: dict[str, Any] = {}
    folder = bench.site / "others"
    folder.mkdir(exist_ok=True)
    new = variant(bench.bundle, folder / "new.tar", key=key, serial=now + 10, mark="new")
    taken = bench.call("update", "--bundle", str(folder / "new.tar"))
    said["new"] = {k: taken.said.get(k) for k in ("seconds", "seconds_down", "error")}
    if taken.code or taken.said.get("release") != new:
        broken.append(f"new release: {taken.said} {taken.errors[-500:]}")
    stranger = Bench(f"{bench.guest.folder.name}-stranger").site / "pki"
    from deploy.site_pki import SiteAuthority

    theirs = SiteAuthority.create(stranger, "other").folder / "release.sign.key"
    variant(bench.bundle, folder / "sick.tar", key=key, serial=now + 20, mark="s", replace={SICK: SICK_AGENT})
    variant(bench.bundle, folder / "unsigned.tar", key=None, mark="u")
    variant(bench.bundle, folder / "theirs.tar", key=theirs, serial=now + 30, mark="t")
    variant(bench.bundle, folder / "older.tar", key=key, serial=1, mark="o")
    for name, words in (
        ("sick", "taken back"),
        ("unsigned", "not signed"),
        ("theirs", "not signed by this site"),
        ("older", "older than what runs"),
    ):
        refused = bench.call("update", "--bundle", str(folder / f"{name}.tar"))
        said[name] = str(refused.said.get("error"))[:200]
        if refused.code == 0 or words not in said[name]:
            broken.append(f"{name}: {refused.said} {refused.errors[-300:]}")
        if new not in bench.guest.run("readlink /opt/door-agent/current"):
            broken.append(f"{name}: current is not {new}")
    subprocess.run(["rm", "-rf", stranger.parent, folder], check=True)
    return {"said": said, "broken_promises": broken}


SICK = "systemd/door-agent.service"
CAMPAIGNS: dict[str, Callable[[Bench, int], dict[str, Any]]] = {
    "bare": bare,
    "faults": faults,
    "kills": kills,
    "update": update,
    "cuts": cuts,
    "rollout": rollout,
    "faces": faces,
}
EMULATED = {"faces"}  # the others say something about time, or need what the emulator has not


def main() -> int:
    """Each in its turn, on devices of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.provisioning", usage=__doc__)
    parser.add_argument("campaigns", nargs="+", metavar="NAME[=SIZE]")
    parser.add_argument("--arch", choices=("amd64", "arm64"), default="amd64")
    parser.add_argument("--suite", choices=tuple(PYTHON), default="trixie")
    chosen = parser.parse_args()
    words, kind = [word.partition("=") for word in chosen.campaigns], Kind(chosen.arch, chosen.suite)
    if wrong := {name for name, _, _ in words} - (EMULATED if kind.arch != "amd64" else CAMPAIGNS.keys()):
        parser.error(f"not on {kind.arch}: {', '.join(sorted(wrong))}")
    if reason := why_not(asked=True):
        sys.stderr.write(reason + "\n")
        return 2
    broken = 0
    for name, _, size in words:
        with Bench(name if kind == Kind() else f"{name}-{kind.arch}-{kind.suite}", kind) as bench:
            result = CAMPAIGNS[name](bench, int(size or 3))
        broken += len(result["broken_promises"])
        sys.stdout.write(json.dumps({"campaign": name, "device": f"{kind.arch} {kind.suite}", **result}) + "\n")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
