"""The server's end of the "open" button: a signed request becomes an order once, or a reason; junk costs nothing."""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask import Flask

from agent.core.bounded import written
from agent.errors import StoreError
from agent.pass_desk import phone_key
from deploy.community import phone_open
from deploy.community.people import People
from deploy.community.phone_open import PhoneOpenings, RefusedError, blueprint, signed_text

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"


@dataclass
class Office:
    """The desk with a door that only notes what it is asked."""

    folder: Path
    said: dict[str, Any] = field(default_factory=lambda: {"stage": "energised"})
    opened: list[tuple] = field(default_factory=list)
    high: bool | None = False
    alarms: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = People(self.folder / "people")
        self.key = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        code = base64.urlsafe_b64encode(self.key.public_key().public_bytes(*form)).decode()
        self.phone = phone_key(code)
        self.people.put({"id": "p-li", "groups": ["block-1"], "phones": [written(self.phone)]})
        self.people.set_door(DOOR, ["block-1"])
        self.people.set_door("garden/cellar", ["block-2"])
        self.desk = PhoneOpenings(self.people, self._open, "Asia/Shanghai", lambda _device: self.high,
                                  lambda device, who: self.alarms.append((device, who)))  # fmt: skip

    def _open(self, device: str, actor: str, claims: Mapping[str, bool]) -> dict[str, Any]:
        self.opened.append((device, actor, dict(claims)))
        return self.said

    def request(self, action: str = "open", **changes: Any) -> dict[str, Any]:
        asked = {"key": self.phone.key_id, "door": DOOR, "at_utc_s": int(time.time()), "nonce": secrets.token_hex(16),
                 "duress": False, **changes}  # fmt: skip
        r, s = decode_dss_signature(self.key.sign(signed_text(action, asked), ec.ECDSA(hashes.SHA256())))
        return {**asked, "signature": f"{r:064x}{s:064x}"}

    def refused(self, asked: dict[str, Any]) -> str:
        with pytest.raises(RefusedError) as error:
            self.desk.open(asked)
        return str(error.value.reason)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_good_request_is_passed_on_once(office: Office):
    asked = office.request()
    assert office.desk.open(asked) == {"stage": "energised"}
    assert office.refused(asked) == "replayed"
    assert office.opened == [(DOOR, "phone:p-li", {})]
    assert office.alarms == []
    assert office.desk.doors(office.request("doors", door="")) == {"doors": [DOOR]}


def test_a_request_is_good_once_also_when_the_server_was_started_anew(office: Office):
    """The nonces were in memory only: whoever had a copy opened with it once more after a restart."""
    asked = office.request()
    office.desk.open(asked)
    office.desk = PhoneOpenings(People(office.folder / "people"), office._open, "Asia/Shanghai", lambda _device: False)
    assert office.refused(asked) == "replayed"
    assert office.desk.open(office.request()) == {"stage": "energised"}
    assert len(office.opened) == 2


def test_somebody_who_walks_slowly_gets_the_long_release_from_afar_too(office: Office):
    office.people.put({"id": "p-li", "extended_release": True})
    office.desk.open(office.request(duress=True))
    assert office.opened == [(DOOR, "phone:p-li", {"duress": True, "extended": True})]


def test_what_was_signed_for_something_else_opens_nothing(office: Office):
    good = office.request()
    wrong = {
        "other door": {**good, "door": "garden/cellar"},
        "duress taken away": {**office.request(duress=True), "duress": False},
        "later": {**good, "at_utc_s": good["at_utc_s"] + 1}, "other nonce": {**good, "nonce": "0" * 32},
        "for the list": office.request("doors"),
    }  # fmt: skip
    assert {office.refused(asked) for asked in wrong.values()} == {"bad-signature"}
    assert office.refused(office.request(key="0" * 16)) == "unknown-key"
    assert office.opened == []


@pytest.mark.parametrize(
    ("change", "person", "reason"),
    [
        ({"at_utc_s": 0}, {}, "wrong-time"), ({"at_utc_s": 2**39}, {}, "wrong-time"),
        ({"door": "garden/cellar"}, {}, "wrong-door"), ({"door": "garden/nowhere"}, {}, "wrong-door"),
        ({}, {"enabled": False}, "CredentialNotEnabled"), ({}, {"groups": []}, "wrong-door"),
        ({}, {"valid_until_utc_s": 5}, "CredentialExpired"), ({}, {"valid_from_utc_s": 2**39}, "CredentialNotActive"),
        ({}, {"schedules": []}, "Unauthorized"),
    ],
)  # fmt: skip
def test_the_server_judges_by_the_roster_as_the_door_would(office: Office, change: dict, person: dict, reason: str):
    office.people.put({"id": "p-li", **person})
    assert office.refused(office.request(**change)) == reason
    assert office.opened == []


def test_a_high_security_door_a_silent_door_too_many_presses_and_a_lost_phone_have_their_reasons(
    office: Office,
):
    office.high = True
    assert office.refused(office.request()) == "face-needed"
    office.high = None  # not connected, or its state is not known: never taken for an ordinary door
    assert office.refused(office.request()) == "no-answer"
    office.high = False
    office.said = {"stage": "not-sent", "reason": "the door is not connected or did not answer"}
    assert office.refused(office.request()) == "no-answer"
    office.said = {"stage": "no-answer", "reason": "no answer within 5 s"}
    assert office.refused(office.request()) == "not-known"
    office.said = {"stage": "refused", "reason": "stale-challenge"}
    assert office.refused(office.request()) == "stale-challenge"
    for _ in range(phone_open._PER_MINUTE - 5):
        office.refused(office.request())
    assert office.refused(office.request()) == "too-many"
    office.people.put({"id": "p-li", "phones": [{**written(office.phone), "enabled": False}]})
    assert office.refused(office.request()) == "CredentialNotEnabled"


@pytest.mark.parametrize(
    "junk",
    [{}, {"key": 5}, {"nonce": "x" * 32}, {"signature": "zz"}, {"at_utc_s": True}, {"duress": "yes"},
     {"door": "x" * 999},
     {"key": "'; DROP TABLE doors; --"}],
)  # fmt: skip
def test_junk_is_refused_by_its_shape_before_anything_is_looked_up(office: Office, junk: dict):
    asked = {**office.request(), **junk} if junk else {}
    assert office.refused(asked) in ("malformed", "unknown-key")
    app = Flask("junk")
    app.register_blueprint(blueprint(office.desk))
    for body in (json.dumps(asked), "[", "null", '"x"', "[" * 60_000, '{"key":' * 8000):
        answer = app.test_client().post("/phone/api/open", data=body, content_type="application/json")
        assert answer.status_code == 403
        assert answer.headers["Cache-Control"] == "no-store"
    assert office.opened == []


def test_a_press_under_duress_that_is_refused_is_an_alarm_and_a_forged_one_is_not(office: Office):
    office.people.put({"id": "p-li", "schedules": []})
    assert office.refused(office.request(duress=True)) == "Unauthorized"
    assert office.alarms == [(DOOR, "p-li")]
    assert office.refused({**office.request(), "duress": True}) == "bad-signature"
    assert len(office.alarms) == 1


@pytest.mark.parametrize("why", ["person off", "phone off", "too many", "wrong time", "no such door", "full disk"])
def test_a_press_under_duress_is_an_alarm_whatever_it_is_refused_for_and_the_answer_is_as_always(
    office: Office, why: str, monkeypatch: pytest.MonkeyPatch
):
    """Forced with a phone that was switched off, after ten presses or with a wrong clock: nobody heard of it."""
    change: dict[str, Any] = {}
    if why == "person off":
        office.people.put({"id": "p-li", "enabled": False})
    elif why == "phone off":
        office.people.put({"id": "p-li", "phones": [{**written(office.phone), "enabled": False}]})
    elif why == "too many":
        for _ in range(phone_open._PER_MINUTE):
            office.desk.open(office.request())
    elif why == "wrong time":
        change = {"at_utc_s": int(time.time()) - 3600}
    elif why == "no such door":
        change = {"door": "garden/nowhere/#"}
    else:

        def torn(*_: object) -> bool:
            raise StoreError("site.db: cannot be used (disk I/O error)")

        monkeypatch.setattr(People, "press", torn)
    app = Flask("forced")
    app.register_error_handler(StoreError, lambda error: ({"error": str(error)}, 400))
    app.register_blueprint(blueprint(office.desk))

    def press(*, duress: bool) -> tuple[int, bytes]:
        answer = app.test_client().post("/phone/api/open", json=office.request(duress=duress, **change))
        return answer.status_code, answer.data

    free = press(duress=False)
    assert office.alarms == []
    assert [press(duress=True), press(duress=True)] == [free, free], "nothing on the screen tells"
    assert office.alarms == [("server" if why == "no such door" else DOOR, "p-li")], "once a minute, not at each press"


def test_a_press_under_duress_that_somebody_copied_raises_no_second_alarm(office: Office):
    late, good = office.request(duress=True, at_utc_s=int(time.time()) - 3600), office.request(duress=True)
    office.desk.open(good)
    for _ in range(2):  # and after a restart
        assert [office.refused(late), office.refused(good)] == ["wrong-time", "replayed"]
        office.desk = PhoneOpenings(People(office.folder / "people"), office._open, "Asia/Shanghai", lambda _: False,
                                    lambda device, who: office.alarms.append((device, who)))  # fmt: skip
    assert office.alarms == [(DOOR, "p-li")]


def test_a_stranger_costs_no_look_at_everybody_and_is_soon_sent_away(office: Office, monkeypatch):
    """Each request unsealed and parsed the whole roster before the key was looked up: anybody could keep it busy."""
    office.desk.open(office.request())
    read = []
    monkeypatch.setattr(People, "roster", lambda _: read.append(1))
    app = Flask("strangers")
    app.register_blueprint(blueprint(office.desk))
    client = app.test_client()
    asked = office.request(key="0" * 16)
    codes = [client.post("/phone/api/open", json=asked).status_code for _ in range(100)]
    assert codes == [403] * 60 + [429] * 40
    assert client.post("/phone/api/doors", json=asked).json == {"doors": [], "refused": "too-many"}
    other = {"REMOTE_ADDR": "2001:db8::1"}
    for where in (other, {}):  # a resident behind the stranger's own address, a whole house perhaps, is let in as well
        assert client.post("/phone/api/open", json=office.request(), environ_base=where).status_code == 200
    for junk in ({"key": [1]}, {"key": None}):
        assert client.post("/phone/api/open", json=junk).status_code == 429
    assert read == []
    monkeypatch.undo()
    office.people.put({"id": "p-li", "enabled": False})
    assert office.refused(office.request()) == "CredentialNotEnabled"


def test_a_stranger_who_comes_first_after_a_restart_shuts_nobody_behind_the_same_address_out(office: Office):
    """Junk without a key's name had nobody looked up, so every resident on that Wi-Fi was taken for a stranger."""
    app = Flask("strangers")
    app.register_blueprint(blueprint(office.desk))
    client = app.test_client()
    codes = [client.post("/phone/api/open", json={"key": 5}).status_code for _ in range(61)]
    assert codes == [403] * 60 + [429]
    assert client.post("/phone/api/open", json=office.request()).status_code == 200


def test_addresses_of_one_customer_count_as_one():
    assert phone_open._network("2001:db8::1") == phone_open._network("2001:db8::ffff:0:0:2")
    assert phone_open._network("192.0.2.1") != phone_open._network("192.0.2.2")
