"""The vision process itself, as it runs at a door: what an empty hall costs it, and its memory with somebody there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.core.vision_messages import (
    MAX_TEMPLATES_PER_MESSAGE,
    CameraChanged,
    Finding,
    GalleryAdd,
    GalleryBegin,
    GalleryCommit,
    GalleryLoaded,
    GalleryRow,
    Hello,
    Settings,
)
from agent.errors import DoorAgentError
from agent.vision_link import VisionLink

_PATIENCE_S: Final = 60.0
_SETTLE_S: Final = 2.0
_MEASURED_S: Final = 8.0
_FRAME_S: Final = 0.1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CONFIG: Final = """\
[door]
site = "bench"
id = "bench"
lock_type = "fail-secure"
lock_duty = "continuous"
[hardware]
backend = "simulated"
[hardware.relay]
pin = 17
[hardware.inputs.contact]
pin = 22
[camera]
source = "still:{folder}/now.jpg"
[runtime]
agent_dir = "{folder}"
guard_dir = "{folder}"
[store]
state_dir = "{folder}"
"""


@dataclass(slots=True)
class _AgentEnd:
    """What the agent does for the vision process: roster and settings at its Hello."""

    rows: Sequence[GalleryRow]
    news: list[object] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    link: VisionLink | None = None

    def post(self, event: object) -> None:
        if isinstance(event, Hello) and self.link is not None:
            step = MAX_TEMPLATES_PER_MESSAGE
            parts = [tuple(self.rows[at : at + step]) for at in range(0, len(self.rows), step)]
            policy = "standard" if event.liveness else "convenience"
            begin = GalleryBegin(1, event.model_id, event.alignment_id)
            self.link.send([Settings(policy, 1.0, 20.0), begin, *map(GalleryAdd, parts), GalleryCommit(1)])
        with self.arrived:
            self.news.append(event)
            self.arrived.notify_all()

    def wait(self, *kinds: type) -> None:
        """Until there is news of each kind.

        Raises:
            DoorAgentError: there is none.
        """
        with self.arrived:
            if not self.arrived.wait_for(
                lambda: all(any(isinstance(one, kind) for one in self.news) for kind in kinds), _PATIENCE_S
            ):
                raise DoorAgentError(f"the vision process said nothing of {kinds} within {_PATIENCE_S:g} s")


@dataclass(slots=True)
class _Film:
    """The camera: one picture file that is replaced ten times a second."""

    path: Path
    jpegs: Sequence[bytes]
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stopping.wait(_FRAME_S):
            jpegs = self.jpegs
            part = self.path.with_suffix(".part")
            part.write_bytes(jpegs[number % len(jpegs)])
            part.replace(self.path)
            number += 1


def at_rest(rows: Sequence[GalleryRow], empty: Sequence[bytes], walk_up: Sequence[bytes]) -> dict[str, float]:
    """`idle_core_percent` of one core on an empty hall at ten frames a second, `rss_mib` at most, somebody there too.

    `rows`: who is enrolled; `empty`, `walk_up`: JPEG pictures. Everything the process does counts, decoding included.
    Raises DoorAgentError where it does not start, naming what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="door-bench-") as name:
        folder = Path(name)
        (folder / "door.toml").write_text(_CONFIG.format(folder=folder), encoding="utf-8")
        agent, film = _AgentEnd(rows), _Film(folder / "now.jpg", empty)
        agent.link = VisionLink(folder / "vision.sock", agent.post, lambda _: None)
        agent.link.start()
        feeder = threading.Thread(target=film.run, name="bench-camera", daemon=True)
        feeder.start()
        with (folder / "stderr").open("wb") as said:
            command = [sys.executable, "-m", "agent.vision_worker", "--config", str(folder / "door.toml")]
            process = subprocess.Popen(command, stderr=said)  # noqa: S603  our own module
        try:
            agent.wait(Hello, GalleryLoaded, CameraChanged)
            time.sleep(_SETTLE_S)  # what starting costs is over
            before_s, began_s = _processor_s(process.pid), time.monotonic()
            time.sleep(_MEASURED_S)
            share = (_processor_s(process.pid) - before_s) / (time.monotonic() - began_s)
            film.jpegs = walk_up
            agent.wait(Finding)
            return {"idle_core_percent": round(100 * share, 1), "rss_mib": _peak_mib(process.pid)}
        except OSError as error:
            last = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-500:]
            raise DoorAgentError(f"the vision process ended: {last or error}") from error
        finally:
            process.kill()
            process.wait()
            film.stopping.set()
            feeder.join()
            agent.link.stop()


def _processor_s(pid: int) -> float:
    """Processor time of all its threads, user and system."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS


def _peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) // 1024
