"""A timer of systemd's own that takes something back unless it is disarmed: for a change that can end who made it."""

from __future__ import annotations

from deploy.device.commands import InstallError, call, quiet
from deploy.device.install import ROOT

RUNNER = ROOT / "runner.pyz"  # independent of every release: what judges or takes back must not be part of one


class NoTimerError(InstallError):
    """systemd takes no timer; nothing that needs one was changed."""


def arm(name: str, after_s: int, *command: str) -> None:
    """Run `command` as root in `after_s` seconds, whatever becomes of this process. Arming anew starts anew.

    Raises:
        NoTimerError: then nothing may be changed that needs one.
    """
    disarm(name)
    options = [f"--unit={name}", f"--on-active={after_s}s", "--timer-property=AccuracySec=1s", "--collect", "--quiet"]
    try:
        call("systemd-run", *options, *command)
    except InstallError as error:
        raise NoTimerError(f"no timer that would take it back could be set; nothing was changed: {error}") from error


def disarm(name: str) -> None:
    """It will not run."""
    quiet("systemctl", "stop", f"{name}.timer")
    quiet("systemctl", "reset-failed", f"{name}.service")
