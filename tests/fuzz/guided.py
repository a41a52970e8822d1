"""Hostile bytes guided by coverage: atheris (libFuzzer) looks for inputs that reach new lines of agent and hardware.

python -m tests.fuzz.fuzz --engine atheris --seconds 60               every target, each in a process of its own
Needs `.venv/bin/pip install atheris` (Linux, CPython 3.11 to 3.13); it is no dependency of the product. The last line
is one JSON object: runs per target, and faults with their input in base64. Exit 0 nothing found, 1 a fault, 2 no
atheris.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_DONE = re.compile(r"Done (\d+) runs")
_COVERED = re.compile(r"cov: (\d+)")
_SET_UP_S = 120  # instrumenting, and the last input
_MISSING = (
    "atheris is not installed: .venv/bin/pip install atheris (Linux, CPython 3.11 to 3.13), for this command only"
)


def run(names: tuple[str, ...], seconds: int, seed: int) -> int:
    """Each target for `seconds`; prints the report, returns the exit code."""
    if importlib.util.find_spec("atheris") is None:
        print(_MISSING, file=sys.stderr)  # noqa: T201
        return 2
    found = {}
    for name in names:
        found[name] = _in_its_process(name, seconds, seed)
        print(f"fuzz: {name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)  # noqa: T201
    faults = {name: report for name, report in found.items() if "fault" in report}
    runs = {name: report["runs"] for name, report in found.items()}
    covered = {name: report["covered"] for name, report in found.items()}
    print(json.dumps({"inputs": sum(runs.values()), "faults": faults, "per_target": runs, "covered": covered}))  # noqa: T201
    return int(bool(faults))


def _in_its_process(name: str, seconds: int, seed: int) -> dict[str, Any]:
    """LibFuzzer ends its process, so each target has one. A process that ends badly is a fault, whatever it said."""
    with tempfile.TemporaryDirectory(prefix="door-fuzz-") as folder:
        command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(seed), folder]
        try:
            done = subprocess.run(command, capture_output=True, timeout=seconds + _SET_UP_S, check=False)
            code, said = done.returncode, (done.stderr + done.stdout).decode(errors="replace")
        except subprocess.TimeoutExpired:
            code, said = -1, f"did not end within {seconds + _SET_UP_S} s"
        runs, covered = _DONE.search(said), _COVERED.findall(said)
        report = {"runs": int(runs[1]) if runs else 0, "covered": int(covered[-1]) if covered else 0}
        if code == 0 and runs:
            return report
        inputs = [path.read_bytes() for path in Path(folder).glob("fault-*")]
        return report | {"fault": said[-1500:], "inputs": [base64.b64encode(data).decode() for data in inputs]}


def _fuzz(name: str, seconds: int, seed: int, folder: Path) -> None:
    """In the target's process: only the product's own code is instrumented, at its import, which must come after."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["agent", "hardware"]):
        from tests.fuzz.seeds import SEEDS
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.fuzz import MAX_BYTES, Watch, warm_up

    warm_up([name])
    watch, target = Watch(), TARGETS[name]

    def one(data: bytes) -> None:
        wrong = watch.call(target, data)
        if wrong is not None:
            raise AssertionError(wrong)

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_BYTES}"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/fault-", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
