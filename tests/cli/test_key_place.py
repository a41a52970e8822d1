"""Where the device's key lies is said as it is: never "sealed" when it is a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.doctor_server import _device_key
from agent.key_place import hardware, judge
from deploy.device.identity import kept_in


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "device.key"
    path.write_text("a key")
    path.chmod(0o600)
    return path


def board(root: Path, model: str, *devices: str) -> Path:
    for name in ("proc/device-tree/model", *devices):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"{model}\0".encode())
    return root


@pytest.mark.parametrize(
    ("model", "devices", "words"),
    [
        ("Raspberry Pi 3 Model B Plus Rev 1.3", ("dev/vcio",), "no TPM or key memory seen"),
        (
            "Raspberry Pi 4 Model B Rev 1.5",
            ("dev/vcio",),
            "one-time memory of the board's chip could hold it, not used",
        ),
        ("Raspberry Pi Compute Module 4 Rev 1.1", ("dev/vcio",), "one-time memory of the board's chip could hold it"),
        ("Raspberry Pi 5 Model B Rev 1.0", ("dev/tpm0", "dev/tpmrm0"), "a TPM (/dev/tpmrm0) could hold it, not used"),
        ("Raspberry Pi 5 Model B Rev 1.0", ("dev/tpm0", "dev/vcio"), "a TPM (/dev/tpm0) and one-time memory"),
        ("Some PC", ("dev/vcio",), "no TPM or key memory seen"),
    ],
)
def test_what_could_hold_the_key_is_named_and_never_said_to_hold_it(tmp_path, model, devices, words):
    assert hardware(board(tmp_path, model, *devices)).startswith(words)


def test_a_file_that_others_may_read_is_bad_and_one_of_its_owner_alone_is_well(key: Path):
    assert judge(key)[0]
    assert "mode 0600" in kept_in(key.parent)
    check = _device_key(key)
    assert check.ok
    key.chmod(0o640)
    check = _device_key(key)
    assert not check.ok
    assert f"chmod 600 {key}" in check.do_this


def test_a_key_that_is_not_there_is_said_with_what_to_do(tmp_path: Path):
    check = _device_key(tmp_path / "device.key")
    assert not check.ok
    assert "provision" in check.do_this
