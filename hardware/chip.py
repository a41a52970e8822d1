"""The only file that imports lgpio: the right version, a chip that opens, a line that is claimed with its level."""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hardware.errors import ChipError, LineError

MIN_VERSION = 0x00020200  # 0.2.2.0, the first that claims reliably on kernel 6; the stub 0.0.0.2 has no version at all
_LOOK_EVERY_S = 0.05


def load_lgpio() -> Any:  # noqa: ANN401  a C module without types
    """The library, checked.

    Raises:
        ChipError: not installed, or the empty stub that pip finds for Pythons without a wheel.
    """
    cwd = Path.cwd()
    _choose_fifo_folder()
    try:
        lgpio = importlib.import_module("lgpio")
    except ImportError as error:
        raise ChipError(
            f"lgpio cannot be imported ({error}). On Raspberry Pi OS: apt-get install python3-lgpio, and a virtual "
            "environment made with --system-site-packages"
        ) from error
    finally:
        os.chdir(cwd)  # importing lgpio moves the whole process into LG_WD
    version = getattr(lgpio, "LGPIO_PY_VERSION", 0)
    if version < MIN_VERSION:
        found = (
            f"version {version:#010x}" if version else "the empty stub of 2 KB that pip installs where it has no wheel"
        )
        raise ChipError(
            f"lgpio is {found} ({lgpio.__file__}); 0.2.2.0 is needed: pip uninstall lgpio, then use the system's"
        )
    return lgpio


def open_chip(lgpio: Any, chip: int, wait_s: float = 0.0) -> int:  # noqa: ANN401  see load_lgpio
    """Open /dev/gpiochipN and return lgpio's handle.

    `wait_s`: how long it may take to appear and become ours. At a boot the kernel makes it, and udev gives it to its
    group some seconds later.

    Raises:
        ChipError: it is not there, or not ours to open.
    """
    device = f"/dev/gpiochip{chip}"
    deadline_s = time.monotonic() + wait_s
    while not os.access(device, os.R_OK | os.W_OK) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
    there = _device_paths()
    if device not in there:
        raise ChipError(
            f"{device} is not there (found: {', '.join(there) or 'no GPIO chip at all'}); set hardware.chip"
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise ChipError(f"{device} may not be opened by this user: add it to the group gpio, or run the guard's unit")
    try:
        return int(lgpio.gpiochip_open(chip))
    except lgpio.error as error:
        raise ChipError(f"{device} does not open: {error}") from error


def claim(lgpio: Any, handle: int, name: str, number: int, *, level: bool) -> None:  # noqa: ANN401  see load_lgpio
    """Claim an output with `level` (electrical) from the first moment."""
    try:
        lgpio.gpio_claim_output(handle, number, int(level))
    except lgpio.error as error:
        raise line_error(lgpio, handle, name, number, error) from error


def line_error(lgpio: Any, handle: int, name: str, number: int, error: Exception) -> LineError:  # noqa: ANN401  as above
    """The message for a line that cannot be had: who has it, as far as the kernel tells."""
    try:
        user = lgpio.gpio_get_line_info(handle, number)[4]
    except (lgpio.error, IndexError):
        user = ""
    holder = f" It is in use by {user!r}: stop that, or choose another pin." if user and user != "lg" else ""
    return LineError(f"GPIO{number} ({name}) cannot be had: {error}.{holder}")


def _device_paths() -> list[str]:
    return sorted(str(path) for path in Path("/dev").glob("gpiochip*"))


def _choose_fifo_folder() -> None:
    # lgpio makes a FIFO in LG_WD when it is imported and fails where it cannot. The units set it to the runtime folder.
    if os.access(os.environ.get("LG_WD", ""), os.W_OK):
        return
    folder = tempfile.mkdtemp(prefix="door-lg-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["LG_WD"] = folder
