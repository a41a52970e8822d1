"""`python -I -m hardware.relay_off --config FILE`: make sure the relay is dropped, after its guard died. And fast.

systemd runs it as ExecStopPost of the guard's unit, also after SIGKILL: Raspberry Pi kernels keep a line driven when
its process dies. It asks the kernel itself for the line, with the level of a dropped relay, and lets it go again. Where
the line is, the guard has noted beside its socket when it claimed it; only without that note the configuration is read.
So the usual way needs no import but the interpreter's own, which is most of the time it takes.

Exit status 0: dropped (or nothing to drop); 2: not called properly; 3: unusable configuration; 5: the line cannot be
had, for instance because the guard still has it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys

TYPE_CHECKING = False  # typing's own costs its import
if TYPE_CHECKING:
    from hardware.settings import GuardSettings

NOTE = "relay"  # beside guard.sock: "lgpio CHIP PIN LEVEL" with the level of a dropped relay, or "simulated"

# <linux/gpio.h>, second version: struct gpio_v2_line_request with one line and one attribute, its level as an output
_REQUEST = struct.Struct("=I252x32sQI20xIIQQ216xI4x20xi")
_GET_LINE = 0xC0000000 | _REQUEST.size << 16 | 0xB4 << 8 | 0x07
_FLAG_OUTPUT = 1 << 3
_ATTRIBUTE_VALUES = 2


def note(settings: GuardSettings) -> str:
    """What the guard writes into NOTE."""
    if settings.backend == "simulated":
        return "simulated"
    return f"lgpio {settings.chip} {settings.relay.pin} {int(not settings.relay.active_high)}"


def drop(settings: GuardSettings) -> None:
    """Drop the relay of `settings`; nothing to do for the simulated back-end, whose lines die with their process.

    Raises:
        LineError: no chip, no right to it, or another process holds the line.
    """
    from hardware.errors import LineError

    try:
        drop_noted(note(settings))
    except OSError as error:
        raise LineError(_complaint(error)) from error


def drop_noted(noted: str) -> None:
    """The same from the guard's note.

    Raises:
        OSError: see `drop`; EBUSY means that somebody has the line.
    """
    backend, *numbers = noted.split()
    if backend == "simulated":
        return
    chip, pin, level = map(int, numbers)
    device = f"/dev/gpiochip{chip}"
    handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = bytearray(request_line(pin, level))
        fcntl.ioctl(handle, _GET_LINE, request)
        os.close(_REQUEST.unpack(request)[-1])
    except OSError as error:
        error.filename = f"GPIO{pin} of {device}"
        raise
    finally:
        os.close(handle)


def request_line(pin: int, level: int) -> bytes:
    """The kernel's structure: `pin` as an output that has `level` from its first moment."""
    return _REQUEST.pack(pin, b"door-relay-off", _FLAG_OUTPUT, 1, _ATTRIBUTE_VALUES, 0, level, 1, 1, -1)


def _complaint(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"{error.filename} is still in use: stop its owner first (systemctl stop door-guard)"
    return f"{error.filename} cannot be had: {error.strerror}; is it the right chip, and may this user open it?"


def _noted(socket_dir: str) -> str:
    try:
        with open(f"{socket_dir}/{NOTE}") as file:  # noqa: PTH123  pathlib costs its import
            return file.read()
    except OSError:
        return ""


def main(argv: list[str]) -> int:
    """The command: `--config FILE`, and `--noted-in FOLDER` where the guard's note may be."""
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    if len(argv) % 2 or "--config" not in options or options.keys() - {"--config", "--noted-in"}:
        sys.stderr.write("usage: python -I -m hardware.relay_off --config FILE [--noted-in FOLDER]\n")
        return 2
    try:
        noted = _noted(options.get("--noted-in", ""))
        if noted:
            drop_noted(noted)
        else:
            return _drop_configured(options["--config"])
    except OSError as error:
        sys.stderr.write(f"relay-off: {_complaint(error)}\n")
        return 5
    return 0


def _drop_configured(path: str) -> int:
    from hardware.errors import HardwareError
    from hardware.settings import load_settings

    try:
        drop(load_settings(path))
    except HardwareError as error:
        sys.stderr.write(f"relay-off: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
