"""A door with a camera: from a bare device by one command to a resident whose face opens it, and a stranger's not.

Everything that runs on the device is real: camera driver, vision, agent and guard under systemd, the kernel's line. Who
walks up is a film (fixtures/scenes.py) in the loopback camera; on an emulated device in slow motion.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fixtures.player import film, pictures
from fixtures.scenes import enrolment_pictures
from tests.device.harness.bench import Bench, Laptop
from tests.device.harness.door import HERE, PINS

NAME = "First Resident"
FILMS = {"empty": "empty", "resident": "resident_walks_up", "stranger": "stranger_walks_up"}
FOLDER, DEVICE = "/home/pi/films", "/dev/video0"
WIDTH_PX, HEIGHT_PX, FILM_FPS = 640, 360, 10
# pictures of a film that are shown in a second: an emulated processor is not asked to see faster than it can
SHOWN_FPS = {"amd64": 10, "arm64": 2}
CAMERA = f'source = "v4l2:{DEVICE}"\nwidth_px = {WIDTH_PX}\nheight_px = {HEIGHT_PX}\nfps = {{fps}}'
LONGEST_S = 10.0  # the guard's cap
# what the bench does to doctor's checks: no time server's packet reaches the device, and its watchdog is held off
BENCHS = {"clock", "kernel watchdog"}
# without both: the time server is played (kernel and systemd are told, as its daemon would, that the clock is kept)
TIME_SERVER = """
import ctypes, os, struct
os.makedirs("/run/systemd/timesync", exist_ok=True)
open("/run/systemd/timesync/synchronized", "w").close()
kept = struct.pack("=I4x4qi", 0x1C, 0, 0, 0, 0, 0)  # linux/timex.h: status, greatest and estimated error, all nought
ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(kept, 208))
"""
VERSIONS = """
cd /; . /etc/os-release; echo "system=$PRETTY_NAME"; echo machine=$(uname -m); echo kernel=$(uname -r)
echo board=$(tr -d '\\0' < /proc/device-tree/model 2>/dev/null || sed -n 's/^Model[^:]*: //p' /proc/cpuinfo)
echo release=$(readlink /opt/door-agent/current | sed 's|.*/||')
/opt/door-agent/current/venv/bin/python - <<'END'
import importlib.metadata as m, platform
print("python=" + platform.python_version())
for name in ("lgpio", "gpiozero", "opencv-python-headless", "onnxruntime", "numpy", "paho-mqtt"):
    print(f"{name}={m.version(name)}")
END
"""


def faces(bench: Bench, _size: int) -> dict[str, Any]:
    """Provision, look, let the resident walk up, then a stranger, then provision again."""
    film_s = _equip(bench)
    first = _provision(bench)
    if first.code:
        return {"broken_promises": ["provisioned"], "errors": f"{first.said.get('error')} {first.errors[-1500:]}"}
    said: dict[str, Any] = {"versions": _versions(bench), **_provisioned(first)}
    said["not_green"] = _not_green(bench)
    bench.guest.run(f"python3 -c '{TIME_SERVER}'; rm /etc/systemd/system.conf.d/zz-rig.conf; systemctl daemon-reload")
    said["not_green_left_alone"] = _not_green(bench)
    bench.guest.without_watchdog()
    _ready(bench)
    said["resident"] = _walk_up(bench, "resident", film_s)
    said["stranger"] = _walk_up(bench, "stranger", film_s)
    second = _provision(bench)
    said |= {"second_steps_done": second.said.get("steps_done"), "second_s": second.said.get("seconds")}
    return {**said, "broken_promises": broken(said), "errors": second.errors[-500:]}


def _provision(bench: Bench) -> Laptop:
    chosen = sorted(map(str, (bench.site / "pictures").iterdir()))
    return bench.call("provision", "--enrol", NAME, *chosen, "--consent")


def _equip(bench: Bench) -> float:
    """A camera in the site file, the resident's pictures beside it, films on the device; how long one film lasts."""
    fps, site = SHOWN_FPS[bench.kind.arch], bench.site / "site.toml"
    site.write_text(site.read_text().replace('source = "none"', CAMERA.format(fps=fps)))
    (bench.site / "pictures").mkdir()
    for number, image in enumerate(enrolment_pictures("resident")):
        cv2.imwrite(str(bench.site / "pictures" / f"{number}.jpg"), image)
    films = bench.site / "films"
    films.mkdir()
    longest = max(_raw(film(scene, FILM_FPS), films / f"{name}.yuyv") for name, scene in FILMS.items())
    bench.guest.push(films, HERE / "on_device", to="/home/pi/")
    command = f"python3 /home/pi/on_device/projector.py {DEVICE} {WIDTH_PX}x{HEIGHT_PX} {fps} {FOLDER}"
    bench.guest.run(f"chown -R root {FOLDER}; systemd-run -q --unit=rig-projector -p Restart=always {command}")
    return longest / fps


def _raw(source: Path, into: Path) -> int:
    """A film as the loopback camera takes it; how many pictures it has."""
    number = 0
    with into.open("wb") as out:
        for number, jpeg in enumerate(pictures(source), 1):  # noqa: B007  counted
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            small = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
            out.write(cv2.cvtColor(small, cv2.COLOR_BGR2YUV_YUYV).tobytes())
    return number


def _versions(bench: Bench) -> dict[str, str]:
    return dict(line.split("=", 1) for line in bench.guest.run(VERSIONS).splitlines() if "=" in line)


def _provisioned(first: Laptop) -> dict[str, Any]:
    results = first.said.get("tested", {}).get("results", [])
    return {
        "steps_done": first.said.get("steps_done"),
        "device_s": first.said.get("seconds"),
        "whole_minutes": first.said.get("minutes"),
        "opened": next((one["found"] for one in results if one["name"] == "opened once" and one["ok"]), ""),
    }


def _not_green(bench: Bench) -> dict[str, str]:
    """What doctor finds that is not well, and under "of" how many checks it made."""
    checks = json.loads(bench.guest.run("door-agent doctor --json", check=False))["checks"]
    return {"of": str(len(checks))} | {one["name"]: one["found"] for one in checks if not one["ok"]}


def _ready(bench: Bench) -> None:
    """Vision is up and has not begun anew for a while."""
    end_s = time.monotonic() + 120 * bench.kind.times
    while bench.guest.run("systemctl is-active door-vision", check=False).strip() != "active":
        if time.monotonic() > end_s:
            raise TimeoutError("door-vision does not come up")
        time.sleep(2)


def _walk_up(bench: Bench, who: str, film_s: float) -> dict[str, Any]:
    """What the relay's line did while `who` walked up, and the rows that the journal has of it."""
    command = f"python3 /home/pi/on_device/walk_up.py {FOLDER} {who} {PINS['relay']} 1 {film_s * 3 + 60:.0f}"
    seen: dict[str, Any] = json.loads(bench.guest.run(command, timeout_s=film_s * 3 + 120))
    lines = bench.guest.run("door-agent events list --json --newest 40").splitlines()
    rows = [row for row in map(json.loads, lines) if row["boottime_ms"] >= seen["began_s"] * 1000]
    seen["rows"] = [
        {"kind": row["kind"], "after_s": round(row["boottime_ms"] / 1000 - seen["began_s"], 1)}
        | {key: row["body"].get(key) for key in TOLD if row["body"].get(key) is not None}
        for row in rows
        if row["kind"].startswith("AccessControl/")
    ]
    seen["log"] = bench.guest.run("journalctl -u door-vision -n 5 -o cat", check=False).splitlines()
    return seen


TOLD = ("credential", "person_id", "reason", "verdict", "frames", "decided_ms")


def broken(said: dict[str, Any]) -> list[str]:
    """What did not hold."""
    resident, stranger = said["resident"], said["stranger"]
    granted = [row for row in resident["rows"] if row["kind"].startswith("AccessControl/AccessGranted/Credential")]
    refusals = {row.get("reason") for row in stranger["rows"] if row["kind"].startswith("AccessControl/Denied/")}
    on_s = [at_s for at_s, level in resident["changes"] if level == 1]
    off_s = [at_s for at_s, level in resident["changes"] if level == 0]
    kept = {
        "provisioned": bool(said["steps_done"]),
        "opened once": bool(said["opened"]),
        "doctor": set(said["not_green"]) - {"of"} <= BENCHS,
        "doctor green where the bench leaves it alone": set(said["not_green_left_alone"]) == {"of"},
        "the resident's face opens": len(granted) == 1 and granted[0].get("credential") == "face",
        "the relay's line moved once": len(resident["energised"]) == 1 and len(on_s) == 1,
        "and was dropped in time": bool(on_s and off_s) and 0 < off_s[-1] - on_s[0] <= LONGEST_S,
        "the stranger is refused": "CredentialNotFound" in refusals,
        "and nothing moves for him": stranger["energised"] == [] and stranger["at_the_end"] == 0,
        "second run does nothing": said["second_steps_done"] == 0,
    }
    return [name for name, held in kept.items() if not held]
