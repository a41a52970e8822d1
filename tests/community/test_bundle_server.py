"""Bundles are served to doors with a certificate of the site that were ordered to fetch them, and to nobody else."""

import hashlib
import http.client
import os
import socket
import ssl
import time

import pytest

from agent.link.settings import tls_context
from deploy.community.bundle_server import MOST_AT_ONCE, MOST_OF_ONE_DOOR, BundleServer, server_context
from deploy.community.rollout_store import RolloutStore
from deploy.pki import Authority


class Served:
    def __init__(self, folder):
        self.authority = Authority(folder / "ca")
        pair = self.authority.server("bundles", ("127.0.0.1",))
        self.content = os.urandom(300_000)
        (folder / "b.tar").write_bytes(self.content)
        self.store = RolloutStore(folder / "releases")
        self.digest = self.store.take(folder / "b.tar")
        self.may = {("garden/gate-1", self.digest)}
        context = server_context(self.authority.cert, pair.cert, pair.key)
        self.server = BundleServer("127.0.0.1", 0, context, self.store, lambda *what: what in self.may)

    def ask(self, path=None, *, door="garden/gate-1", method="GET", **headers):
        pair = self.authority.device(door)
        context = tls_context(self.authority.cert, pair.cert, pair.key)
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=20, context=context)
        try:
            connection.request(method, path or f"/bundles/{self.digest}.tar", headers=headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def asked(connection, path):
    connection.request("GET", path)
    return connection.getresponse()


def refused(served, door):
    """Whether the server hangs up on a door that has shown its certificate."""
    try:
        return served.ask(door=door)[0].status != 200
    except (OSError, http.client.HTTPException):
        return True


def until(condition, what):
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path)
    yield served
    served.server.close()


def test_a_door_that_was_ordered_gets_the_file_and_from_any_byte_on(served):
    answer, body = served.ask()
    assert (answer.status, hashlib.sha256(body).hexdigest()) == (200, served.digest)
    answer, body = served.ask(Range="bytes=299990-")
    assert (answer.status, body) == (206, served.content[-10:])
    assert answer.headers["Content-Range"] == "bytes 299990-299999/300000"
    assert served.ask(Range="bytes=300000-")[0].status == 416
    answer, body = served.ask(method="HEAD")
    assert (answer.headers["Content-Length"], body) == ("300000", b"")


def test_ranges_of_another_kind_get_the_whole(served):
    for asked in ("bytes=-5", "bytes=0-4", "bytes=1-2,5-6", "lines=3-", "bytes=" + "9" * 5000 + "-"):
        assert served.ask(Range=asked)[0].status == 200


def test_what_is_not_there_and_who_may_not_have_it_get_the_same_answer(served):
    other = "0" * 64
    served.may |= {("garden/gate-1", other)}
    asked = [
        {"door": "garden/gate-2"},
        {"path": f"/bundles/{other}.tar"},
        {"path": "/bundles/../plan.json"},
        {"path": "/"},
    ]
    assert [served.ask(**one)[0].status for one in asked] == [404] * 4


def test_without_a_certificate_of_the_site_nothing_is_said(served, tmp_path):
    stranger = Authority(tmp_path / "other").device("garden/gate-1")
    for cert in (None, stranger):
        context = ssl.create_default_context(cafile=served.authority.cert)
        if cert:
            context.load_cert_chain(cert.cert, cert.key)
        connection = http.client.HTTPSConnection("127.0.0.1", served.server.port, timeout=20, context=context)
        with pytest.raises((OSError, http.client.HTTPException)):  # in TLS 1.3 the verdict comes with the first answer
            asked(connection, f"/bundles/{served.digest}.tar")
        connection.close()


def test_who_connects_and_says_nothing_keeps_nobody_out(served):
    """The handshake is the connection's own, and the oldest of too many silent ones gives way."""
    silent = [socket.create_connection(("127.0.0.1", served.server.port)) for _ in range(MOST_AT_ONCE + 6)]
    assert served.ask()[0].status == 200
    for one in silent:
        one.close()


def test_one_door_that_holds_connections_keeps_no_other_out_and_has_its_own_back_when_they_end(served):
    served.may.add(("garden/gate-2", served.digest))
    pair = served.authority.device("garden/gate-2")
    context = tls_context(served.authority.cert, pair.cert, pair.key)
    held = [
        context.wrap_socket(socket.create_connection(("127.0.0.1", served.server.port)), server_hostname="127.0.0.1")
        for _ in range(MOST_OF_ONE_DOOR)
    ]
    for one in held:  # answered in part: the server has seen the certificate
        one.sendall(f"GET /bundles/{served.digest}.tar HTTP/1.1\r\n".encode())
    until(lambda: refused(served, "garden/gate-2"), "one more of the same door is refused")
    assert served.ask()[0].status == 200
    for one in held:
        one.close()
    until(lambda: not refused(served, "garden/gate-2"), "its connections are free again")
