"""The "open" button: from a real phone page through server, broker and door to the relay, or to a reason."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from agent.console.local import LocalServer
from agent.core import commands
from agent.core.access import Denial
from agent.core.bounded import written
from agent.core.commands import Action
from agent.pass_desk import phone_key
from deploy.community import commander
from deploy.community.phone_open import PhoneOpenings, Reason, blueprint
from deploy.phone.serve import blueprint as phone_page
from deploy.phone.serve import page_files

sys.path.append(str(Path(__file__).parent.parent / "app"))  # its world of real doors
from roster_world import Site, until

pytestmark = pytest.mark.slow

DOOR = "garden/gate-1"


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path)
    site.people.set_door(DOOR, ["*"])
    site.serve()

    def open_(device: str, actor: str, claims: Mapping[str, bool]) -> dict[str, Any]:
        return site.commander.order(device, Action.OPEN, actor, **claims)

    app = Flask("phone-open")
    app.register_blueprint(phone_page())
    app.register_blueprint(blueprint(PhoneOpenings(site.people, open_, "Asia/Shanghai", lambda _device: False)))
    server = LocalServer(app, "127.0.0.1", 0, 8, "page")
    site.url = server.url.replace("127.0.0.1", "localhost") + "phone/"
    try:
        yield site
    finally:
        server.close()
        site.close()


def test_a_press_opens_the_door_silently_warns_under_duress_and_says_why_not_in_both_languages(site, new_phone):
    door = site.door().start(guard=True)
    phone = new_phone(site.url)
    code = phone.browser.text("#code")
    phone.register()
    site.people.put({"id": "p-li", "phones": [written(phone_key(code))]})
    until(lambda: any(d["held"] and not d["drift"] for d in site.people.drift()), door._words)
    door.wrote(kind="Door/State/DoorPhysicalState")
    assert not phone.browser.shown("#remote")  # the server did not know this phone when the page asked
    phone.browser.reload()
    phone.browser.wait("return document.querySelector('#open-buttons button') !== null")
    assert phone.browser.text("#open-buttons") == f"Open {DOOR}"
    phone.browser.touch("#open-buttons button")
    phone.browser.wait("return document.querySelector('#opened').innerText === 'Unlocked: push the door.'")
    granted = door.wrote(kind="AccessControl/AccessGranted/Credential", credential="remote")
    assert granted["actor"] == "phone:p-li"
    assert not door.rows("AccessControl/Duress")
    door.wrote(kind="Door/State/LockPhysicalState", state="Locked")
    phone.browser.touch("#title", held_ms=1800)
    phone.browser.touch("#open-buttons button")
    door.wrote(kind="AccessControl/Duress")
    assert phone.browser.text("#opened") in (
        "Asking the door…",
        "Unlocked: push the door.",
    )  # nothing on the screen tells
    answer = site.commander.order(DOOR, Action.LOCK_DOWN, "test")
    assert answer["stage"] in ("accepted", "done"), answer
    door.wrote(kind="Door/State/DoorMode", state="LockedDown")
    phone.browser.touch("#open-buttons button")
    phone.browser.wait("return document.querySelector('#opened').innerText === 'The manager has locked the door down.'")
    site.people.put({"id": "p-li", "enabled": False})
    phone.browser.touch("#language")
    phone.browser.touch("#open-buttons button")
    phone.browser.wait("return document.querySelector('#opened').innerText.startsWith('您的手机或账户被停用了')")
    assert [c for c in phone.browser.complaints() if "403" not in c] == []


def test_while_the_door_does_not_answer_the_page_says_how_long_it_waits_at_most(site, new_phone):
    """Who stands outside decides then whether to wait or to hold up the code."""
    phone = new_phone(site.url)
    code = phone.browser.text("#code")
    phone.register()
    site.people.put({"id": "p-li", "phones": [written(phone_key(code))]})
    phone.browser.reload()
    phone.browser.wait("return document.querySelector('#open-buttons button') !== null")
    assert not phone.browser.shown("#patience")
    phone.browser.touch("#open-buttons button")  # this door was never started: the server asks it for three seconds
    phone.browser.wait("return /^Waiting 1[0-2] s more at most/.test(document.querySelector('#patience').innerText)")
    phone.browser.wait(
        "return /^Waiting [0-9]+ s/.exec(document.querySelector('#patience').innerText)?.[0] < 'Waiting 12'"
    )
    phone.browser.wait("return document.querySelector('#opened').innerText.startsWith('The door does not answer')")
    assert not phone.browser.shown("#patience")


def test_every_reason_has_its_sentence_in_both_languages():
    words = page_files()["words.js"].decode()
    parts = words.split("\n  en: {")
    spoken = {*Reason, "no-network", "CredentialNotEnabled", Denial.CREDENTIAL_EXPIRED, Denial.CREDENTIAL_NOT_ACTIVE,
              Denial.NOT_PERMITTED_AT_THIS_TIME, Denial.LOCKED_DOWN, Denial.BLOCKED, Denial.FAULT, "energised",
              "accepted", "not-taken"}  # fmt: skip
    for part in parts:
        assert [word for word in spoken if f"{word}:" not in part and f'"{word}":' not in part] == []
        assert "refused: (reason)" in part  # what else a door may say is shown as its word
    assert {str(word) for word in commands.Refusal} & spoken


def test_the_phone_waits_longer_than_the_server_may_take():
    """It said "no network" while the door opened."""
    patience_ms = re.search(r"PATIENCE_MS = (\d+)", page_files()["open.js"].decode())[1]
    assert int(patience_ms) / 1000 > commander.CHALLENGE_WAIT_S + commander.ANSWER_WAIT_S + 2.0
