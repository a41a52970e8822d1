"""The face path on emulated arm64, with the wheels that a Raspberry Pi gets, compared with this machine.

python -m tests.device.arm64 [--suite bookworm|trixie] [--work DIR]

Needs `qemu-aarch64-static` (Debian's qemu-user-static), `mmdebstrap`, Debian's mirror, and about 700 MB in DIR. A root
of Debian for arm64 is unpacked (nothing in it is run but its Python), the lock's wheels for that Python are laid out as
pip lays them out, and on_device/faces.py runs there and here. The last line is one JSON object; exit 0: same verdicts,
and vectors as near as the bounds below; 1: not; 2: this machine cannot show it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.evaluation.speed import decoded
from deploy.bundle import Target, download_wheels
from deploy.own_wheel import PACKAGES, PROJECT, own_wheel
from fixtures.pictures import PicturesMissingError
from fixtures.player import film, pictures
from fixtures.scenes import enrolment_pictures
from models.manifest import known
from models.store import Store

PYTHON = {"bookworm": "cp311", "trixie": "cp313"}
SCRIPT = PROJECT / "tests" / "device" / "on_device" / "faces.py"
SAME_NETWORK = 0.9999  # cosine of the vectors of one chip on both machines
SAME_NETWORK_8_BITS = 0.98  # integer kernels of different processors round differently
SAME_FACE = 0.98  # of one picture: OpenCV shrinks pictures a little differently on arm, which moves the five points
NEAR = slice(33, 52)  # frames of the walk-up from 2 m to the door
PICTURES = 3


class Missing(Exception):  # noqa: N818  not an error of the product: this machine lacks something
    """What this machine cannot do."""


def main(argv: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.arm64", description=__doc__)
    parser.add_argument("--suite", choices=sorted(PYTHON), default="bookworm")
    parser.add_argument("--work", type=Path, help="kept for the next run; default: a folder that is removed")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).resolve()
        try:
            root, site = _root(work, arguments.suite), _wheels(work, Target("aarch64", PYTHON[arguments.suite]))
            scene = _scene(work)
        except (Missing, PicturesMissingError) as missing:
            _say({"campaign": "arm64", "ok": None, "skipped": str(missing)})
            return 2
        here = _run([sys.executable, str(SCRIPT), str(scene / "here")], {"PYTHONPATH": str(PROJECT)})
        python = root / "usr" / "bin" / f"python3.{PYTHON[arguments.suite][3:]}"
        home = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": f"{site}", "OPENBLAS_NUM_THREADS": "1"}
        command = [
            "qemu-aarch64-static",
            "-cpu",
            "cortex-a72",
            "-L",
            str(root),
            str(python),
            str(SCRIPT),
            str(scene / "there"),
        ]
        there = _run(command, home)
    report = _compare(here, there)
    _say(report)
    return 0 if report["ok"] else 1


def _say(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")


def _root(work: Path, suite: str) -> Path:
    """Debian for arm64, unpacked and not configured."""
    root = work / f"root-{suite}"
    if root.exists():
        return root
    for tool in ("qemu-aarch64-static", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed")
    wanted = "--include=python3,libgomp1,libstdc++6,zlib1g"
    made = root.with_suffix(".new")
    shutil.rmtree(made, ignore_errors=True)
    _must("mmdebstrap", "--arch=arm64", "--variant=extract", wanted, suite, str(made))
    _play_pi(made)
    made.rename(root)
    return root


def _play_pi(root: Path) -> None:
    """A Pi 4's /proc/cpuinfo: the emulator shows this machine's, on which ONNX Runtime's reader of it crashes."""
    lines = ("BogoMIPS\t: 108.00", "Features\t: fp asimd evtstrm crc32 cpuid", "CPU implementer\t: 0x41",
             "CPU architecture: 8", "CPU variant\t: 0x0", "CPU part\t: 0xd08", "CPU revision\t: 3")  # fmt: skip
    cores = ["\n".join((f"processor\t: {core}", *lines)) for core in range(4)]
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text("\n\n".join(cores) + "\n")


def _wheels(work: Path, target: Target) -> Path:
    """Every wheel of the lock and door-agent's own, laid out for that machine; nothing of this machine's."""
    site = work / f"site-{target}"
    made, kept = site.with_suffix(".new"), work / f"wheels-{target}"
    if not kept.exists():
        fresh = kept.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        download_wheels(target, fresh, leave_out=frozenset({"face-recognition-models"}))
        _pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(fresh), "face-recognition-models==0.3.0")
        fresh.rename(kept)
    for old in (*kept.glob("door_agent-*.whl"),):
        old.unlink()
    own_wheel(kept)
    for folder in (site, made):
        shutil.rmtree(folder, ignore_errors=True)
    for wheel in sorted(kept.glob("*.whl")):
        _must(sys.executable, "-m", "zipfile", "-e", str(wheel), str(made))
    made.rename(site)
    absent = [name for name in PACKAGES if not (site / name).is_dir()]
    if absent:
        raise Missing(f"the wheel of door-agent holds no {', '.join(absent)}")
    return site


def _scene(work: Path) -> Path:
    """Pictures, frames and weights, once for each machine: neither sees what the other converted."""
    scene = work / "scene"
    shutil.rmtree(scene, ignore_errors=True)
    frames = decoded(list(pictures(film("resident_walks_up", 10.0))))[NEAR]
    for side in ("here", "there"):
        for name, images in (("pictures", enrolment_pictures("resident")[:PICTURES]), ("frames", frames)):
            (scene / side / name).mkdir(parents=True)
            for number, image in enumerate(images):
                cv2.imwrite(str(scene / side / name / f"{number:03}.png"), image)
        (scene / side / "weights").mkdir()
        store = Store(None, None)
        for entry in known():
            for file in entry.files:
                path = store.path(entry, file) if store.status(entry).state == "ready" else None
                if path is not None and not file.package:
                    shutil.copy(path, scene / side / "weights" / file.name)
    return scene


def _compare(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    paths = []
    for one, other in zip(here["paths"], there["paths"], strict=True):
        network = float(np.dot(one["network"], other["network"]))
        faces = [float(np.dot(a, b)) for a, b in zip(one["templates"], other["templates"], strict=True)]
        same = (
            one["engine"] == other["engine"]
            and _verdicts(one) == _verdicts(other)
            and network >= (SAME_NETWORK_8_BITS if "8bit" in one["engine"] else SAME_NETWORK)
            and min(faces) >= SAME_FACE
        )
        seconds = {key: other[key] for key in ("load_s", "enrol_s", "watch_s")}
        cosines = {"network_cosine": round(network, 6), "face_cosine": round(min(faces), 5)}
        facts = {"engine": other["engine"], "same": same, **cosines, **seconds}
        paths.append({**facts, "findings": other["findings"]})
    return {
        "campaign": "arm64", "machine": there["machine"], "python": there["python"], "codes": there["codes"],
        "paths": paths, "ok": there["machine"] == "aarch64" and there["codes"] and all(one["same"] for one in paths),
    }  # fmt: skip


def _verdicts(path: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    return [(one["verdict"], one["person"], one["replayed"]) for one in path["findings"]]


def _run(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DOOR_AGENT", "VIRTUAL"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean | environment)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _pip(*arguments: str) -> None:
    _must(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)


def _must(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{command[0]} failed: {done.stderr.strip()[-400:]}")


if __name__ == "__main__":
    sys.exit(main())
