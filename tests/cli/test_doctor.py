"""What the doctor says of a state folder's mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.doctor import holds_up_the_boot

STATE = Path("/var/lib/door-agent")


@pytest.mark.parametrize(
    ("line", "holds_up"),
    [
        ("LABEL=door-state /var/lib/door-agent ext4 noatime,errors=remount-ro 0 2", True),
        ("LABEL=door-state /var/lib/door-agent/ ext4 defaults 0 2", True),
        ("LABEL=door-state /var/lib/door-agent ext4 noatime,nofail,x-systemd.device-timeout=10s 0 2", False),
        ("LABEL=door-state /var/lib/door-agent ext4 noauto 0 2", False),
        ("# LABEL=door-state /var/lib/door-agent ext4 defaults 0 2", False),
        ("PARTUUID=1-02 / ext4 defaults,noatime 0 1", False),
        ("rubbish", False),
    ],
)
def test_a_mount_that_the_boot_waits_for_is_named(tmp_path, line, holds_up):
    (tmp_path / "fstab").write_text(f"proc /proc proc defaults 0 0\n{line}\n")
    assert holds_up_the_boot(STATE, tmp_path / "fstab") is holds_up


def test_a_machine_without_an_fstab_holds_nothing_up(tmp_path):
    assert not holds_up_the_boot(STATE, tmp_path / "fstab")
