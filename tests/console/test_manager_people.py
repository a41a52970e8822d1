"""Residents, visitors and the doors' lists on the manager's page in a real browser."""

import base64
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from manager_hands import choose, press, reads, sign_in, type_into, written

from agent.core.bounded import written as as_json
from agent.core.roster import SITE_PURPOSE
from agent.residents import NewFace, consent_now
from deploy.community.office import Role


@pytest.fixture
def manager(browser, site):
    for number, name in enumerate(("陈美玲", "Wang Fang", "Wang Wei"), 1):
        site.people.put({"id": f"p-{number}", "name": name, "groups": ["tower-a"]})
    sign_in(browser, site, Role.MANAGER, "Lin", view="people")
    browser.js("window.confirm = (words) => { window.askedWhether = words; return true; }")
    reads(browser, "#people", "Wang Wei")
    yield browser
    assert browser.problems == []
    browser.leave()


def row(name):
    return f"#people li:nth-child({1 + ['陈美玲', 'Wang Fang', 'Wang Wei'].index(name)})"


def test_somebody_is_found_while_the_name_is_typed(manager):
    """Each letter asked the server, and an answer to an earlier letter could come last."""
    manager.js(
        "window.asked = 0; const real = fetch; window.fetch = (...a) => { window.asked++; return real(...a); }; 0"
    )
    type_into(manager, "#people-find", "wang w")
    assert manager.text("#people strong") == "Wang Wei"
    type_into(manager, "#people-find", "nobody of that name")
    assert manager.text("#people-count") == "Nobody found."
    assert manager.js("window.asked") == 0


def test_a_withdrawn_consent_takes_the_face_and_says_which_doors_have_not_heard(manager, site):
    site.people.set_door("garden/gate-1", ["*"])
    site.people.put({"id": "p-1", "consent": as_json(consent_now(int(time.time()), purpose=SITE_PURPOSE))})
    site.people.add_faces("p-1", [NewFace(b"\0" * 512, 0.9)], "m", "a")
    manager.js("location.hash = 'now'; location.hash = 'people'")
    press(manager, "Withdraw face consent", row("陈美玲"))
    reads(manager, "#people", "consent withdrawn")
    assert "陈美玲" in manager.js("window.askedWhether")
    assert site.people.roster().persons["p-1"].faces == ()
    reads(manager, "#withdrawn", "not heard of yet: garden/gate-1")


def test_somebody_who_moved_out_is_removed(manager, site):
    press(manager, "Remove", row("Wang Fang"))
    assert "Wang Fang (tower-a)" in manager.js("window.askedWhether")  # there may be another one of that name
    manager.until("document.querySelectorAll('#people li').length === 2")
    assert set(site.people.roster().persons) == {"p-1", "p-3"}


def test_a_phone_is_registered_by_the_code_that_its_owner_sent_and_a_wrong_code_says_so(manager, site):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    code = base64.urlsafe_b64encode(key.public_bytes(*form)).decode()
    press(manager, "Change", row("Wang Wei"))
    manager.js("document.querySelector('#person-phone').value = 'not a code'")
    press(manager, "Save", "#person")
    manager.until("document.querySelector('#person-told').innerText.length > 5")
    manager.js(f"document.querySelector('#person-phone').value = '{code}'")
    press(manager, "Save", "#person")
    reads(manager, row("Wang Wei"), "phones: 1")
    assert len(site.people.roster().persons["p-3"].phones) == 1
    manager.problems.clear()  # the browser writes each refusal into its log


def test_a_pass_is_revoked_and_what_somebody_is_typing_stays(manager, site):
    """The lists of doors and hours were made anew with every answer and fell back to their first entries."""
    now_s = int(time.time())
    site.passes.issue([], now_s, now_s + 7200, 1, note="plumber")
    manager.js("location.hash = 'now'; location.hash = 'people'")
    reads(manager, "#passes", "plumber")
    choose(manager, "#pass-door", "garden/gate-1")
    choose(manager, "#pass-for", "604800")
    press(manager, "Revoke", "#passes")
    reads(manager, "#passes", "revoked")
    assert [p.revoked_utc_s is None for p in site.passes.passes()] == [False]
    chosen = manager.js("[document.querySelector('#pass-door').value, document.querySelector('#pass-for').value]")
    assert chosen == ["garden/gate-1", "604800"]


def test_a_new_door_is_pointed_out_until_somebody_says_who_may_use_it(manager, site):
    """People went nowhere before `set_door`, and no page said so."""
    manager.js("location.hash = 'now'")
    reads(manager, "#lists-missing", "nobody on it is let in there: garden/gate-1")
    press(manager, "Say who may use them")
    reads(manager, "#held", "does not get the list")
    press(manager, "Who may use it", "#held")
    manager.js("document.querySelector('#list-all').click()")
    manager.js("document.querySelector('#list-groups').value = 'tower-a\uff0ctower-b'")
    press(manager, "Save", "#list")
    reads(manager, "#held", "tower-a, tower-b")
    assert site.people.doors()["garden/gate-1"].groups == ("tower-a", "tower-b")
    manager.until("document.querySelector('#lists-missing').hidden")
    written(manager, lambda: site.office.acts()[0].action == "set-door")


def test_a_list_that_was_never_published_is_not_called_up_to_date(manager, site):
    """It said: up to date (version 0)."""
    site.people.set_door("garden/gate-1", ["*"])
    site.people.set_door("garden/gate-2", ["*"])
    site.people.publish("garden/gate-2", {})
    manager.js("loadLists()")
    reads(manager, "#held li:nth-child(1)", "no list was published for it yet")
    reads(manager, "#held li:nth-child(2)", "did not get a list yet (should be version 1)")
    site.people.held("garden/gate-2", 1, site.people.published("garden/gate-2").digest)
    manager.js("loadLists()")
    reads(manager, "#held li:nth-child(2)", "up to date (version 1)")
    manager.js("document.querySelector('#language').click(); showLists()")
    reads(manager, "#held li:nth-child(1)", "名单还没有发布过")


def test_what_managers_did_is_read_to_the_first_of_it(manager, site):
    """The newest 200 were shown and nothing led further."""
    for n in range(250):
        site.office.note(None, "open", "garden/gate-1", f"reason {n}")
    manager.js("location.hash = 'managers'")
    manager.js("showManagers()")
    manager.until("document.querySelectorAll('#acts li').length === 200")
    manager.js("document.querySelector('#acts-more').click()")
    manager.until("document.querySelectorAll('#acts li').length > 250")
    assert "reason 0" in manager.text("#acts")
    assert manager.js("document.querySelector('#acts-more').hidden")
