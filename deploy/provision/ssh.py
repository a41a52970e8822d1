"""Plain OpenSSH to one device: one shared connection, the pinned host key and no other, a key instead of a password.

The password, if one is needed at the first contact, goes from the person to `ssh` itself: asked on the terminal, or
read from a file through OpenSSH's own way of asking a program. It is never part of a command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from agent.errors import DoorAgentError
from deploy.provision.hostkey import KnownDoors

_CHUNK: Final = 256 * 1024
_CONNECT_S: Final = 15
_MASTER_S: Final = 60
_ANSWER_S: Final = 60
_FRESH_WITHIN_S: Final = 30  # with the last try's answer well within the time after which the device takes SSH back
_AGAIN_S: Final = 0.5
_FINAL: Final = ("Permission denied", "Host key verification failed")
KEY_NAME: Final = "installer_ed25519"


class DeviceError(DoorAgentError):
    """The device cannot be reached, refuses us, or a command on it failed."""

    exit_code = 9


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is, and the name under which its host key is pinned."""

    user: str
    host: str
    port: int
    alias: str

    @classmethod
    def parse(cls, text: str, alias: str, port: int = 22) -> Address:
        """`pi@door-3.local`, `pi@10.0.0.7`, `pi@[fe80::1%eth0]`; without a user: pi."""
        user, _, host = text.rpartition("@")
        host = host.strip("[]")
        if not host or host.startswith("-") or any(c.isspace() for c in text):
            raise DeviceError(f"{text!r} is no address; give USER@HOST, for example pi@door-3.local", exit_code=2)
        return cls(user or "pi", host, port, alias)


class Session:
    """A connection that every command shares. Use as a context manager; `connect` before anything else."""

    def __init__(self, address: Address, known: KnownDoors, identity: Path, password_file: Path | None = None) -> None:
        self.address, self.identity = address, identity
        self._known, self._password_file = known, password_file
        self._folder = Path(tempfile.mkdtemp(prefix="door-ssh-"))  # private; the socket's path has to be short

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the shared connection."""
        subprocess.run([*self._line(), "-O", "exit", self._target], capture_output=True, check=False)  # noqa: S603
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, *, leave_key: bool = True) -> bool:
        """Log in by key; if the key is not known there yet, by password once, and leave the key. True: it was left now.

        `leave_key` false (a dry run): nothing is left anywhere, neither there nor beside the site file.

        Raises:
            DeviceError: nobody answers, or neither key nor password is taken.
        """
        if not self.identity.exists():
            self.identity = self.identity if leave_key else self._folder / "key"
            make_key(self.identity)
        why = self._try("-o", "BatchMode=yes")
        if not why:
            return False
        if "Permission denied" not in why:
            raise DeviceError(self._unreachable(why))
        self._first_contact(leave_key=leave_key)
        return leave_key

    def fresh(self) -> str:
        """Why a new connection by key alone fails; empty when it works. The shared one is not used.

        An sshd that reads its settings anew takes no connection for a moment, so it is tried again for a while; but who
        is refused is refused.
        """
        line = [*self._line(master=False), "-o", "BatchMode=yes", self._target, "true"]
        end_s = time.monotonic() + _FRESH_WITHIN_S
        while True:
            try:
                done = subprocess.run(line, capture_output=True, text=True, timeout=_ANSWER_S, check=False)  # noqa: S603
            except subprocess.TimeoutExpired:
                return f"no answer to a new connection in {_ANSWER_S} s"
            why = (done.stderr.strip() or f"ssh ended with {done.returncode}") if done.returncode else ""
            if not why or time.monotonic() > end_s or any(word in why for word in _FINAL):
                return why
            time.sleep(_AGAIN_S)

    def run(self, command: str, *, check: bool = True, timeout_s: float = 120) -> str:
        """A shell command there; returns its output."""
        line = [*self._line(), "-o", "BatchMode=yes", self._target, command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
        if check and done.returncode:
            raise DeviceError(f"on the device, {command[:80]!r} failed: {(done.stderr or done.stdout).strip()[-1500:]}")
        return done.stdout

    @contextlib.contextmanager
    def open(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """A command there to talk with, line by line."""
        line = [*self._line(), "-o", "BatchMode=yes", self._target, command]
        pipe = subprocess.PIPE
        with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1) as process:  # noqa: S603
            try:
                yield process
            finally:
                process.kill()

    def forward(self, port: int) -> bool:
        """Lead this laptop's own `port` to the device's own one, through the shared connection, as long as it lasts."""
        line = [*self._line(), "-O", "forward", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}", self._target]
        return subprocess.run(line, capture_output=True, check=False).returncode == 0  # noqa: S603  fixed words

    def send(self, source: Path, target: str, progress: Callable[[int, int], None] = lambda _a, _b: None) -> None:
        """Copy a file there, going on where the last try ended; its checksum is compared there.

        Raises:
            DeviceError: the disk there is full, the connection broke, or the copy differs.
        """
        want, size, where = hashlib.sha256(source.read_bytes()).hexdigest(), source.stat().st_size, shlex.quote(target)
        for attempt in range(2):
            have = int(self.run(f"mkdir -p $(dirname {where}); stat -c %s {where} 2>/dev/null || echo 0"))
            if have > size or attempt:
                self.run(f"rm -f {where}")
                have = 0
            if have < size:
                self._append(source, where, have, size, progress)
            if self.run(f"sha256sum {where}", timeout_s=600).split()[0] == want:
                return
        raise DeviceError(f"{source.name} arrived damaged twice: is the card good? Try another one")

    def _append(self, source: Path, where: str, start: int, size: int, progress: Callable[[int, int], None]) -> None:
        line = [*self._line(), "-o", "BatchMode=yes", self._target, f"cat >> {where}"]
        with source.open("rb") as data, subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as copy:  # noqa: S603
            data.seek(start)
            done, pipe = start, copy.stdin
            with contextlib.suppress(BrokenPipeError):
                while pipe is not None and (chunk := data.read(_CHUNK)):
                    pipe.write(chunk)
                    done += len(chunk)
                    progress(done, size)
            _, complaint = copy.communicate()
        if copy.returncode:
            words = complaint.decode(errors="replace").strip()
            if "No space" in words:
                raise DeviceError(f"the device's disk is full: {words}. Use a larger card or make room, then run again")
            raise DeviceError(
                f"the copy broke off at {done >> 20} of {size >> 20} MiB ({words}); run again, it goes on"
            )

    @property
    def _target(self) -> str:
        return f"{self.address.user}@{self.address.host}"

    def _line(self, *, master: bool = True) -> list[str]:
        options = {
            "HostKeyAlias": self.address.alias,
            "UserKnownHostsFile": _quoted(self._known.path),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": "ssh-ed25519",
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "4",
            "NumberOfPasswordPrompts": "1" if self._password_file else "3",
            "IdentityFile": _quoted(self.identity),
            "IdentitiesOnly": "yes",
            "ForwardAgent": "no",
            "LogLevel": "ERROR",
            "ControlPath": _quoted(self._folder / "cm") if master else "none",
            "ControlMaster": "auto" if master else "no",
            "ControlPersist": str(_MASTER_S),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-p", str(self.address.port), *words]

    def _try(self, *options: str) -> str:
        """Why the shared connection cannot be opened; empty when it is."""
        line = [*self._line(), *options, self._target, "true"]
        with (self._folder / "said").open("w+") as said:  # a pipe would stay open as long as the shared connection
            done = subprocess.run(line, stdout=said, stderr=said, check=False, env=self._environment())  # noqa: S603
            said.seek(0)
            words = said.read().strip()
        return "" if done.returncode == 0 else words or f"ssh ended with {done.returncode}"

    def _environment(self) -> dict[str, str]:
        if not self._password_file:
            return dict(os.environ)
        helper = self._folder / "askpass"
        if not helper.exists():
            helper.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(self._password_file.resolve()))}\n")
            helper.chmod(0o700)
        return os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force"}

    def _first_contact(self, *, leave_key: bool) -> None:
        why = self._try("-o", "PreferredAuthentications=password,keyboard-interactive")
        if why:
            raise DeviceError(self._refused(why))
        if not leave_key:
            return  # the shared connection stands; what follows uses it
        public = self.identity.with_name(self.identity.name + ".pub").read_text().strip()
        quoted = shlex.quote(public)
        self.run(
            "umask 077; mkdir -p ~/.ssh && touch ~/.ssh/authorized_keys && "
            f"(grep -qxF {quoted} ~/.ssh/authorized_keys || echo {quoted} >> ~/.ssh/authorized_keys) && sync"
        )

    def _refused(self, why: str) -> str:
        user, host = self.address.user, self.address.host
        if "password" in why.rsplit("(", 1)[-1]:
            return (
                f"{user}@{host} does not take this password. User and password are those chosen when the card was made"
            )
        return (
            f"{user}@{host} takes no password, and this laptop's key is not known there ({why.splitlines()[-1]}). Put "
            f"{self.identity}.pub into ~{user}/.ssh/authorized_keys, or use the laptop (or --identity) that set it up"
        )

    def _unreachable(self, why: str) -> str:
        return f"no connection to {self.address.host} port {self.address.port}: {why.splitlines()[-1]}"


def _quoted(path: Path) -> str:
    """A path as the value of an option of OpenSSH, which divides at spaces and fills in what stands behind a `%`."""
    escaped = str(path).replace("\\", r"\\").replace('"', r"\"").replace("%", "%%")
    return f'"{escaped}"'


def make_key(path: Path) -> None:
    """The site's installer key: beside the site file, for this laptop and those that get a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "door-agent installer", "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    if done.returncode:
        raise DeviceError(f"ssh-keygen could not make {path}: {done.stderr.strip()}")
