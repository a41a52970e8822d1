"""Running the system's own programs, and what is said when one fails."""

from __future__ import annotations

import subprocess


class InstallError(RuntimeError):
    """Nothing was switched; the message says what to do."""


def call(*command: str, told: str = "") -> str:
    """Run a command with `told` on its standard input; returns what it printed. Its words are shown when it fails."""
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)  # noqa: S603  fixed commands
    if done.returncode:
        raise InstallError(f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def quiet(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  fixed commands
