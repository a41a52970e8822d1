"""The console's server: tells everything to the page of this machine, and nothing to anybody else."""

import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest
from scripted import ScriptedDoor

from agent.console.server import TOKEN_HEADER, Console, ConsoleSettings
from agent.errors import ConfigError


class Client:
    """Plain HTTP, so that every header is the test's own. With the door's key it has a session."""

    def __init__(self, console, key=None):
        self.host = urlsplit(console.url).netloc
        self.own = {"Cookie": f"{key.cookie}={key.session()}"} if key else {}

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.host, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(
            method, path, body=body, headers={"Host": self.host, "Connection": "close", **self.own, **named}
        )
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data, answer.headers

    def post(self, body, **headers):
        return self.ask("POST", "/api/act", json.dumps(body), Content_Type="application/json", **headers)[0]

    def token(self):
        return json.loads(self.ask("GET", "/api/token")[1])["token"]


@pytest.fixture
def client(console, key):
    return Client(console, key)


def lines_of_stream(client, wanted):
    """The first `wanted` data lines of a stream, parsed; the connection is closed afterwards."""
    connection = http.client.HTTPConnection(client.host, timeout=10)
    connection.request("GET", "/api/stream", headers=client.own)
    answer = connection.getresponse()
    try:
        while wanted:
            line = answer.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                wanted -= 1
                yield json.loads(line[6:])
    finally:
        answer.close()
        connection.close()


def test_the_snapshot_is_what_the_door_knows_of_itself(client, door):
    status, data, headers = client.ask("GET", "/api/snapshot")
    told = json.loads(data)
    assert status == 200
    assert told.pop("now_s") > 0
    assert told == json.loads(json.dumps(door.snapshot()))
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8480", "192.168.1.20:8480", "127.0.0.1.evil.example"])
def test_a_foreign_name_for_this_machine_gets_nothing(client, host):
    for path in ("/", "/api/snapshot", "/api/token", "/api/picture"):
        assert client.ask("GET", path, Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"])
def test_a_tunnel_with_another_port_is_welcome(client, host):
    assert client.ask("GET", "/api/snapshot", Host=host)[0] == 200


def test_only_the_page_itself_may_ask_for_something(client, door):
    wish = {"name": "enrol_cancel", "args": {}}
    token = {TOKEN_HEADER: client.token()}
    refused = [
        client.post(wish),
        client.post(wish, **{TOKEN_HEADER: "guessed"}),
        client.post(wish, **{TOKEN_HEADER: "\xfcber"}),
        client.post(wish, **token, Origin="http://evil.example"),
        client.post(wish, **token, Origin="http://127.0.0.1:1"),
        client.post(wish, **token, Sec_Fetch_Site="cross-site"),
        client.ask("GET", "/api/token", Sec_Fetch_Site="cross-site")[0],
    ]
    assert refused == [403] * 7
    assert door.asked == []
    assert client.post(wish, **token, Origin=f"http://{client.host}", Sec_Fetch_Site="same-origin") == 200
    assert door.asked == [("enrol_cancel", {})]


@pytest.mark.parametrize("body", [None, [], {"name": 3}, {"name": "x", "args": []}, {"args": {}}])
def test_a_malformed_wish_is_refused_and_not_handed_on(client, door, body):
    assert client.post(body, **{TOKEN_HEADER: client.token()}) == 400
    assert door.asked == []


def test_a_huge_wish_is_refused(client, door):
    body = {"name": "enrol_start", "args": {"name": "x" * 10_000}}
    assert client.post(body, **{TOKEN_HEADER: client.token()}) == 413
    assert door.asked == []


def test_every_answer_forbids_foreign_scripts_and_frames(client):
    for path in ("/", "/static/console.js", "/api/snapshot", "/nowhere"):
        headers = client.ask("GET", path)[2]
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["Content-Security-Policy"].endswith("frame-ancestors http://127.0.0.1:*")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_stream_tells_everything_once_and_then_only_what_changed(client, door):
    stream = lines_of_stream(client, 3)
    first = next(stream)
    assert first["site"] == "kangle-garden"
    door.board.update(clock={"quality": "rtc"})
    second = next(stream)
    assert second.pop("now_s") >= first["now_s"]
    assert second == {"clock": {"quality": "rtc"}, "version": first["version"] + 1}
    door.event("Door/Doorbell")
    assert [event["kind"] for event in next(stream)["events"]] == ["Door/Doorbell"]
    stream.close()


def test_the_seventh_open_page_is_told_so_and_a_closed_one_makes_room(client, door):
    open_pages = [lines_of_stream(client, 9) for _ in range(6)]
    for page in open_pages:
        next(page)
    assert client.ask("GET", "/api/stream")[0] == 503
    open_pages.pop().close()
    changes = threading.Event()
    for number in range(200):
        door.board.update(clock={"quality": str(number)})
        late = lines_of_stream(client, 1)
        try:
            assert next(late)["site"] == "kangle-garden"
            break
        except AssertionError:
            changes.wait(0.05)
    else:
        pytest.fail("no room although a page was closed")
    for page in open_pages:
        page.close()


def test_the_picture_comes_once_and_then_when_there_is_a_newer_one(client, door):
    door.board.put_picture(b"\xff\xd8one")
    status, data, headers = client.ask("GET", "/api/picture")
    assert (status, data, headers["Content-Type"]) == (200, b"\xff\xd8one", "image/jpeg")
    number = headers["X-Picture"]
    threading.Timer(0.1, door.board.put_picture, [b"\xff\xd8two"]).start()
    assert client.ask("GET", f"/api/picture?after={number}")[1] == b"\xff\xd8two"


def test_no_picture_is_no_content(client):
    assert client.ask("GET", "/api/picture")[0] == 204


def test_it_cannot_be_opened_to_the_network(key):
    with pytest.raises(ConfigError, match="SSH tunnel"):
        ConsoleSettings(8480, key, host="0.0.0.0")  # noqa: S104  what is refused


def test_a_taken_port_is_said_with_the_key_to_change(console, key):
    port = urlsplit(console.url).port
    with pytest.raises(ConfigError, match=rf"127.0.0.1:{port} .*change \[console\] port"):
        Console(ConsoleSettings(port, key), ScriptedDoor()).start()


def test_stop_ends_open_streams(door, key):
    console = Console(ConsoleSettings(0, key), door)
    console.start()
    stream = lines_of_stream(Client(console, key), 99)
    next(stream)
    console.stop()
    with pytest.raises(AssertionError, match="the stream ended"):
        list(stream)
