"""Residents and visitors on the manager's page: who may change what, what is written down, what never leaves."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.residents import NewFace, consent_now
from deploy.community.office import Role
from deploy.community.people import People
from tests.community.manager_site import Client

ADDRESSES = [("GET", "/api/people"), ("POST", "/api/people"), ("POST", "/api/people/p-1/withdraw"),
             ("DELETE", "/api/people/p-1"), ("DELETE", "/api/people/p-1/phones/ab"),
             ("GET", "/api/passes"), ("POST", "/api/passes"),
             ("GET", "/api/passes/ab/picture.svg"), ("DELETE", "/api/passes/ab")]  # fmt: skip


@pytest.fixture
def manager(page):
    return page.signed_in(Role.MANAGER, "Lin")


@pytest.fixture
def meanwhile(page, monkeypatch):
    """Something that another hand does right after the next look at the people."""

    def do(act):
        look, left = page.people.roster, [act]

        def looked():
            found = look()
            if left:
                left.pop()(People(page.people.folder))
            return found

        monkeypatch.setattr(page.people, "roster", looked)

    return do


def code():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(key.public_bytes(*form)).decode()


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_residents_are_no_business_of_outsiders_and_viewers(page, outsider, method, path):
    body = None if method == "GET" else {}
    assert outsider.ask(method, path, body).status == 401
    assert page.signed_in(Role.VIEWER).ask(method, path, body).status == 403


def test_a_person_is_added_changed_and_removed_and_the_record_has_no_name(page, manager):
    made = manager.ask("POST", "/api/people", {"name": "陈美玲", "groups": ["tower-a"], "phone_code": code()}).json
    assert (made["name"], made["phones"], made["faces"], made["consent"]) == ("陈美玲", 1, 0, "none")
    changed = manager.ask("POST", "/api/people", {"id": made["id"], "phone_code": code(), "enabled": False}).json
    assert (changed["name"], changed["phones"], changed["enabled"]) == ("陈美玲", 2, False)
    assert [p["id"] for p in manager.ask("GET", "/api/people").json["people"]] == [made["id"]]
    assert manager.ask("DELETE", f"/api/people/{made['id']}", {}).json == {"removed": True}
    assert page.people.roster().persons == {}
    written = json.dumps([(a.action, a.target, a.reason) for a in page.office.acts()], ensure_ascii=False)
    assert "陈美玲" not in written
    assert [a.action for a in page.office.acts()][:3] == ["remove-person", "put-person", "put-person"]


def test_a_lost_phone_goes_alone_and_at_no_door_opens_any_more(page, manager):
    """The person had to be removed as a whole, or switched off, to get rid of one stolen phone."""
    page.people.set_door("garden/gate-1", ["*"])
    made = manager.ask("POST", "/api/people", {"name": "陈美玲", "phone_code": code()}).json
    kept = manager.ask("POST", "/api/people", {"id": made["id"], "phone_code": code()}).json
    lost, left = kept["phone_names"]
    told = manager.ask("DELETE", f"/api/people/{made['id']}/phones/{lost}", {}).json
    assert (told["phones"], told["phone_names"]) == (1, [left])
    door = page.people.doors()["garden/gate-1"]
    entry = json.loads(page.people.entries(door)["person", made["id"]])
    assert [phone["key_id"] for phone in entry["phones"]] == [left]
    assert manager.ask("DELETE", f"/api/people/{made['id']}/phones/{lost}", {}).status == 404
    assert [(a.action, a.reason) for a in page.office.acts()][:1] == [("remove-phone", lost)]


def test_who_is_removed_while_a_phone_is_being_registered_stays_removed(page, manager, meanwhile):
    """A phone's registration wrote the person anew, with a phone that opened the doors."""
    made = manager.ask("POST", "/api/people", {"name": "陈美玲", "phone_code": code()}).json
    meanwhile(lambda people: people.remove(made["id"]))
    told = manager.ask("POST", "/api/people", {"id": made["id"], "name": "陈美玲", "phone_code": code()})
    assert (told.status, "nobody of this id" in told.json["error"]) == (400, True)
    assert page.people.roster().persons == {}


def test_a_lost_phone_that_is_removed_while_the_new_one_is_registered_does_not_come_back(page, manager, meanwhile):
    made = manager.ask("POST", "/api/people", {"name": "陈美玲", "phone_code": code()}).json
    (lost,) = made["phone_names"]
    meanwhile(lambda people: people.remove_phone(made["id"], lost))
    told = manager.ask("POST", "/api/people", {"id": made["id"], "phone_code": code()}).json
    assert (told["phones"], lost in told["phone_names"]) == (1, False)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x" * 201},
        {"name": 3},
        {"kind": "king"},
        {"kind": ["resident"]},
        {"groups": "tower-a"},
        {"groups": [3]},
        {"phone_code": "not a code"},
        {"id": "p-nobody"},
        {"enabled": "False"},
        [],
    ],
)
def test_what_makes_no_sense_changes_nobody(page, manager, body):
    assert manager.ask("POST", "/api/people", body).status in (400, 404)
    assert page.people.roster().persons == {}


def test_a_page_cannot_bring_a_face_or_a_consent(page, manager):
    """Consent and face are given at a door or on the server's command line, with the person there."""
    body = {"name": "A", "faces": [{"template_id": "t"}], "consent": {"purpose": "face-at-all-doors"}}
    made = manager.ask("POST", "/api/people", body).json
    assert (made["faces"], made["consent"]) == (0, "none")


def test_a_withdrawn_consent_takes_the_face_at_once(page, manager):
    consent = consent_now(1_790_000_000, purpose="face-at-all-doors")
    page.people.put({"id": "p-1", "name": "A", "consent": {"purpose": consent.purpose, "given_utc_s": 1_790_000_000,
                     "under_14": False, "guardian": None, "withdrawn_utc_s": None}})  # fmt: skip
    page.people.add_faces("p-1", [NewFace(bytes(1024), 0.9)], "reid0095", "five-point")
    page.people.set_door("garden/gate-1", ["*"])
    assert manager.ask("GET", "/api/people").json["people"][0]["faces"] == 1
    assert manager.ask("POST", "/api/people/p-1/withdraw", {}).status == 200
    told = manager.ask("GET", "/api/people").json
    assert (told["people"][0]["faces"], told["people"][0]["consent"]) == (0, "withdrawn")
    assert [(w["person_id"], w["waiting"]) for w in told["withdrawals"]] == [("p-1", ["garden/gate-1"])]


def test_a_pass_is_made_shown_and_revoked(page, manager):
    body = {"doors": ["garden/gate-1"], "for_s": 7200, "uses": 1, "note": "plumber"}
    made = manager.ask("POST", "/api/passes", body).json
    assert made["link"].startswith(f"{page.url}phone/visitor.html#")
    assert "text" not in made
    picture = manager.ask("GET", f"/api/passes/{made['pass_id']}/picture.svg")
    assert (picture.status, picture.headers["Content-Type"].split(";")[0]) == (200, "image/svg+xml")
    assert Client(page.url).ask("GET", f"/api/passes/{made['pass_id']}/picture.svg").status == 401
    assert Client(page.url).ask("GET", "/phone/visitor.html").status == 200
    assert manager.ask("DELETE", f"/api/passes/{made['pass_id']}", {}).json == {"revoked": True}
    assert manager.ask("GET", "/api/passes").json["passes"][0]["revoked_utc_s"] is not None
    assert [a.action for a in page.office.acts()][:2] == ["revoke-pass", "issue-pass"]


@pytest.mark.parametrize(
    "more",
    [{"for_s": 0}, {"for_s": 10**9}, {"uses": 300}, {"uses": True}, {"doors": "garden/gate-1"}, {"doors": ["x"]}],
)
def test_a_pass_without_sense_is_not_made(page, manager, more):
    body = {"doors": [], "for_s": 7200, "uses": 1, "note": "", **more}
    assert manager.ask("POST", "/api/passes", body).status == 400
    assert page.passes.passes() == []


def test_a_door_gets_the_list_once_a_manager_says_who_may_use_it(page, manager):
    """Until then people went nowhere, and nothing on the page said so."""
    assert manager.ask("GET", "/api/lists").json == {"doors": [], "without": ["garden/gate-1"]}
    address = "/api/doors/garden/gate-1/list"
    assert manager.ask("POST", address, {"groups": ["tower-a"]}).status == 200
    told = manager.ask("GET", "/api/lists").json
    assert (told["without"], told["doors"][0]["device"], told["doors"][0]["groups"]) == (
        [],
        "garden/gate-1",
        ["tower-a"],
    )
    assert page.people.doors()["garden/gate-1"].groups == ("tower-a",)
    last = page.office.acts()[0]
    assert (last.action, last.target, last.reason) == ("set-door", "garden/gate-1", "tower-a")
    for body in ({"groups": "tower-a"}, {"groups": [3]}, {"groups": ["x" * 65]}, {}):
        assert manager.ask("POST", address, body).status == 400
    assert manager.ask("POST", "/api/doors/garden/gate-9/list", {"groups": ["*"]}).status == 404
    assert page.signed_in(Role.VIEWER).ask("POST", address, {"groups": ["*"]}).status == 403
