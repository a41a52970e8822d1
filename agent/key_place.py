"""Where the door's private key lies and what this board could keep it in, said plainly for doctor and the report.

No key is sealed in hardware by this release (decision 18): the key is a file, and whoever has the card has the key
until it is revoked. What is found here is only what the kernel shows; a secure element on the I2C bus answers nobody
who does not know its address, so none is looked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

OTHERS: Final = 0o077
_TPM: Final = ("dev/tpmrm0", "dev/tpm0")
_FIRMWARE: Final = "dev/vcio"  # the way to a Raspberry Pi's one-time programmable memory
_MODEL: Final = "proc/device-tree/model"
# boards whose one-time memory has a row for a 256-bit device key
_OTP_BOARDS: Final = tuple(f"Raspberry Pi {board}" for board in ("4", "5", "Compute Module 4", "Compute Module 5"))


def hardware(root: Path = Path("/")) -> str:
    """What could hold a key here, in words. `root` is where the file system begins (tests give their own)."""
    found = [f"a TPM (/{name})" for name in _TPM if (root / name).exists()][:1]
    model = root / _MODEL
    board = model.read_bytes().rstrip(b"\0").decode(errors="replace") if model.exists() else ""
    if (root / _FIRMWARE).exists() and board.startswith(_OTP_BOARDS):
        found.append("one-time memory of the board's chip")
    return f"{' and '.join(found)} could hold it, not used by this release" if found else "no TPM or key memory seen"


def judge(key: Path, root: Path = Path("/")) -> tuple[bool, str]:
    """(only its owner may read it, where it lies and what else there is). Raises OSError: no such file."""
    mode = key.stat().st_mode & 0o777
    own = not mode & OTHERS
    who = "only its owner may read" if own else "others may read too"
    return own, f"a file that {who} (mode {mode:04o}), readable to whoever has the card; {hardware(root)}"
