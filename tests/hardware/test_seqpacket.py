"""The sockets between the processes: what arrives, what is refused, and that nothing a peer sends can hurt."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware import seqpacket
from hardware.errors import PeerGoneError, SocketError

JPEG = b"\xff\xd8\xff" + bytes(200)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[seqpacket.Listener]:
    made = seqpacket.Listener(str(tmp_path / "s"), allowed_uids=seqpacket.own_users())
    yield made
    made.close()


@pytest.fixture
def pair(listener: seqpacket.Listener, tmp_path: Path) -> Iterator[tuple[seqpacket.Connection, seqpacket.Connection]]:
    near = seqpacket.connect(str(tmp_path / "s"))
    far = listener.accept(1.0)
    assert far is not None
    yield near, far
    near.close()
    far.close()


def test_objects_and_pictures_arrive_whole_and_in_order(pair):
    near, far = pair
    assert near.send_json({"type": "a", "n": 1})
    assert near.send_picture(JPEG)
    assert near.send_json({"type": "b", "text": "门"})
    assert [far.recv(1.0) for _ in range(3)] == [{"type": "a", "n": 1}, JPEG, {"type": "b", "text": "门"}]
    assert far.recv() is None


def test_the_largest_allowed_picture_fits_the_default_buffers(pair):
    near, far = pair
    picture = JPEG.ljust(seqpacket.MAX_PICTURE_BYTES - 1, b"x")
    assert near.send_picture(picture, 1.0)
    assert far.recv(1.0) == picture


def test_too_large_is_the_senders_own_mistake(pair):
    near, _ = pair
    with pytest.raises(ValueError, match="compress"):
        near.send_picture(JPEG.ljust(seqpacket.MAX_PICTURE_BYTES, b"x"))
    with pytest.raises(ValueError, match="in parts"):
        near.send_json({"type": "x" * seqpacket.MAX_JSON_BYTES})
    with pytest.raises(ValueError, match="JSON"):
        near.send_json({"type": "x", "v": float("nan")})


NONSENSE = [
    b"X",
    b"J",
    b"J[]",
    b"J{}",
    b'J{"type":1}',
    b'J{"type":"x","v":NaN}',
    b"J\xff\xfe",
    b"J" + b"[" * 60_000,
    b'J{"type":"x","v":' + b"9" * 60_000 + b"}",
    b'J{"type":"' + b"x" * seqpacket.MAX_JSON_BYTES + b'"}',
    b"P" + b"GIF89a",
    b"P" + JPEG.ljust(seqpacket.MAX_PICTURE_BYTES + 100, b"x"),
]


@pytest.mark.parametrize("packet", NONSENSE, ids=lambda p: repr(p[:12]))
def test_nonsense_is_counted_and_the_next_message_still_arrives(pair, packet):
    near, far = pair
    near._sock.send(packet)
    assert far.recv() is None
    assert far.malformed == 1
    assert near.send_json({"type": "good"})
    assert far.recv(1.0) == {"type": "good"}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packet=st.binary(min_size=1, max_size=300) | st.binary(max_size=300).map(lambda b: b"J" + b))
def test_no_packet_raises(pair, packet):
    near, far = pair
    near._sock.send(packet)
    near.send_json({"type": "good"})
    first = far.recv(1.0)
    assert first is not None
    if first != {"type": "good"}:
        assert far.recv(1.0) == {"type": "good"}


def test_a_peer_that_does_not_read_costs_messages_not_time(pair):
    near, far = pair
    sent = 0
    while near.send_json({"type": "flood", "fill": "x" * 10_000}):
        sent += 1
        assert sent < 1000
    assert near.unsent == 1
    assert far.recv() is not None


def test_a_closed_peer_is_told_after_its_last_message(pair):
    near, far = pair
    near.send_json({"type": "last"})
    near.close()
    assert far.recv(1.0) == {"type": "last"}
    with pytest.raises(PeerGoneError):
        far.recv(1.0)
    with pytest.raises(PeerGoneError):
        far.send_json({"type": "x"})
    with pytest.raises(PeerGoneError):
        near.recv()


def test_a_user_who_is_not_allowed_is_turned_away(tmp_path):
    path = str(tmp_path / "s")
    listener = seqpacket.Listener(path, allowed_uids=frozenset({os.geteuid() + 12345}))
    near = seqpacket.connect(path)
    assert listener.accept(0.2) is None
    assert listener.refused == 1
    with pytest.raises(PeerGoneError):
        near.recv(1.0)
    with pytest.raises(SocketError, match="belongs to user"):
        seqpacket.connect(path, allowed_uids=frozenset({os.geteuid() + 12345}))
    near.close()
    listener.close()


def test_the_file_has_its_mode_and_goes_with_its_listener(tmp_path):
    path = tmp_path / "s"
    listener = seqpacket.Listener(str(path), allowed_uids=frozenset(), mode=0o620)
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    listener.close()
    assert not path.exists()
    with pytest.raises(SocketError, match="nobody can be reached"):
        seqpacket.connect(str(path))


def test_a_dead_listeners_file_is_replaced_a_live_ones_is_not(tmp_path):
    path = tmp_path / "s"
    code = f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind({str(path)!r}); s.listen()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.exists()
    listener = seqpacket.Listener(str(path), allowed_uids=frozenset())
    with pytest.raises(SocketError, match="already listens"):
        seqpacket.Listener(str(path), allowed_uids=frozenset())
    listener.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(SocketError, match="not a socket"):
        seqpacket.Listener(str(path), allowed_uids=frozenset())
    assert path.read_text() == "precious"


def test_unusable_paths_say_what_to_do(tmp_path):
    with pytest.raises(SocketError, match="shorter"):
        seqpacket.Listener(str(tmp_path / ("x" * 120)), allowed_uids=frozenset())
    with pytest.raises(SocketError, match="folder"):
        seqpacket.Listener(str(tmp_path / "absent" / "s"), allowed_uids=frozenset())


def test_the_kernel_says_who_the_peer_is(pair):
    near, far = pair
    assert (far.peer_pid, far.peer_uid) == (os.getpid(), os.geteuid())
    assert isinstance(near._sock, socket.socket)


def test_named_users_are_believed_where_they_exist():
    assert seqpacket.own_users() == {os.geteuid(), 0}
    assert seqpacket.own_users("daemon", "no-such-user") == {os.geteuid(), 0, pwd.getpwnam("daemon").pw_uid}


def test_in_a_user_namespace_a_named_user_is_the_nameless_one(monkeypatch):
    """As PrivateUsers= makes it: root and the own user are mapped, nobody else."""
    monkeypatch.setattr(seqpacket, "_is_mapped", lambda uid: uid in {0, os.geteuid()})
    assert seqpacket.own_users("daemon") == {os.geteuid(), 0, 65534}
