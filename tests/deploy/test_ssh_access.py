"""SSH on a played device: a change that shuts everybody out is taken back, whatever ends the run that made it."""

import json
import os
import signal

import pytest
from played_device import PlayedDevice

from deploy.device import access, boot, deadman, runner, steps
from deploy.device.commands import InstallError
from deploy.device.steps import Talk

PLAN = {"user": "pi", "ssh_listen": None, "page_port": None}


class Laptop(Talk):
    """Comes in by SSH, or ends as it is told."""

    def __init__(self, end: BaseException | None = None):
        self.end = end

    def tell(self, kind, **facts):
        pass

    def ask(self, what, **facts):
        if self.end is not None:
            raise self.end
        return {}


@pytest.fixture
def device(tmp_path, monkeypatch):
    played = PlayedDevice(tmp_path)
    played.take_over(monkeypatch)
    (tmp_path / "active" / "ssh").touch()
    yield played
    played.close()


def ssh(laptop: Laptop, **plan):
    return next(step for step in access.access_steps(PLAN | plan, laptop) if step.name == "SSH")


def armed(device: PlayedDevice) -> bool:
    """Whether the timer that takes it back is still to come."""
    states = [c for c in device.calls if "door-agent-ssh-back" in c and ("systemd-run" in c or "stop" in c)]
    return bool(states) and "systemd-run" in states[-1]


def is_as_before(device: PlayedDevice) -> bool:
    return not access.SSHD.exists() and not (device.folder / "state" / access.UNCONFIRMED).exists()


def test_keys_only_once_the_laptop_came_in_by_them_and_a_second_run_does_nothing(device):
    step = ssh(Laptop())
    assert not step.look().ok
    step.do()
    assert step.look().ok
    assert "PasswordAuthentication no" in access.SSHD.read_text()
    assert not armed(device)
    assert not (device.folder / "state" / access.UNCONFIRMED).exists()


@pytest.mark.parametrize(
    "end", [InstallError("Permission denied"), BrokenPipeError(), KeyError("nonsense"), KeyboardInterrupt()]
)
def test_whatever_fault_comes_before_the_laptop_is_in_takes_it_back(device, end):
    with pytest.raises(InstallError, match="SSH is as it was"):
        ssh(Laptop(end)).do()
    assert is_as_before(device)
    assert not armed(device)
    assert not ssh(Laptop()).look().ok


def test_what_was_there_before_comes_back_word_for_word(device):
    access.SSHD.parent.mkdir()
    access.SSHD.write_text("# somebody's own\n")
    with pytest.raises(InstallError):
        ssh(Laptop(InstallError("no"))).do()
    assert access.SSHD.read_text() == "# somebody's own\n"


def test_settings_that_sshd_does_not_understand_or_does_not_read_never_count(device):
    device.fails("sshd")
    with pytest.raises(InstallError, match="bad option"):
        ssh(Laptop()).do()
    assert is_as_before(device)
    (device.folder / "failing" / "sshd").unlink()
    (device.folder / "no-include").touch()
    with pytest.raises(InstallError, match=r"Include /etc/ssh/sshd_config.d"):
        ssh(Laptop()).do()
    assert is_as_before(device)
    assert "systemctl reload ssh" not in device.calls


def test_an_sshd_that_ended_because_it_could_not_bind_is_started_again(device):
    """Reload makes it bind anew; where it cannot, it ends, and a reload of what does not run fails too."""
    (device.folder / "active" / "ssh").unlink()
    (device.folder / "failing" / "reload").touch()
    with pytest.raises(InstallError, match="SSH is as it was"):
        ssh(Laptop()).do()
    assert "ssh" in device.running
    assert is_as_before(device)


def killed_in_the_middle(device: PlayedDevice) -> None:
    """SIGKILL of the runner while the laptop tries to come in."""

    class Kill(Laptop):
        def ask(self, what, **facts):
            os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        try:
            ssh(Kill()).do()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_a_runner_that_is_killed_leaves_a_timer_that_takes_it_back(device):
    killed_in_the_middle(device)
    assert access.SSHD.exists()
    assert armed(device)
    [line] = [call for call in device.calls if call.startswith("systemd-run")]
    assert line.endswith(f"{deadman.RUNNER} ssh-back")
    assert access.take_back()
    assert is_as_before(device)
    assert not access.take_back(), "once"


def test_a_pulled_plug_leaves_a_note_by_which_the_next_boot_takes_it_back(device):
    killed_in_the_middle(device)
    assert runner.settle() == 0
    assert is_as_before(device)


def test_what_a_killed_run_left_on_trial_is_not_taken_for_what_was_there_before(device):
    """The next run comes before timer and boot do; what it cannot confirm either must end as before the first."""
    killed_in_the_middle(device)
    assert access.SSHD.exists()
    with pytest.raises(InstallError, match="SSH is as it was"):
        ssh(Laptop(InstallError("Permission denied"))).do()
    assert is_as_before(device)


def test_a_note_that_a_killed_run_left_is_a_step_to_do_or_the_timer_would_take_back_what_was_confirmed(device):
    ssh(Laptop()).do()
    (device.folder / "state" / access.UNCONFIRMED).write_text("null")  # killed between mark and note
    step = ssh(Laptop())
    assert not step.look().ok
    step.do()
    assert step.look().ok
    assert access.SSHD.exists()
    assert not (device.folder / "state" / access.UNCONFIRMED).exists()


def test_without_a_timer_nothing_is_changed(device):
    device.fails("systemd-run")
    with pytest.raises(InstallError, match="no timer"):
        ssh(Laptop()).do()
    assert is_as_before(device)
    assert "systemctl reload ssh" not in device.calls


def test_an_address_that_the_device_does_not_have_is_said_before_anything_is_changed(device):
    with pytest.raises(InstallError, match=r"'10.0.0.8', this device has 10.0.0.7"):
        ssh(Laptop(), ssh_listen="10.0.0.8").do()
    assert is_as_before(device)
    assert device.calls == []


def test_sshd_may_bind_to_its_address_before_the_device_has_it(device):
    """At a boot the lease comes later than sshd, which would end and stay so."""
    address, step, _ = access.access_steps(PLAN | {"ssh_listen": "10.0.0.7"}, Laptop())
    address.do()
    step.do()
    assert "net.ipv4.ip_nonlocal_bind = 1" in access.SYSCTL.read_text()
    assert f"sysctl -qp {access.SYSCTL}" in device.calls
    assert "ListenAddress 10.0.0.7" in access.SSHD.read_text()


@pytest.mark.parametrize(("port", "words"), [(8480, "PermitOpen 127.0.0.1:8480"), (None, "AllowTcpForwarding no")])
def test_nothing_is_forwarded_but_the_doors_own_page(port, words):
    text = access.sshd_text("pi", None, port)
    assert words in text
    assert "AllowStreamLocalForwarding no" in text
    assert ("AllowTcpForwarding local" in text) is (port is not None)


def test_undo_takes_back_files_and_what_was_switched_off(device, monkeypatch):
    (device.folder / "active" / "avahi-daemon.service").touch()
    ssh(Laptop()).do()
    steps.keep_units(["avahi-daemon.service"])
    boot.BOOT_CONFIG.write_text(boot.with_block("own\n", {"gpio=17=op,dl": "why"}))
    assert runner.take_back() == 0
    assert not access.SSHD.exists()
    assert boot.BOOT_CONFIG.read_text() == "own\n"
    assert "systemctl enable --now avahi-daemon.service" in device.calls


def test_an_undo_while_a_change_of_ssh_is_on_trial_is_the_last_word(device):
    """The trial's timer, or the next boot, must not bring back what the trial stood on."""
    ssh(Laptop()).do()
    steps.replace(device.folder / "state" / access.UNCONFIRMED, json.dumps(access.SSHD.read_text()).encode(), 0o600)
    access.SSHD.write_text("on trial")
    assert runner.take_back() == 0
    assert runner.settle() == 0
    assert is_as_before(device)
