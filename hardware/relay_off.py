"""`python -m hardware.relay_off --config FILE`: make sure the relay is dropped, after its guard died. Fast and small.

systemd runs it as ExecStopPost of the guard's unit, also after SIGKILL: Raspberry Pi kernels keep a line driven when
its process dies. It claims the line with the level of a dropped relay and lets it go. Exit status 0: dropped (or
nothing to drop); 3: unusable configuration; 5: the line cannot be had, for instance because the guard still has it.
"""

from __future__ import annotations

import argparse
import sys

from hardware.errors import HardwareError
from hardware.settings import GuardSettings, load_settings


def drop(settings: GuardSettings) -> None:
    """Drop the relay of `settings`; nothing to do for the simulated back-end, whose lines die with their process.

    Raises:
        ChipError: no chip, no right to it.
        LineError: another process holds the line.
    """
    if settings.backend == "lgpio":
        from hardware.chip import drop_line

        drop_line(settings.chip, "relay", settings.relay)


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m hardware.relay_off", description="Drop the relay and let it go.")
    parser.add_argument("--config", required=True, help="the door's TOML file")
    arguments = parser.parse_args(argv)
    try:
        drop(load_settings(arguments.config))
    except HardwareError as error:
        sys.stderr.write(f"relay-off: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
