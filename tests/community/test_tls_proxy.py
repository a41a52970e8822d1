"""The manager's page behind a real nginx with deploy/community/nginx.conf: signing in, live events, who is believed."""

import http.client
import json
import socket
import ssl
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.community.office import Role
from deploy.community.page import serve
from tests.community.manager_site import Client, Page
from tests.programs import needed

WRITTEN = Path("deploy/community/nginx.conf")
pytestmark = pytest.mark.needs("nginx")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def certificate(folder: Path) -> None:
    """fullchain.pem and privkey.pem for localhost."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=localhost")
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(key.private_bytes(*forms))


class Behind(Client):
    """A browser that comes through the proxy, and trusts its certificate only."""

    def __init__(self, port: int, folder: Path):
        super().__init__(f"https://localhost:{port}/")
        self.trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, timeout=10, context=self.trust)


def started(folder: Path, plain: int, tls: int, page: int) -> subprocess.Popen:
    """Nginx with the written file; only names, ports and files of this test put in."""
    site = WRITTEN.read_text()
    for written, here in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
        ("https://doors.example$request_uri", f"https://localhost:{tls}$request_uri"),
        ("/etc/letsencrypt/live/doors.example", str(folder)),
        ("127.0.0.1:8481", f"127.0.0.1:{page}"),
    ):
        assert written in site
        site = site.replace(written, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    text = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
    (folder / "nginx.conf").write_text(f"{text}http {{ access_log off; {places}\n{site}\n}}\n")
    process = subprocess.Popen([needed("nginx"), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")])
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", tls), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process
    process.kill()
    process.wait()
    raise AssertionError((folder / "error.log").read_text())


@pytest.fixture
def behind(tmp_path):
    """(the page, its own port's client, what comes through the proxy, the proxy's plain port)."""
    site = Page(tmp_path)
    plain, tls = free_port(), free_port()
    parts = replace(site.parts, public_url=f"https://localhost:{tls}")
    server = serve(parts, "127.0.0.1", 0, "127.0.0.1")
    certificate(tmp_path)
    proxy = started(tmp_path, plain, tls, int(server.url.rsplit(":", 1)[1].rstrip("/")))
    yield site, Client(server.url), Behind(tls, tmp_path), plain
    proxy.terminate()
    proxy.wait(10)
    site.feed.close()
    server.close()
    site.close()


def entered(site, client):
    return client.enter(site.office.link(site.office.add("Chen", Role.OWNER)))


def test_a_manager_signs_in_through_tls_and_orders_a_door(behind):
    site, _, client, _ = behind
    answer = entered(site, client)
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    order = client.ask("POST", "/api/doors/garden/gate-1/orders", {"action": "open", "reason": "delivery"})
    assert order.status == 202
    assert [o[:2] for o in site.ordered] == [("garden/gate-1", "open")]


def test_events_come_live_through_the_proxy(behind):
    site, _, client, _ = behind
    entered(site, client)
    connection = client.connect()
    connection.request("GET", "/api/stream", headers={"Host": client.host, "Cookie": client.cookie})
    stream = connection.getresponse()
    site.event(1, "AccessControl/AccessGranted", person_id="p-1")
    told = ""
    while "AccessGranted" not in told:  # bounded: the connection gives up after 10 s
        told = stream.readline().decode()
    assert json.loads(told.removeprefix("data: "))["device"] == "garden/gate-1"
    connection.close()


def test_plain_http_is_sent_to_tls(behind):
    _, _, client, plain = behind
    connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
    connection.request("GET", "/enter")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{client.host}/enter")
    connection.close()


def test_nobody_outside_says_what_only_the_proxy_may_say(behind):
    """Ten guesses a minute and address: a made-up X-Forwarded-For is not a new address; another name is refused."""
    _, _, client, _ = behind
    told = [
        client.ask("POST", "/api/enter", {"token": "guess"}, X_Forwarded_For=f"10.0.0.{n}").status for n in range(12)
    ]
    assert told[-1] == 429
    assert client.ask("GET", "/enter", X_Forwarded_Proto="http").status == 200
    assert client.ask("GET", "/enter", X_Forwarded_Host="evil.example").status == 200
    assert client.ask("GET", "/enter", Host="evil.example").status == 403


def test_past_the_proxy_nobody_gets_in(behind):
    _, past, _, _ = behind
    assert past.ask("GET", "/enter").status == 403
