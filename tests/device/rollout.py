"""A release from afar on the virtual device: root's part for real, by its unit, in its sandbox; the agent's is played.

What the agent leaves in its folder is put there in its name; who fetches and why is tested with processes elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from tests.device.harness.bench import Bench
from tests.device.harness.variants import SICK_AGENT, variant

ANSWER_WITHIN_S = 1500.0
SERVED = """\
[all.server]
host = "127.0.0.1"
[all.updates]
host = "127.0.0.1"
"""
_ASK = """\
set -e; cd /var/lib/door-agent; install -d -o door-agent -g door -m 700 update
install -o door-agent -g door -m 600 /home/pi/offered.tar update/{sha256}.tar; rm /home/pi/offered.tar
runuser -u door-agent -- sh -c 'cat > update/.new && mv update/.new update/request.json' <<'END'
{request}
END
"""
_LOOK = "cat /opt/door-agent/rollout.json"


def rollout(bench: Bench, _size: int) -> dict[str, Any]:
    """The next release; one that cannot live, which goes back by itself; one that is not signed."""
    site = bench.site / "site.toml"
    site.write_text(site.read_text().replace("[all.camera]", f"{SERVED}[all.camera]"))
    bench.fresh()
    provisioned = bench.call("provision", "--no-open")
    key, now = bench.authority.folder / "release.sign.key", int(time.time())
    said: dict[str, Any] = {"provisioned": provisioned.code, "path": _path(bench)}
    ready = provisioned.code == 0 and said["path"] == "active"
    broken = [] if ready else [f"set up: {said} {provisioned.said.get('error')}"]
    new = variant(bench.bundle, bench.site / "o.tar", key=key, serial=now + 10, mark="new")
    said["new"], runs = _asked(bench, "01"), _current(bench)
    broken += [] if (said["new"].get("state"), runs) == ("well", new) else [f"new: {said['new']}, {runs} runs"]
    sick = {"systemd/door-agent.service": SICK_AGENT}
    variant(bench.bundle, bench.site / "o.tar", key=key, serial=now + 20, mark="s", replace=sick)
    said["sick"], runs = _asked(bench, "02"), _current(bench)
    broken += (
        [] if (said["sick"].get("state"), runs) == ("rolled-back", new) else [f"sick: {said['sick']}, {runs} runs"]
    )
    variant(bench.bundle, bench.site / "o.tar", key=None, mark="u")
    said["unsigned"] = _asked(bench, "03")
    broken += [] if said["unsigned"].get("why") == "unsigned" else [f"unsigned: {said['unsigned']}"]
    if _path(bench) != "active" or bench.bad_modes():
        broken.append(f"afterwards: {_path(bench)}, {bench.bad_modes()}")
    return {"said": said, "broken_promises": broken}


def _asked(bench: Bench, order: str) -> dict[str, Any]:
    """The answer to a request for the bundle that lies in the site's folder; its `seconds` until then."""
    offered: Path = (bench.site / "o.tar").rename(bench.site / "offered.tar")
    digest, size = hashlib.sha256(offered.read_bytes()).hexdigest(), offered.stat().st_size
    bench.guest.push(offered, to="/home/pi/offered.tar")
    request = json.dumps({"order": order, "sha256": digest, "bytes": size})
    began_s = time.monotonic()
    bench.guest.run(_ASK.format(sha256=digest, request=request))
    while time.monotonic() < began_s + ANSWER_WITHIN_S:
        told = bench.guest.run(_LOOK, check=False).strip()
        answer: dict[str, Any] = json.loads(told) if told else {}
        if answer.get("order") == order and answer.get("state") not in ("installing", "switching"):
            return {**answer, "seconds": round(time.monotonic() - began_s)}
        time.sleep(2)
    return {"state": "no answer", "log": bench.guest.run("journalctl -u door-update -n 30 -o cat", check=False)[-2000:]}


def _current(bench: Bench) -> str:
    return bench.guest.run("readlink /opt/door-agent/current").strip().rpartition("/")[2]


def _path(bench: Bench) -> str:
    return bench.guest.run("systemctl is-active door-update.path", check=False).strip()
