"""The manager's page to HTTP: who gets past, who may do what, what is written down."""

import contextlib
import json
import sqlite3
import threading
from dataclasses import replace

import pytest

from agent.core.commands import Action
from agent.core.events import Kind
from deploy.community.gate import Gate
from deploy.community.office import Role
from deploy.community.page import build
from tests.community.manager_site import OPEN, Client

ORDERS = "/api/doors/garden/gate-1/orders"
PRIVATE = [
    "/api/me",
    "/api/now",
    "/api/stream",
    "/api/day",
    "/api/alarms",
    "/api/lists",
    "/api/events.csv",
    "/api/acts",
    "/api/managers",
]


def test_an_outsider_sees_the_sign_in_page_and_nothing_else(outsider):
    assert (outsider.ask("GET", "/").status, outsider.ask("GET", "/").headers["Location"]) == (302, "/enter")
    assert outsider.ask("GET", "/enter").status == 200
    for path in PRIVATE:
        assert outsider.ask("GET", path).status == 401, path


def test_an_outsider_cannot_register_or_order(outsider, page):
    for path in ("/api/managers", "/api/managers/1/link", ORDERS, "/api/leave"):
        assert outsider.ask("POST", path, {"name": "me", "role": "owner", **OPEN}).status == 401, path
    assert outsider.ask("DELETE", "/api/managers/1", {}).status == 401
    assert page.office.managers() == []
    assert page.ordered == []


def test_every_address_of_the_application_is_closed_unless_marked(page):
    """A view that somebody adds without thinking of sign-in answers nobody but owners."""
    app = build(page.parts)
    app.add_url_rule("/forgotten", view_func=lambda: "secret")
    client = app.test_client()
    assert client.get("/forgotten", base_url="http://127.0.0.1").status_code == 401
    open_ones = {r.rule for r in app.url_map.iter_rules() if getattr(app.view_functions[r.endpoint], "role", 0) is None}
    assert open_ones == {"/enter", "/api/enter", "/page/<name>"}


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(page, outsider):
    answer = outsider.enter(page.office.link(page.office.add("Chen", Role.OWNER)))
    said = answer.headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Strict" in said
    assert "Path=/" in said
    assert "Secure" not in said  # loopback without TLS: browsers would drop it
    assert Gate(page.office, "https://doors.example", "'none'").cookie.startswith("__Host-")


def test_behind_a_proxy_cookies_are_secure_and_only_the_public_name_answers(page):
    parts = replace(page.parts, public_url="https://doors.example")
    client = build(parts).test_client()
    token = page.office.link(page.office.add("Chen", Role.OWNER))
    wrong = client.post("/api/enter", json={"token": token}, base_url="http://doors.example")
    assert wrong.status_code == 403
    assert client.get("/enter", base_url="https://127.0.0.1").status_code == 403
    right = client.post("/api/enter", json={"token": token}, base_url="https://doors.example")
    assert right.status_code == 200
    assert right.headers["Set-Cookie"].startswith("__Host-community=")
    assert "Secure" in right.headers["Set-Cookie"]
    assert "max-age" in right.headers["Strict-Transport-Security"]


def test_a_used_link_and_a_guessed_one_are_refused_alike(page, outsider):
    secret = page.office.link(page.office.add("Chen", Role.OWNER))
    assert outsider.enter(secret).status == 200
    again, guessed = Client(page.url).enter(secret), Client(page.url).enter("x" * 43)
    assert (again.status, again.json) == (guessed.status, guessed.json) == (403, again.json)
    for junk in ({}, [], {"token": 3}, {"token": "y" * 5000}, {"token": None}):
        assert Client(page.url).ask("POST", "/api/enter", junk).status == 403


def test_guessing_is_slowed_down(page):
    answers = [Client(page.url).enter(f"guess-{n}").status for n in range(14)]
    assert answers == [403] * 10 + [429] * 4


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.VIEWER, {"/api/now": 200, "/api/acts": 403, "/api/managers": 403, "/api/events.csv": 403}),
        (Role.MANAGER, {"/api/now": 200, "/api/acts": 200, "/api/managers": 403, "/api/events.csv": 400}),
        (Role.OWNER, {"/api/now": 200, "/api/acts": 200, "/api/managers": 200, "/api/events.csv": 400}),
    ],
)
def test_each_role_gets_its_own_and_no_more(page, role, statuses):
    client = page.signed_in(role)
    assert {path: client.ask("GET", path).status for path in statuses} == statuses
    assert client.ask("POST", ORDERS, OPEN).status == (403 if role is Role.VIEWER else 202)
    asked = client.ask("POST", "/api/managers", {"name": "New", "role": "viewer"})
    assert asked.status == (200 if role is Role.OWNER else 403)


def test_another_site_cannot_act_through_a_managers_browser(page):
    client = page.signed_in(Role.MANAGER)
    refused = [
        client.ask("POST", ORDERS, OPEN, X_CSRF_Token=""),
        client.ask("POST", ORDERS, OPEN, X_CSRF_Token="guessed"),  # noqa: S106  not a password
        client.ask("POST", ORDERS, OPEN, Origin="http://evil.example"),
        client.ask("POST", ORDERS, OPEN, Sec_Fetch_Site="cross-site"),
        client.ask("POST", ORDERS, OPEN, Content_Type="text/plain"),
        client.ask("POST", ORDERS, OPEN, Host="evil.example"),
    ]
    assert [answer.status for answer in refused] == [403] * 6
    assert client.ask("GET", ORDERS).status == 405
    assert page.ordered == []
    own = f"http://{client.host}"
    assert client.ask("POST", ORDERS, OPEN, Origin=own, Sec_Fetch_Site="same-origin").status == 202


def test_an_order_carries_the_managers_number_and_is_written_down_before_and_after(page):
    client = page.signed_in(Role.MANAGER, "Lin")
    told = client.ask("POST", ORDERS, {"action": "hold-open", "reason": " moving   in ", "for_s": 900})
    assert told.json == page.answer
    number = page.office.named("Lin").id
    assert page.ordered == [("garden/gate-1", Action.HOLD_OPEN, f"manager-{number}", 900)]
    acts = client.ask("GET", "/api/acts").json
    assert acts["broken"] is None
    mine = [(a["name"], a["action"], a["target"], a["reason"], a["outcome"]) for a in acts["acts"]]
    order = ("Lin", "hold-open", "garden/gate-1", "moving in")
    assert mine == [(*order, "accepted"), (*order, "asked"), ("Lin", "sign-in", "", "", "")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"action": "open"},
        {"action": "open", "reason": "  x "},
        {"action": "open", "reason": "y" * 201},
        {"action": "open", "reason": 3},
        {"action": "explode", "reason": "because"},
        {"action": "hold-open", "reason": "because"},
        {"action": "hold-open", "reason": "because", "for_s": 10**6},
        {"action": "hold-open", "reason": "because", "for_s": True},
        {"action": "open", "reason": "because", "for_s": 900},
    ],
)
def test_an_order_without_reason_or_sense_orders_nothing(page, body):
    assert page.signed_in(Role.MANAGER).ask("POST", ORDERS, body).status == 400
    assert page.ordered == []


def test_a_door_that_never_reported_is_not_ordered(page):
    client = page.signed_in(Role.MANAGER)
    assert client.ask("POST", "/api/doors/garden/gate-9/orders", OPEN).status == 404
    assert page.ordered == []


def test_what_cannot_be_written_down_is_not_ordered(page, monkeypatch):
    client = page.signed_in(Role.MANAGER)

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(page.office, "note", full)
    assert client.ask("POST", ORDERS, OPEN).status == 500
    assert page.ordered == []


def test_orders_are_bounded(page):
    client = page.signed_in(Role.MANAGER)
    statuses = [client.ask("POST", ORDERS, OPEN).status for _ in range(32)]
    assert statuses == [202] * 30 + [429] * 2


def test_an_owner_makes_a_link_that_lets_a_manager_in_and_removing_shuts_them_out(page):
    owner = page.signed_in(Role.OWNER)
    made = owner.ask("POST", "/api/managers", {"name": "Wang", "role": "manager"}).json
    base, _, secret = made["link"].partition("/enter#")
    assert base == page.url.rstrip("/")
    wang = Client(page.url)
    assert wang.enter(secret).status == 200
    assert wang.ask("POST", ORDERS, OPEN).status == 202
    assert owner.ask("DELETE", f"/api/managers/{made['id']}", {}).status == 200
    assert wang.ask("POST", ORDERS, OPEN).status == 401
    assert owner.ask("DELETE", "/api/managers/1", {}).status == 400  # the only owner
    assert owner.ask("POST", "/api/managers", {"name": "Wang", "role": "king"}).status == 400


def test_the_stream_brings_what_is_new_and_ends_with_the_session(page, monkeypatch):
    monkeypatch.setattr("deploy.community.page._QUIET_S", 0.05)
    client = page.signed_in(Role.VIEWER)
    answer = []
    reader = threading.Thread(target=lambda: answer.append(client.ask("GET", "/api/stream?after=1")))
    reader.start()
    page.event(7, Kind.DOORBELL)
    page.office.leave(client.cookie.partition("=")[2])
    reader.join(10)
    assert not reader.is_alive()
    told = [json.loads(line[6:]) for line in answer[0].text.splitlines() if line.startswith("data: ")]
    assert [entry["seq"] for entry in told if entry["type"] == "event"] in ([7], [])


def test_a_quiet_stream_gives_signs_of_life_that_a_page_can_hear(page, monkeypatch):
    """Comment lines keep a proxy awake; a script never hears of them, and took silence for peace."""
    monkeypatch.setattr("deploy.community.page._QUIET_S", 0.05)
    client = page.signed_in(Role.VIEWER)
    connection = client.connect()
    number = page.feed.snapshot()["number"]
    connection.request("GET", f"/api/stream?after={number}", headers={"Host": client.host, "Cookie": client.cookie})
    answer = connection.getresponse()
    said = [answer.readline().decode().strip() for _ in range(4)]
    connection.close()
    assert said[:4] == ["retry: 2000", "", 'data: {"type": "still"}', ""]


def test_states_come_without_the_challenge(page):
    client = page.signed_in(Role.VIEWER)
    assert "challenge" not in client.ask("GET", "/api/now").json["doors"]["garden/gate-1"]["state"]


def test_signing_out_ends_the_session(page):
    client = page.signed_in(Role.VIEWER)
    assert client.ask("POST", "/api/leave", {}).status == 200
    assert client.ask("GET", "/api/now").status == 401


def test_answers_may_not_be_framed_sniffed_or_kept(page, outsider):
    for path in ("/enter", "/page/page.js", "/api/now", "/nowhere"):
        headers = outsider.ask("GET", path).headers
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"], path
        assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == ("no-cache" if path in ("/enter", "/page/page.js") else "no-store")


@pytest.mark.parametrize("name", ["../page.py", "%2e%2e/page.py", "console.js", "index.html%00", ".."])
def test_files_of_the_page_and_the_four_shared_ones_only(outsider, name):
    assert outsider.ask("GET", f"/page/{name}").status in (404, 400)


# ---------------------------------------------------------------- history


def test_the_buttons_beside_a_manager_never_meet_another_one_whose_name_is_that_number(page):
    """`remove` beside number 3 removed number 2, who is called 3; a new link signed in as that one, or as an owner."""
    owner = page.signed_in(Role.OWNER, "Chen")
    with contextlib.closing(sqlite3.connect(page.folder / "managers.db")) as db, db:  # as an earlier server took them
        db.execute("INSERT INTO managers (name, role, active) VALUES ('3', 'owner', 1), ('Lin', 'viewer', 1)")
    assert owner.ask("POST", "/api/managers/3/link", {}).json["name"] == "Lin"
    assert owner.ask("DELETE", "/api/managers/3", {}).status == 200
    assert [m.name for m in page.office.managers()] == ["Chen", "3"]
    assert owner.ask("DELETE", "/api/managers/3", {}).status == 400
    assert page.office.named("3").id == 2, "on the command line the name counts where nobody has the number"
    assert owner.ask("POST", "/api/managers", {"name": "Wang", "role": ["owner"]}).status == 400
