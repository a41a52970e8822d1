"""The laptop's SSH against a real sshd on the loopback: what is left where, and what is noticed."""

import contextlib
import getpass
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from deploy.broker import free_port
from deploy.provision import conversation, hostkey
from deploy.provision.hostkey import KnownDoors
from deploy.provision.ssh import Address, DeviceError, Session, make_key
from tests.programs import needed

pytestmark = pytest.mark.needs("sshd")
NAME = "garden/door-1"


@pytest.fixture
def sshd(tmp_path):
    """Its port; whoever has `authorized` may come in."""
    folder, port = tmp_path / "sshd", free_port()
    folder.mkdir()
    make_key(folder / "host")
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPidFile {folder}/pid\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    (folder / "authorized").touch()
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([needed("sshd"), "-D", "-e", "-f", str(folder / "conf")], stderr=subprocess.DEVNULL)
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        try:
            hostkey.scan("127.0.0.1", port, timeout_s=1)
            break
        except hostkey.HostKeyError:
            continue
    yield folder, port
    process.terminate()
    process.wait(10)


@pytest.fixture
def known(tmp_path, sshd):
    _, port = sshd
    known = KnownDoors(tmp_path / "known_hosts")
    known.pin(NAME, hostkey.scan("127.0.0.1", port))
    return known


def session(sshd, known, identity: Path) -> Session:
    return Session(Address(getpass.getuser(), "127.0.0.1", sshd[1], NAME), known, identity)


@pytest.fixture
def connected(sshd, known, tmp_path):
    make_key(tmp_path / "installer")
    (sshd[0] / "authorized").write_text((tmp_path / "installer.pub").read_text())
    with session(sshd, known, tmp_path / "installer") as one:
        assert one.connect() is False
        yield one


def test_a_site_folder_and_a_temporary_folder_with_spaces_and_quotes_in_their_names_will_do(sshd, known, monkeypatch):
    """As on a laptop whose user is called Zhang San: OpenSSH takes a list of files where it takes a file."""
    with tempfile.TemporaryDirectory(prefix='Zhang San\'s "doors" 100%h') as name:  # short: a socket is made there
        folder = Path(name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        make_key(folder / "installer")
        (sshd[0] / "authorized").write_text((folder / "installer.pub").read_text())
        with session(sshd, known.copied(folder / "known_hosts"), folder / "installer") as one:
            assert one.connect() is False
            assert one.run("echo here") == "here\n"
            assert one.fresh() == ""


def test_a_dry_run_leaves_no_key_beside_the_site_file_and_no_pin(sshd, known, tmp_path):
    """Not even where nobody is let in: the key that was tried was one for this run."""
    before = sorted(tmp_path.iterdir())
    with session(sshd, known, tmp_path / "installer") as one, pytest.raises(DeviceError, match="takes no password"):
        one.connect(leave_key=False)
    assert sorted(tmp_path.iterdir()) == before
    copy = known.copied(tmp_path / "sshd" / "known")
    copy.pin("garden/door-2", "ssh-ed25519 AAAA")
    copy.pin(NAME, "ssh-ed25519 AAAA")
    assert known.pinned(NAME) != copy.pinned(NAME)
    assert known.pinned("garden/door-2") is None


def test_another_device_at_the_same_address_gets_nothing(sshd, tmp_path):
    known = KnownDoors(tmp_path / "known_hosts")
    make_key(tmp_path / "other")
    known.pin(NAME, " ".join((tmp_path / "other.pub").read_text().split()[:2]))
    make_key(tmp_path / "installer")
    with session(sshd, known, tmp_path / "installer") as one, pytest.raises(DeviceError, match="no connection"):
        one.connect()


def test_a_copy_goes_on_where_it_broke_off_and_a_damaged_one_is_made_again(connected, tmp_path):
    data = bytes(range(256)) * 4096
    source, target = tmp_path / "bundle", tmp_path / "there" / "bundle"
    source.write_bytes(data)
    target.parent.mkdir()
    target.write_bytes(data[:700_000])
    seen = []
    connected.send(source, str(target), lambda done, _size: seen.append(done))
    assert target.read_bytes() == data
    assert seen[0] > 700_000
    target.write_bytes(b"x" * 700_000)
    connected.send(source, str(target))
    assert target.read_bytes() == data


def test_bundles_of_runs_that_failed_do_not_fill_the_card(connected, tmp_path, monkeypatch):
    """A run that failed leaves its bundle, so that the next one need not copy it again; another one's is of no use."""
    there = tmp_path / "device"
    there.mkdir()
    monkeypatch.setattr(conversation, "FOLDER", str(there))
    (there / "runner.pyz").touch()
    for name in ("one.tar", "two.tar"):
        (tmp_path / name).write_bytes(b"a bundle")
        conversation.push_bundle(connected, tmp_path / name, lambda _: None)
        assert {path.name for path in there.iterdir()} == {name, "runner.pyz"}


def test_the_doors_page_is_led_to_the_laptop_as_long_as_the_command_runs(connected):
    """A port that something on the laptop has is no reason to stop."""
    assert connected.forward(free_port())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not connected.forward(taken.getsockname()[1])


@contextlib.contextmanager
def hanging_up_first(port: int, times: int):
    """A port that closes its first connections unanswered, like an sshd that begins anew; then it leads to `port`."""

    def lead(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def serve() -> None:
        for _ in range(times):
            server.accept()[0].close()
        with contextlib.suppress(OSError):
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", port))
            back = threading.Thread(target=lead, args=(there, here))
            back.start()
            lead(here, there)
            back.join()
            here.close()
            there.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_sshd_that_reads_its_settings_anew_is_asked_again(connected, sshd, known):
    """The runner has just reloaded it when the laptop has to come in: that must not take the hardening back."""
    with (
        hanging_up_first(sshd[1], times=2) as port,
        session((sshd[0], port), known, connected.identity) as by_way_of_it,
    ):
        assert by_way_of_it.fresh() == ""


def test_a_new_connection_by_key_alone_is_tried_without_the_shared_one(connected, sshd):
    assert connected.fresh() == ""
    (sshd[0] / "authorized").write_text("")
    assert connected.run("echo still here") == "still here\n"
    assert "Permission denied" in connected.fresh()
