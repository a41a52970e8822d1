"""One booted virtual device: commands over SSH, its plug, its network cable, its disk."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.device.harness.image import NATIVE, Kind

BEFORE_OTHERS = {"latency": -15, "faults": -10}  # nice values; what is measured is the device, not the machine


BOOT_S = 600.0  # 6 to 14 s on a quiet machine; beyond 180 s were seen with 75 jobs waiting for two cores


class GuestError(RuntimeError):
    """A command in the guest, or the guest itself, failed."""


@dataclass
class Guest:
    """A guest made of `image`, card and sockets in `folder`. `ports`: guest port -> port here (its only way out)."""

    rig: Path
    image: Path
    folder: Path
    ports: dict[int, int] = field(default_factory=dict)
    memory_mib: int = 768
    nice: int = 0
    kind: Kind = NATIVE

    def boot(self, *arguments: str, timeout_s: float = 180) -> str:
        """Call the rig's `boot`; returns what it printed."""
        command = [str(self.rig / "boot"), *arguments]
        within_s = timeout_s * self.kind.times
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
        if done.returncode:
            raise GuestError(f"{' '.join(command)}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout

    def start(self) -> float:
        """Plug in and wait for SSH. Returns the seconds it took."""
        forward = " ".join(f"{inside}:{here}" for inside, here in self.ports.items()) or "9"
        words = ["start", str(self.image), str(self.folder), "--mem", str(self.memory_mib), "--fwd", forward]
        words += ["--vm", "uml"] if self.kind.arch == "amd64" else ["--vm", "qemu", "--cpus", "1"]
        said = self.boot(*words, timeout_s=BOOT_S)
        self._take_turn()
        return float(said.rsplit("seconds=", 1)[1])

    def without_watchdog(self) -> None:
        """It would reset a device that this machine did not run for a while; the virtual one hangs then."""
        off = "[Manager]\\nRuntimeWatchdogSec=off\\nRebootWatchdogSec=off\\n"
        folder = "/etc/systemd/system.conf.d"
        self.run(f"mkdir -p {folder} && printf '{off}' > {folder}/zz-rig.conf && sync && systemctl daemon-reload")

    @contextlib.contextmanager
    def preferred(self, campaign: str) -> Iterator[None]:
        """During a campaign that measures time, the guest's processes go before others of this machine."""
        self.nice = BEFORE_OTHERS.get(campaign, 0)
        self._take_turn()
        try:
            yield
        finally:
            self.nice = 0
            with contextlib.suppress(OSError):  # it may be off just now
                self._take_turn()

    def _take_turn(self) -> None:
        if self.kind.arch != "amd64":
            return  # nothing is measured on an emulated device
        os.setpriority(os.PRIO_PGRP, int((self.folder / "uml" / "pid").read_text()), self.nice)

    def cut(self, keep: str = "none") -> str:
        """Pull the plug. Unflushed writes are lost (none), kept (all) or torn (a number)."""
        return self.boot("cut", str(self.folder), keep)

    def off(self) -> None:
        """Shut down in order."""
        self.boot("off", str(self.folder))

    def remove(self) -> None:
        """Cut and forget."""
        self.boot("rm", str(self.folder))
        # one that its own watchdog has reset runs under another process than the one that `boot` noted
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"uml_dir={self.folder}/".encode() in (process / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def lan(self, *, plugged: bool) -> None:
        """The network cable. Unplugged, SSH does not work either."""
        self.boot("lan", str(self.folder), "on" if plugged else "off")

    def run(self, command: str, *, timeout_s: float = 120, check: bool = True) -> str:
        """A shell command as root in the guest; returns its output."""
        line = [str(self.rig / "boot"), "ssh", str(self.folder), f"sudo sh -c {shlex.quote(command)}"]
        try:
            within_s = timeout_s * self.kind.times
            done = subprocess.run(line, capture_output=True, text=True, timeout=within_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"{command}: no answer in {within_s} s; so far {error.stdout!r}") from error
        if check and done.returncode:
            raise GuestError(f"{command}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on in the guest while the block runs; its output can be read line by line."""
        line = [str(self.rig / "boot"), "ssh", str(self.folder), f"sudo sh -c {shlex.quote(command)}"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1) as process:
            try:
                yield process
            finally:
                process.kill()

    def push(self, *sources: Path, to: str) -> None:
        """Copy files or folders into the guest (as its user pi)."""
        self.boot("push", str(self.folder), *map(str, sources), to, timeout_s=600)

    def stall_disk(self, seconds: float) -> None:
        """The card answers nothing for a while: the process that serves the disk is stopped, then goes on."""
        pid = self._disk_process()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _disk_process(self) -> int:
        for text in (self.folder / "helpers").read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{text}/comm").read_text().startswith("qemu-storage"):
                    return int(text)
        raise GuestError("the process that serves the guest's disk was not found")
